//! Many small files in one directory of a dataset: listed, and each read whole.

use crate::{
    data,
    job::{Clock, Given, Job},
    options::Scale,
    places::Places,
    series::{Contender, take_turns},
    table::{Row, Target, Time},
};
use anyhow::Result;
use serde_json::json;

/// How much a file may cost more among ten times as many: sorting and deeper trees, but nothing quadratic.
const LINEAR: f64 = 1.5;

pub(super) fn measure(places: &Places, scale: Scale) -> Result<Vec<Row>> {
    let counts = match scale {
        Scale::Full => [10_000, 50_000, 100_000],
        Scale::Quick => [1_000, 5_000, 10_000],
    };
    let mut rows = Vec::new();
    let mut first: Option<(f64, f64)> = None;
    for count in counts {
        let root = data::many(places, count)?;
        let job = Job::kernel(places, &root, Given::Tree, &json!({ "kernel": "list" }))?;
        let sandbox = || Contender::new("sandbox", || job.sandbox("standard", Clock::Printed));
        let rounds = scale.repetitions(5);
        let sandbox = if first.is_none() {
            let [sandbox, bare] = take_turns(rounds, [sandbox(), Contender::new("bare", || job.bare(Clock::Printed))])?;
            rows.push(Row::speed(
                format!("{count} files, beside bare"),
                (&sandbox, sandbox.guest()),
                (&bare, bare.guest()),
            ));
            sandbox
        } else {
            // wasmtime's own WASI lists a directory anew for every few names: minutes for these.
            let [sandbox] = take_turns(rounds, [sandbox()])?;
            sandbox
        };
        let each = |seconds: f64| seconds / f64::from(count);
        let (guest, whole) = (each(sandbox.guest().least), each(sandbox.whole().least));
        let detail = format!("{} a file in the guest, {} a file in all, with digests", Time(guest), Time(whole));
        if let Some((guest_before, whole_before)) = first {
            let what = format!("cost of a file, {count} beside {}", counts[0]);
            rows.push(Row::times(what.clone(), guest / guest_before, detail).target(Target::AtMost(LINEAR)));
            let what = format!("{what}, whole process");
            rows.push(Row::times(what, whole / whole_before, "").target(Target::AtMost(LINEAR)));
        } else {
            rows.push(Row::times(format!("cost of a file, {count}"), 1.0, detail));
            first = Some((guest, whole));
        }
        if Some(&count) == counts.last() {
            rows.push(
                Row::memory("peak resident, worker", sandbox.worker(), "as the report says")
                    .target(Target::AtMost(200.0)),
            );
            let detail = "supervisor and worker, as the kernel says";
            rows.push(
                Row::memory("peak resident, larger process", sandbox.resident(), detail).target(Target::AtMost(200.0)),
            );
        }
    }
    Ok(rows)
}
