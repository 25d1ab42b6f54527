//! Submissions: each is on the disk before it is answered. And what a burst of them does to everybody else.

use crate::{
    options::Scale,
    places::Places,
    service::{
        Connection, Service, flushes_per_second, fresh_home, guests, job,
        load::{Ask, Load, Until, run},
    },
    table::{Row, Target},
};
use anyhow::{Context as _, Result};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

const CONNECTIONS: usize = 16;

pub(super) fn measure(places: &Places, scale: Scale) -> Result<Vec<Row>> {
    let (jobs, burst) = match scale {
        Scale::Full => (5_000, 10_000),
        Scale::Quick => (1_000, 2_000),
    };
    let home = fresh_home(places, "submit")?;
    let settings = [("engine.max_jobs", "1"), ("engine.max_queued", "100000"), ("engine.account_queued", "100000")];
    let service = Service::start(places, &home, &settings)?;
    let key = service.key_for("alice", "consumer")?;
    let (did, program) = (service.publish_small()?, service.upload_by(&key, &guests::small()?)?);
    let submission = |_| Ask {
        method: "POST",
        path: "/v1/jobs".to_owned(),
        headers: String::new(),
        body: job(&did, &program).to_string().into_bytes(),
    };
    let submit = |jobs| run(&service, &key, CONNECTIONS, Until::Requests(jobs), 201, submission);

    // With its place taken by a job of the same account that does nothing, so that all the others wait: another account would have
    // places of its own.
    let sleeper = hold(&service, &key, &did)?;
    submit(jobs / 10)?;
    let flushes = flushes_per_second(&home)?;
    let load = submit(jobs)?;
    let per_flush = format!("{:.1} beside one flush each; {}", load.rate() / flushes, load.detail());
    let mut rows = vec![
        Row::rate(format!("{jobs} submissions, {CONNECTIONS} connections"), load.rate(), per_flush)
            .target(Target::AtLeast(500.0)),
        Row::rate("flushes of 4 KiB, one after the other", flushes, "this disk, just before"),
    ];

    let (quiet, _) = statuses(&service, &sleeper.path, || std::thread::sleep(Duration::from_secs(2)))?;
    let (during, load) = statuses(&service, &sleeper.path, || submit(burst))?;
    let load = load?;
    let detail = format!(
        "p50 {}, most {}; {} answers while {} were accepted in a second",
        crate::table::Time(at(&during, 50)),
        crate::table::Time(at(&during, 100)),
        during.len(),
        load.rate().round()
    );
    rows.push(
        Row::duration(format!("status during a burst of {burst}, the slowest hundredth"), at(&during, 99), detail)
            .target(Target::AtMost(0.050)),
    );
    rows.push(Row::duration("status without a burst, the slowest hundredth", at(&quiet, 99), ""));
    let (after, _) = statuses(&service, &sleeper.path, || std::thread::sleep(Duration::from_secs(2)))?;
    rows.push(Row::duration("status while they wait, the slowest hundredth", at(&after, 99), ""));
    drop(sleeper);
    drop(service);
    rows.push(with_running(places, jobs / 5)?);
    Ok(rows)
}

/// A job that sleeps in the one place there is. Stopped with this value: a sandbox outlives its service.
struct Sleeper<'a> {
    service: &'a Service,
    path: String,
}

impl Sleeper<'_> {
    fn stop(&self) -> Result<()> {
        let mut connection = self.service.connect()?;
        connection.request("POST", &format!("{}/stop", self.path), None)?;
        while connection.get(&self.path)?.ok()?["ended"].is_null() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// Occupies the one place of an account.
fn hold<'a>(service: &'a Service, key: &str, did: &str) -> Result<Sleeper<'a>> {
    let mut request = job(did, &service.upload_by(key, &guests::sleep()?)?);
    request["profile"] = "standard".into();
    let mut connection = Connection::open(service.address, key)?;
    let job = connection.post("/v1/jobs", &request)?.created()?;
    let path = format!("/v1/jobs/{}", job["id"].as_str().context("a job's id")?);
    let sleeper = Sleeper { service, path };
    while connection.get(&sleeper.path)?.ok()?["phase"] != "Running" {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(sleeper)
}

/// Asks for a status two hundred times a second while something else goes on; seconds of each answer, sorted.
fn statuses<T>(service: &Service, path: &str, meanwhile: impl FnOnce() -> T) -> Result<(Vec<f64>, T)> {
    const EVERY: Duration = Duration::from_millis(5);
    let is_over = AtomicBool::new(false);
    let mut connection = service.connect()?;
    let (times, done) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| -> Result<Vec<f64>> {
            let mut times = Vec::new();
            let mut due = Instant::now();
            while !is_over.load(Ordering::Relaxed) {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                // From when it was due: an answer that is late makes the next ones late, and they count.
                connection.get(path)?.ok()?;
                times.push(due.elapsed().as_secs_f64());
                due += EVERY;
            }
            Ok(times)
        });
        let done = meanwhile();
        is_over.store(true, Ordering::Relaxed);
        (asking.join(), done)
    });
    let mut times = times.map_err(|_| anyhow::anyhow!("the thread that asks failed"))??;
    times.sort_unstable_by(f64::total_cmp);
    Ok((times, done))
}

fn at(times: &[f64], percent: usize) -> f64 {
    let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(place).copied().unwrap_or(f64::NAN)
}

/// The same while the jobs run, on the same processors.
fn with_running(places: &Places, jobs: u64) -> Result<Row> {
    let home = fresh_home(places, "submit")?;
    let service =
        Service::start(places, &home, &[("engine.max_queued", "100000"), ("engine.account_queued", "100000")])?;
    let (did, program) = (service.publish_small()?, service.upload(&guests::small()?)?);
    service.finish(&job(&did, &program))?;
    let submission = |_| Ask {
        method: "POST",
        path: "/v1/jobs".to_owned(),
        headers: String::new(),
        body: job(&did, &program).to_string().into_bytes(),
    };
    let key = service.key.clone();
    let load: Load = run(&service, &key, CONNECTIONS, Until::Requests(jobs), 201, submission)?;
    Ok(Row::rate(format!("{jobs} submissions while jobs run"), load.rate(), load.detail()))
}
