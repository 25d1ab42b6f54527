//! Tight loops over numbers.

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
    for kernel in ["matmul", "hash", "sort"] {
        let job = Job::kernel(places, &data::small(places)?, Given::File, &json!({ "kernel": kernel }))?;
        let [sandbox, bare, native, deterministic] = take_turns(
            scale.repetitions(15),
            [
                Contender::new("sandbox", || job.sandbox("standard", Clock::Printed)),
                Contender::new("bare", || job.bare(Clock::Printed)),
                Contender::new("native", || job.native(Clock::Printed)),
                Contender::new("sandbox", || job.sandbox("deterministic", Clock::Host)),
            ],
        )?;
        let ours = (&sandbox, sandbox.guest());
        rows.push(
            Row::slower(format!("{kernel}, beside bare"), ours, (&bare, bare.guest())).target(Target::AtMost(1.05)),
        );
        let exact = (&deterministic, deterministic.guest());
        rows.push(Row::slower(format!("{kernel}, deterministic, beside bare"), exact, (&bare, bare.guest())));
        rows.push(Row::slower(format!("{kernel}, beside native"), ours, (&native, native.guest())));
    }
    Ok(rows)
}
