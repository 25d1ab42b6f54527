//! Many jobs on a cluster: what a status costs among them, what the controller needs beside them, and how soon one step of a job follows
//! another while many run. On an API server without nodes, which this program plays: what nodes do is not measured.

use crate::{
    cluster::Site,
    options::Scale,
    places::Places,
    service::{
        Controller, Service,
        fill::{self, fill},
        fresh_home,
        load::{Ask, Load, Until, run},
    },
    table::{Row, Target, Time},
};
use anyhow::{Context as _, Result};
use cloister_model::JobId;
use std::{path::PathBuf, time::Duration};

/// The kubeconfig of an API server that scripts/bench-k8s.sh has started. No other variable counts: that one would name a cluster that is
/// used.
const KUBECONFIG: &str = "CLOISTERDEV_BENCH_KUBECONFIG";

const CONNECTIONS: usize = 16;

pub(super) fn measure(places: &Places, scale: Scale) -> Result<Vec<Row>> {
    let Some(kubeconfig) = std::env::var_os(KUBECONFIG).map(PathBuf::from) else {
        return Ok(vec![Row::without(
            "many jobs on a cluster",
            "needs an API server: scripts/bench-k8s.sh --many-jobs",
        )]);
    };
    let (ended, running, jobs, step) = match scale {
        Scale::Full => (10_000, 200, 800, Duration::from_secs(5)),
        Scale::Quick => (500, 20, 80, Duration::from_secs(1)),
    };
    let home = fresh_home(places, "cluster")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut site = runtime.block_on(Site::open(&kubeconfig, &home.join("site"), running))?;
    let ids = runtime.block_on(site.fill(ended))?;

    let service = Service::start_on_cluster(places, &home.join("service"), &site.settings())?;
    let there = statuses(&service, cloister_testkit::OWNER, &ids, scale)?;
    drop(service);
    let here = one_machine(places, scale, ended)?;
    let detail = format!("{:.0}/s ({}), on one machine {:.0}/s", there.rate(), there.cores(), here.rate());
    let mut rows = vec![
        Row::times(
            format!("status among {ended} jobs on a cluster, beside one machine"),
            there.rate() / here.rate(),
            detail,
        )
        .target(Target::AtLeast(0.5)),
    ];

    let controller = Controller::start(places, &home.join("controller"), &site.settings())?;
    std::thread::sleep(Duration::from_secs(10));
    let memory = controller.proportional()?;
    rows.push(
        Row::memory(format!("the controller beside {ended} ended jobs, idle"), memory, "proportional set size")
            .target(Target::AtMost(60.0)),
    );

    let played = runtime.block_on(async {
        let submitted = site.submit(jobs).await?;
        site.play(submitted.len(), step).await
    })?;
    let at = |percent: usize| {
        let place = (played.gaps.len() * percent / 100).min(played.gaps.len().saturating_sub(1));
        played.gaps.get(place).copied().unwrap_or(f64::NAN)
    };
    let detail = format!(
        "of {} steps of {jobs} jobs, {} at once at most, {:.1} jobs a second; the median {}, the longest {}",
        played.gaps.len(),
        played.most,
        jobs as f64 / played.seconds,
        Time(at(50)),
        Time(at(100)),
    );
    rows.push(
        Row::duration(
            format!("from one step's end to the next one's pod, p99 of {running} active jobs"),
            at(99),
            detail,
        )
        .target(Target::AtMost(0.5)),
    );
    rows.push(Row::memory("the controller after that", controller.proportional()?, "proportional set size"));
    Ok(rows)
}

/// Statuses of jobs drawn from all of them.
fn statuses(service: &Service, owner: &str, ids: &[JobId], scale: Scale) -> Result<Load> {
    let key = service.key_for(owner, "consumer")?;
    let duration = Duration::from_secs(if scale == Scale::Full { 10 } else { 3 });
    let pick = |number: u64| {
        let place = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let place = usize::try_from(place % (ids.len() as u64)).unwrap_or_default();
        Ask::get(ids.get(place).map(|id| format!("/v1/jobs/{id}")).unwrap_or_default())
    };
    run(service, &key, CONNECTIONS, Until::Passed(duration / 4), 200, pick)?;
    run(service, &key, CONNECTIONS, Until::Passed(duration), 200, pick)
}

/// The same on one machine, among as many jobs.
fn one_machine(places: &Places, scale: Scale, jobs: u64) -> Result<Load> {
    let home = fresh_home(places, "cluster-beside")?;
    let ids = fill(places, &home, jobs)?;
    let service = Service::start_filled(places, &home).context("the service beside")?;
    statuses(&service, fill::OWNER, &ids, scale)
}
