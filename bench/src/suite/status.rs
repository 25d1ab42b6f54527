//! The most frequent question: how is my job doing? Among many jobs and among few.

use crate::{
    options::Scale,
    places::Places,
    service::{
        Service,
        fill::{OWNER, fill},
        fresh_home, guests, job,
        load::{Ask, Load, Until, run},
    },
    table::{Row, Target},
};
use anyhow::Result;
use std::time::Duration;

const CONNECTIONS: usize = 16;

/// How much a status may cost more among a hundred times as many jobs: two more levels of a tree.
const FLAT: f64 = 1.25;

pub(super) fn measure(places: &Places, scale: Scale) -> Result<Vec<Row>> {
    let (many, few) = match scale {
        Scale::Full => (100_000, 1_000),
        Scale::Quick => (10_000, 1_000),
    };
    let (among_many, beside) = among(places, scale, many)?;
    let (among_few, _) = among(places, scale, few)?;
    let [cost_many, cost_few] = [&among_many, &among_few].map(|load| load.service.0 / load.requests as f64);
    let detail = format!("processor time of the service: {:.1} us, {:.1} us", cost_many * 1e6, cost_few * 1e6);
    let mut rows = vec![
        Row::rate(
            format!("status among {many} jobs, {CONNECTIONS} connections"),
            among_many.rate(),
            among_many.detail(),
        )
        .target(Target::AtLeast(10_000.0)),
        Row::duration("the slowest hundredth", among_many.percentile(99), "").target(Target::AtMost(0.010)),
        Row::rate(format!("status among {few} jobs"), among_few.rate(), among_few.detail()),
        Row::times(format!("cost of a status, among {many} beside {few}"), cost_many / cost_few, detail)
            .target(Target::AtMost(FLAT)),
    ];
    rows.extend(beside);
    Ok(rows)
}

/// Statuses of jobs drawn from so many, and what they are compared with: an answer that needs no store, and statuses of
/// jobs that have run, which say more.
fn among(places: &Places, scale: Scale, jobs: u64) -> Result<(Load, Vec<Row>)> {
    let home = fresh_home(places, "status")?;
    let ids = fill(places, &home, jobs)?;
    let service = Service::start_filled(places, &home)?;
    let key = service.key_for(OWNER, "consumer")?;
    let duration = Duration::from_secs(if scale == Scale::Full { 10 } else { 3 });
    let paths: Vec<String> = ids.iter().map(|id| format!("/v1/jobs/{id}")).collect();
    let pick = |paths: &[String], number: u64| {
        let place = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let place = usize::try_from(place % (paths.len() as u64)).unwrap_or_default();
        Ask::get(paths.get(place).cloned().unwrap_or_default())
    };
    let ask = |duration, paths: &[String]| {
        run(&service, &key, CONNECTIONS, Until::Passed(duration), 200, |number| pick(paths, number))
    };
    ask(duration / 4, &paths)?;
    let load = ask(duration, &paths)?;

    let health = ["/healthz".to_owned()];
    let health = ask(duration / 4, &health)?;
    let (did, program) = (service.publish_small()?, service.upload(&guests::small()?)?);
    let finished = (0..16).map(|_| service.finish(&job(&did, &program)));
    let finished: Vec<String> = finished.map(|id| Ok(format!("/v1/jobs/{}", id?))).collect::<Result<_>>()?;
    let operator = service.key.clone();
    let finished =
        run(&service, &operator, CONNECTIONS, Until::Passed(duration / 4), 200, |number| pick(&finished, number))?;
    let rows = vec![
        Row::rate("status of jobs that have run", finished.rate(), finished.detail()),
        Row::rate("/healthz, same client and connections", health.rate(), health.detail()),
    ];
    Ok((load, rows))
}
