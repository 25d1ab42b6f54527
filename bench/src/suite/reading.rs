//! Reading one large file, by the guest's own clock, from memory.

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
    let root = data::bytes(places, scale.bytes())?;
    data::warm(&root)?;
    let mut rows = Vec::new();
    for (chunk, target) in [(4, 0.7), (64, 0.8)] {
        let job = Job::kernel(places, &root, Given::File, &json!({ "kernel": "read", "chunk": chunk * 1024 }))?;
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
            Row::speed(format!("{chunk} KiB per call, beside bare"), ours, (&bare, bare.guest()))
                .target(Target::AtLeast(target)),
        );
        rows.push(Row::speed(format!("{chunk} KiB per call, beside native"), ours, (&native, native.guest())));
        rows.push(Row::seconds(format!("{chunk} KiB per call, whole process with digests"), &sandbox, sandbox.whole()));
    }
    Ok(rows)
}
