//! A guest that does nothing: what starting costs.

use super::{container::Container, peers};
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
    let rounds = scale.repetitions(120);
    let job = Job::kernel(places, &data::small(places)?, Given::File, &json!({ "kernel": "nop" }))?;
    let ours = || Contender::new("sandbox", || job.sandbox("deterministic", Clock::Host));
    let [sandbox, bare, native] = take_turns(
        rounds,
        [
            ours(),
            Contender::new("bare", || job.bare(Clock::Host)),
            Contender::new("native", || job.native(Clock::Host)),
        ],
    )?;
    let mut rows = vec![
        Row::slower("whole process, beside bare", (&sandbox, sandbox.whole()), (&bare, bare.whole()))
            .target(Target::AtMost(1.5)),
        Row::slower("whole process, beside native", (&sandbox, sandbox.whole()), (&native, native.whole())),
        Row::seconds("the guest's own part", &sandbox, sandbox.guest()),
        Row::memory("peak resident, worker", sandbox.worker(), "as the report says").target(Target::AtMost(40.0)),
        Row::memory("peak resident, larger process", sandbox.resident(), "supervisor and worker, as the kernel says")
            .target(Target::AtMost(40.0)),
        Row::memory("peak resident, bare", bare.resident(), "for comparison"),
    ];
    rows.push(match Container::prepare(places) {
        Ok(mut container) => {
            let [sandbox, crun] = take_turns(rounds / 2, [ours(), Contender::new("crun", || container.run())])?;
            Row::slower("whole process, beside crun", (&sandbox, sandbox.whole()), (&crun, crun.whole()))
                .target(Target::AtMost(0.5))
        }
        Err(why) => Row::without("whole process, beside crun", format!("{why:#}")),
    });
    for peer in peers::ALL {
        let what = format!("whole process, beside {}", peer.name);
        rows.push(match peer.prepare(places) {
            Ok(ready) => {
                let turns = [ours(), Contender::new(peer.name, || job.outside(&mut ready.command(&job), Clock::Host))];
                match take_turns(rounds / 4, turns) {
                    Ok([sandbox, other]) => Row::slower(what, (&sandbox, sandbox.whole()), (&other, other.whole())),
                    Err(error) => Row::failed(what, &error),
                }
            }
            Err(why) => Row::without(what, format!("{why:#}")),
        });
    }
    Ok(rows)
}
