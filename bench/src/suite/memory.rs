//! What the service holds in memory: doing nothing, and while inputs pass through that are larger than memory should be.

use crate::{
    options::Scale,
    places::Places,
    service::{Service, fresh_home, guests, job, source},
    table::{Row, Target},
};
use anyhow::Result;
use serde_json::json;
use std::time::{Duration, Instant};

pub(super) fn measure(places: &Places, scale: Scale) -> Result<Vec<Row>> {
    let bytes = scale.bytes() * 5;
    let home = fresh_home(places, "memory")?;
    let service =
        Service::start(places, &home, &[("sources.allow_networks", "127.0.0.0/8"), ("cache.bytes", "20GiB")])?;
    std::thread::sleep(Duration::from_secs(2));
    let idle = service.resident()?;
    let mut rows = vec![Row::memory("an idle service", idle, "resident").target(Target::AtMost(60.0))];

    // Everything that the first job brings with it is not the input's.
    let (small, program) = (service.publish_small()?, service.upload(&guests::small()?)?);
    service.finish(&job(&small, &program))?;
    let before = service.peak_resident()?;
    let address = source::serve(bytes)?;
    let did = service.publish("large", &json!([{"type": "url", "url": format!("http://{address}/large")}]))?;
    let since = Instant::now();
    service.finish(&job(&did, &program))?;
    let seconds = since.elapsed().as_secs_f64();
    let more = service.peak_resident()?.saturating_sub(before);
    let detail = format!(
        "{} MiB before; the whole job {seconds:.1} s, {:.0} MiB/s",
        before >> 20,
        (bytes >> 20) as f64 / seconds
    );
    let what = format!("memory that an input of {} MiB adds", bytes >> 20);
    rows.push(Row::memory(what, more, detail).target(Target::AtMost(50.0)));
    Ok(rows)
}
