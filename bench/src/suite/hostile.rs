//! Two accounts on one service, one of them hostile: what the other notices, as a ratio to the service without the hostile one.
//! `CLOISTERDEV_HOSTILE_SECONDS=3600` runs it for an hour.

use crate::{
    options::Scale,
    places::Places,
    service::{Connection, Service, fresh_home, guests, job},
    table::{Row, Target, Time},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

const SECONDS: &str = "CLOISTERDEV_HOSTILE_SECONDS";

/// Datasets of the hostile account with descriptions of almost a megabyte.
const LARGE: usize = 20;

/// Answers from the slow source that are waited for at once.
const STALLED: usize = 64;

/// What the other account saw: seconds of each, sorted.
#[derive(Default)]
struct Seen {
    submissions: Vec<f64>,
    statuses: Vec<f64>,
    jobs: Vec<f64>,
}

pub(super) fn measure(places: &Places, scale: Scale) -> Result<Vec<Row>> {
    let seconds = match (std::env::var(SECONDS), scale) {
        (Ok(text), _) => text.parse().with_context(|| format!("`{SECONDS}`"))?,
        (Err(_), Scale::Full) => 30,
        (Err(_), Scale::Quick) => 5,
    };
    let period = Duration::from_secs(seconds);
    let home = fresh_home(places, "hostile")?;
    let settings = [
        ("http.account_per_second", "50"),
        ("http.account_burst", "200"),
        ("sources.allow_networks", "127.0.0.0/8"),
        ("engine.account_queued", "50"),
    ];
    let service = Service::start(places, &home, &settings)?;
    let alice = service.key_for("alice", "consumer")?;
    let (did, program) = (service.publish_small()?, service.upload_by(&alice, &guests::small()?)?);
    let honest = job(&did, &program);
    let idle = honest_account(&service, &alice, &honest, period)?;

    let mallory = Hostile::new(&service)?;
    let is_over = AtomicBool::new(false);
    let during = std::thread::scope(|scope| {
        let attacks: [fn(&Hostile, &AtomicBool) -> Result<()>; 5] =
            [Hostile::slow_files, Hostile::lists, Hostile::large_submissions, Hostile::long_jobs, Hostile::denials];
        for attack in attacks {
            let (mallory, is_over) = (&mallory, &is_over);
            scope.spawn(move || {
                // A connection that is closed is opened again: an attacker would.
                while !is_over.load(Ordering::Relaxed) {
                    let _ = attack(mallory, is_over);
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
        std::thread::sleep(Duration::from_secs(1));
        let seen = honest_account(&service, &alice, &honest, period);
        is_over.store(true, Ordering::Relaxed);
        seen
    });
    // A sandbox outlives its service.
    Hostile::stop_all(&service)?;
    let (during, peak) = (during?, service.peak_resident()?);
    let row = |what: &str, during: &[f64], idle: &[f64]| {
        let (with, without) = (median(during), median(idle));
        let detail = format!("median {} of {}, {} of {} without", Time(with), during.len(), Time(without), idle.len());
        Row::times(format!("{what} beside a hostile account"), with / without, detail).target(Target::AtMost(2.0))
    };
    Ok(vec![
        row("submission", &during.submissions, &idle.submissions),
        row("status", &during.statuses, &idle.statuses),
        row("job, from submission to end", &during.jobs, &idle.jobs),
        Row::memory("memory of the service, the most", peak, format!("{seconds} s")),
    ])
}

/// Submits jobs one after the other and follows each to its end.
fn honest_account(service: &Service, key: &str, request: &Value, period: Duration) -> Result<Seen> {
    let mut connection = Connection::open(service.address, key)?;
    let (mut seen, since) = (Seen::default(), Instant::now());
    while since.elapsed() < period || seen.jobs.is_empty() {
        let began = Instant::now();
        let job = connection.post("/v1/jobs", request)?.created()?;
        seen.submissions.push(began.elapsed().as_secs_f64());
        let path = format!("/v1/jobs/{}", job["id"].as_str().context("a job's id")?);
        loop {
            let asked = Instant::now();
            let job = connection.get(&path)?.ok()?;
            seen.statuses.push(asked.elapsed().as_secs_f64());
            if job["phase"] == "Finished" {
                break;
            }
            ensure!(job["ended"].is_null(), "the job ended badly: {job}");
            std::thread::sleep(Duration::from_millis(25));
        }
        seen.jobs.push(began.elapsed().as_secs_f64());
    }
    for times in [&mut seen.submissions, &mut seen.statuses, &mut seen.jobs] {
        times.sort_unstable_by(f64::total_cmp);
    }
    Ok(seen)
}

fn median(times: &[f64]) -> f64 {
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// An account that tries to stop everyone else. It does not care what it is answered.
struct Hostile {
    address: SocketAddr,
    key: String,
    program: String,
    large: Vec<String>,
    slow: String,
    closed: String,
    /// Takes connections and never answers.
    _source: TcpListener,
}

impl Hostile {
    fn new(service: &Service) -> Result<Self> {
        let key = service.key_for("mallory", "publisher")?;
        let source = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/", source.local_addr()?);
        let mut connection = Connection::open(service.address, &key)?;
        let mut publish = |name: &str, text: &str, services: Value| -> Result<String> {
            let ddo = json!({
                "id": format!("did:op:{name}"), "version": "4.1.0", "services": services,
                "metadata": {"type": "dataset", "name": name, "description": text},
            });
            let answer = connection.post("/v1/datasets", &ddo)?.created()?;
            answer["did"].as_str().map(str::to_owned).context("a DID")
        };
        let compute = |allowed: bool| {
            json!([{
                "id": "compute", "type": "compute", "files": [{"type": "inline", "content": "a"}],
                "compute": {"allowRawAlgorithm": allowed, "profiles": ["deterministic", "standard"]},
            }])
        };
        let text = "x".repeat(1_000_000);
        let large = (0..LARGE).map(|number| publish(&format!("large-{number}"), &text, compute(true)));
        let large = large.collect::<Result<Vec<_>>>()?;
        let files: Vec<Value> = (0..STALLED).map(|n| json!({"type": "url", "url": format!("{url}{n}")})).collect();
        let slow = publish("slow", "", json!([{"id": "access", "type": "access", "files": files}]))?;
        let closed = publish("closed", "", compute(false))?;
        let program = service.upload_by(&key, &guests::sleep()?)?;
        Ok(Self { address: service.address, key, program, large, slow, closed, _source: source })
    }

    fn connect(&self) -> Result<Connection> {
        Connection::open(self.address, &self.key)
    }

    /// Asks for files at a source that never answers, and waits for none of them.
    fn slow_files(&self, is_over: &AtomicBool) -> Result<()> {
        let mut open = Vec::new();
        for number in (0..STALLED).cycle() {
            if is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            let mut stream = TcpStream::connect(self.address)?;
            let method = if number % 2 == 0 { "HEAD" } else { "GET" };
            let path = format!("/v1/datasets/{}/files/{number}", self.slow);
            write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", self.key)?;
            open.push(stream);
            if open.len() > STALLED {
                open.remove(0);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Lists of large assets.
    fn lists(&self, is_over: &AtomicBool) -> Result<()> {
        let mut connection = self.connect()?;
        while !is_over.load(Ordering::Relaxed) {
            connection.get("/v1/datasets?limit=100")?;
        }
        Ok(())
    }

    /// Jobs on many assets with large descriptions.
    fn large_submissions(&self, is_over: &AtomicBool) -> Result<()> {
        let mut connection = self.connect()?;
        let request = json!({"datasets": self.large, "algorithm": {"upload": self.program}});
        let fewer =
            json!({"datasets": self.large.iter().take(8).collect::<Vec<_>>(), "algorithm": {"upload": self.program}});
        while !is_over.load(Ordering::Relaxed) {
            connection.post("/v1/jobs", &request)?;
            connection.post("/v1/jobs", &fewer)?;
        }
        Ok(())
    }

    /// As many jobs as there may be, each as long as it may be.
    fn long_jobs(&self, is_over: &AtomicBool) -> Result<()> {
        let mut connection = self.connect()?;
        let first = self.large.first();
        let request = json!({"datasets": [first], "algorithm": {"upload": self.program}, "profile": "standard"});
        while !is_over.load(Ordering::Relaxed) {
            if connection.post("/v1/jobs", &request)?.status != 201 {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }

    /// Jobs that may not run.
    fn denials(&self, is_over: &AtomicBool) -> Result<()> {
        let mut connection = self.connect()?;
        let request = json!({"datasets": [self.closed], "algorithm": {"upload": self.program}});
        while !is_over.load(Ordering::Relaxed) {
            connection.post("/v1/jobs", &request)?;
        }
        Ok(())
    }

    /// Stops every job of the account and waits for the end of each, as the operator.
    fn stop_all(service: &Service) -> Result<()> {
        let mut connection = service.connect()?;
        let list = "/v1/jobs?owner=mallory&limit=100&state=active";
        loop {
            let jobs = connection.get(list)?.ok()?;
            let jobs = jobs["items"].as_array().context("a list")?.clone();
            if jobs.is_empty() {
                return Ok(());
            }
            for job in &jobs {
                let id = job["id"].as_str().context("a job's id")?;
                connection.request("POST", &format!("/v1/jobs/{id}/stop"), None)?;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}
