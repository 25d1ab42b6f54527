//! Writing one large result, every byte accounted for, by the guest's own clock.

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
    let mut rows = Vec::new();
    let to = if places.work.starts_with("/dev/shm") { "memory" } else { "the temporary directory" };
    for (chunk, target) in [(4, 0.7), (64, 0.6)] {
        let parameters = json!({ "kernel": "write", "size": scale.bytes(), "chunk": chunk * 1024 });
        let job = Job::kernel(places, &data::small(places)?, Given::File, &parameters)?;
        let [sandbox, bare, native] = take_turns(
            scale.repetitions(9),
            [
                Contender::new("sandbox", || job.sandbox("standard", Clock::Printed)),
                Contender::new("bare", || job.bare(Clock::Printed)),
                Contender::new("native", || job.native(Clock::Printed)),
            ],
        )?;
        let ours = (&sandbox, sandbox.guest());
        rows.push(
            Row::speed(format!("{chunk} KiB per call to {to}, beside bare"), ours, (&bare, bare.guest()))
                .target(Target::AtLeast(target)),
        );
        rows.push(Row::speed(format!("{chunk} KiB per call to {to}, beside native"), ours, (&native, native.guest())));
    }
    Ok(rows)
}
