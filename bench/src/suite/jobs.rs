//! Whole jobs that do next to nothing: from the submission until a result is in the consumer's hands.

use crate::{
    options::Scale,
    places::Places,
    series::{Contender, Sample, take_turns},
    service::{Service, client::Connection, fresh_home, guests, job},
    table::{Row, Target},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// Consumers who each wait for one job before they submit the next.
const CONSUMERS: u64 = 16;

pub(super) fn measure(places: &Places, scale: Scale) -> Result<Vec<Row>> {
    let (alone, crowd) = match scale {
        Scale::Full => (200, 1_500),
        Scale::Quick => (40, 200),
    };
    let home = fresh_home(places, "jobs")?;
    let service = Service::start(places, &home, &[])?;
    let module = guests::small()?;
    let request = job(&service.publish_small()?, &service.upload(&module)?);
    service.finish(&request)?;
    let bare = Bare::new(places, &module)?;

    let mut connection = service.connect()?;
    let turns = [
        Contender::new("service", || {
            let seconds = one(&mut connection, &request)?;
            Ok(Sample { whole: seconds, ..Sample::default() })
        }),
        Contender::new("sandbox run", || bare.one("alone")),
    ];
    let [ours, theirs] = take_turns(alone, turns)?;
    let detail = format!("of {alone}, one after the other; `sandbox run` {}", theirs.whole());
    let mut rows = vec![
        Row::duration("a job from submission to result, the median", ours.whole().median, detail)
            .target(Target::AtMost(0.100)),
        Row::slower("a job beside `sandbox run`", (&ours, ours.whole()), (&theirs, theirs.whole())),
    ];

    let places_at_once = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let cpu = service.cpu()?;
    let (rate, seconds) = side_by_side(CONSUMERS, crowd, |_| {
        let (mut connection, request) = (service.connect()?, &request);
        Ok(move || one(&mut connection, request).map(drop))
    })?;
    let cores = (service.cpu()?.0 - cpu.0) / seconds;
    let (bare_rate, _) = side_by_side(places_at_once, crowd, |number| {
        let (bare, name) = (&bare, format!("crowd-{number}"));
        Ok(move || bare.one(&name).map(drop))
    })?;
    let detail = format!("of {crowd} by {CONSUMERS} consumers; cores: service without its sandboxes {cores:.2}");
    rows.push(Row::rate("jobs", rate, detail).target(Target::AtLeast(50.0)));
    let detail = format!("`sandbox run`, {places_at_once} at a time: {bare_rate:.0}/s");
    rows.push(Row::times("jobs beside bare runs, as a part of their rate", rate / bare_rate, detail));
    Ok(rows)
}

/// One job to its end, and its result read; in seconds.
fn one(connection: &mut Connection, request: &Value) -> Result<f64> {
    let since = Instant::now();
    let job = connection.post("/v1/jobs", request)?.created()?;
    let path = format!("/v1/jobs/{}", job["id"].as_str().context("a job's id")?);
    connection.follow(&format!("{path}/events"))?;
    let result = connection.get(&format!("{path}/results/0"))?;
    let seconds = since.elapsed().as_secs_f64();
    ensure!(result.status == 200 && result.body == b"sixteen letters\n", "the result is {}", result.status);
    Ok(seconds)
}

/// So many threads that each do the same again and again; how many in a second, and seconds in all.
fn side_by_side<W: FnMut() -> Result<()>>(
    threads: u64,
    times: u64,
    worker: impl Fn(u64) -> Result<W> + Sync,
) -> Result<(f64, f64)> {
    let (left, since) = (AtomicU64::new(times), Instant::now());
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads)
            .map(|number| {
                let (worker, take) = (&worker, &take);
                scope.spawn(move || {
                    let mut work = worker(number)?;
                    while take() {
                        work()?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        all.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow::anyhow!("a thread failed"))?)
    })?;
    let seconds = since.elapsed().as_secs_f64();
    Ok((times as f64 / seconds, seconds))
}

/// The same program in the sandbox without a service around it, on the same disk.
struct Bare<'a> {
    places: &'a Places,
    folder: PathBuf,
}

impl<'a> Bare<'a> {
    fn new(places: &'a Places, module: &[u8]) -> Result<Self> {
        let folder = fresh_home(places, "jobs-bare")?;
        fs::write(folder.join("algorithm.wasm"), module)?;
        fs::write(folder.join("data"), "a,b\n1,2\n")?;
        Ok(Self { places, folder })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn one(&self, name: &str) -> Result<Sample> {
        let since = Instant::now();
        let outputs = self.path(name);
        remove(&outputs)?;
        let mut command = Command::new(&self.places.sandbox);
        command.env_clear().env("CLOISTER_SANDBOX_HOME", &self.places.home).arg("run").arg(self.path("algorithm.wasm"));
        command.arg("--dataset").arg(format!("d={}", self.path("data").display()));
        command.args(["--json", "--require-isolation", "--outputs"]).arg(&outputs);
        command.stdin(Stdio::null()).stdout(File::create(self.path(&format!("{name}-report")))?).stderr(Stdio::null());
        ensure!(command.status()?.success(), "`sandbox run` failed");
        Ok(Sample { whole: since.elapsed().as_secs_f64(), ..Sample::default() })
    }
}

impl Drop for Bare<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
