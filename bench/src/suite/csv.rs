//! Statistics of one large CSV table: a sample algorithm as people would send it.

use crate::{
    data,
    job::{Clock, Given, Job},
    options::Scale,
    places::Places,
    series::{Contender, take_turns},
    table::{Row, Target},
};
use anyhow::Result;
use serde_json::json;

pub(super) fn measure(places: &Places, scale: Scale) -> Result<Vec<Row>> {
    let root = data::table(places, scale.bytes())?;
    data::warm(&root)?;
    let names = ("column-stats.p1.wasm", "column-stats");
    let job = Job::new(places, names, &root, Given::File, &json!({ "groupBy": "group" }))?;
    let [sandbox, bare, native] = take_turns(
        scale.repetitions(7),
        [
            Contender::new("sandbox", || job.sandbox("deterministic", Clock::Host)),
            Contender::new("bare", || job.bare(Clock::Host)),
            Contender::new("native", || job.native(Clock::Host)),
        ],
    )?;
    Ok(vec![
        Row::speed("guest's time, beside native", (&sandbox, sandbox.guest()), (&native, native.whole()))
            .target(Target::AtLeast(0.6)),
        Row::speed("whole process, beside native", (&sandbox, sandbox.whole()), (&native, native.whole())),
        Row::speed("guest's time, beside bare", (&sandbox, sandbox.guest()), (&bare, bare.whole())),
        Row::memory("peak resident, worker", sandbox.worker(), "as the report says"),
    ])
}
