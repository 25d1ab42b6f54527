//! Two accounts on one service, one of them hostile, and strangers without an account: what the other account notices, as a ratio to
//! the service without them. `--minutes 60` runs it for an hour.
//!
//! The service stands behind a proxy, so that each party has network addresses of its own, as they would.

use crate::{
    idle::only_when_idle,
    options::{Options, Scale},
    places::Places,
    service::{Connection, Service, fresh_home, guests, job},
    table::{Row, Target, Time},
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime},
};

/// Where the honest account is, and where the hostile one is: addresses of documentation.
const HONEST: &str = "192.0.2.1";
const HOSTILE: &str = "198.51.100.1";

const OCTETS: &str = "application/octet-stream";

/// From one request of the honest account to its next one, at least, on average: its limit is 50 in a second.
const HONEST_PACE: Duration = Duration::from_millis(25);

/// Requests of the honest account for one job.
const HONEST_REQUESTS: u32 = 4;

/// Network addresses of strangers.
const STRANGERS: u64 = 200;

/// Bytes of a large upload.
const LARGE_UPLOAD: usize = 32 << 20;

/// Datasets of the hostile account with descriptions of almost a megabyte.
const LARGE: usize = 20;

/// Bytes of each of them.
const DESCRIPTION_BYTES: usize = 1_000_000;

/// Answers from the slow source that are waited for at once.
const STALLED: usize = 64;

/// Bytes of a program that comes with a job.
const RAW_CODE: usize = 1_000_000;

/// Bytes of a body that the service holds to check a signature over it, without a digest in the head: the most.
const SIGNED_BODY: usize = 64 << 10;

/// Connections that never become requests: as many as a service without a proxy lets one address have.
const IDLE: usize = 256;

/// What the other account saw: seconds of each, sorted.
#[derive(Default)]
struct Seen {
    submissions: Vec<f64>,
    statuses: Vec<f64>,
    jobs: Vec<f64>,
}

pub(super) fn measure(places: &Places, options: &Options) -> Result<Vec<Row>> {
    // Most of the time is for the attacks: an idle service is soon known.
    let [idle, attacked] = match (options.minutes, options.scale) {
        (Some(minutes), _) => [minutes * 10, minutes * 50],
        (None, Scale::Full) => [30, 30],
        (None, Scale::Quick) => [5, 5],
    }
    .map(Duration::from_secs);
    let home = fresh_home(places, "hostile")?;
    let settings = [
        ("http.account_per_second", "50"),
        ("http.account_burst", "200"),
        ("sources.allow_networks", "127.0.0.0/8"),
        ("engine.account_queued", "50"),
        ("http.behind_proxy", "true"),
        ("http.address_per_second", "100"),
        ("http.address_burst", "400"),
        ("auth.ethereum_role", "consumer"),
        ("uploads.per_account", "256MiB"),
    ];
    let service = Service::start(places, &home, &settings)?;
    let alice = service.key_for("alice", "consumer")?;
    let (did, program) = (service.publish_small()?, service.upload_by(&alice, &guests::small()?)?);
    let honest = job(&did, &program);
    let idle = honest_account(&service, &alice, &honest, idle)?;

    let mallory = Hostile::new(&service)?;
    let is_over = AtomicBool::new(false);
    let during = std::thread::scope(|scope| {
        let attacks: [fn(&Hostile, &AtomicBool) -> Result<()>; 13] = [
            Hostile::slow_files,
            Hostile::lists,
            Hostile::large_submissions,
            Hostile::raw_code,
            Hostile::publications,
            Hostile::long_jobs,
            Hostile::denials,
            Hostile::small_uploads,
            Hostile::large_uploads,
            Hostile::guessed_keys,
            Hostile::unproven_signatures,
            Hostile::signed_bodies,
            Hostile::idle_connections,
        ];
        for attack in attacks {
            let (mallory, is_over) = (&mallory, &is_over);
            scope.spawn(move || {
                // Attackers are on other machines: the work of sending is theirs, and takes no processor from the service.
                only_when_idle()?;
                // A connection that is closed is opened again: an attacker would.
                while !is_over.load(Ordering::Relaxed) {
                    let _ = attack(mallory, is_over);
                    std::thread::sleep(Duration::from_millis(10));
                }
                anyhow::Ok(())
            });
        }
        std::thread::sleep(Duration::from_secs(1));
        let seen = honest_account(&service, &alice, &honest, attacked);
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
        Row::memory("memory of the service, the most", peak, format!("{} s", attacked.as_secs())),
    ])
}

/// Submits jobs one after the other and follows each to its end, with so few requests that no limit of its account is reached.
fn honest_account(service: &Service, key: &str, request: &Value, period: Duration) -> Result<Seen> {
    let mut connection = Connection::open_from(service.address, key, HONEST)?;
    let (mut seen, since) = (Seen::default(), Instant::now());
    while since.elapsed() < period || seen.jobs.is_empty() {
        let began = Instant::now();
        let job = connection.post("/v1/jobs", request)?.created()?;
        seen.submissions.push(began.elapsed().as_secs_f64());
        let path = format!("/v1/jobs/{}", job["id"].as_str().context("a job's id")?);
        let mut status = |connection: &mut Connection| -> Result<Value> {
            let asked = Instant::now();
            let job = connection.get(&path)?.ok()?;
            seen.statuses.push(asked.elapsed().as_secs_f64());
            Ok(job)
        };
        status(&mut connection)?;
        // The service says when the job has ended: who asks again and again measures the pauses between the questions.
        connection.follow(&format!("{path}/events"))?;
        seen.jobs.push(began.elapsed().as_secs_f64());
        let ended = status(&mut connection)?;
        ensure!(ended["phase"] == "Finished", "the job ended badly: {ended}");
        std::thread::sleep((HONEST_PACE * HONEST_REQUESTS).saturating_sub(began.elapsed()));
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
    /// Makes every upload, key and signature another one.
    count: AtomicU64,
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
            let answer = connection.post("/v1/datasets", &described(name, text, &services))?.created()?;
            answer["did"].as_str().map(str::to_owned).context("a DID")
        };
        let text = "x".repeat(DESCRIPTION_BYTES);
        let large = (0..LARGE).map(|number| publish(&format!("large-{number}"), &text, compute(true)));
        let large = large.collect::<Result<Vec<_>>>()?;
        let files: Vec<Value> = (0..STALLED).map(|n| json!({"type": "url", "url": format!("{url}{n}")})).collect();
        let slow = publish("slow", "", json!([{"id": "access", "type": "access", "files": files}]))?;
        let closed = publish("closed", "", compute(false))?;
        let program = service.upload_by(&key, &guests::sleep()?)?;
        Ok(Self {
            address: service.address,
            key,
            program,
            large,
            slow,
            closed,
            count: AtomicU64::new(1),
            _source: source,
        })
    }

    fn connect(&self) -> Result<Connection> {
        Connection::open_from(self.address, &self.key, HOSTILE)
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
            let head = format!("Host: x\r\nX-Forwarded-For: {HOSTILE}\r\nAuthorization: Bearer {}", self.key);
            write!(stream, "{method} {path} HTTP/1.1\r\n{head}\r\n\r\n")?;
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

    /// Jobs that bring a program of a megabyte each, in the request, which is no program.
    fn raw_code(&self, is_over: &AtomicBool) -> Result<()> {
        let mut connection = self.connect()?;
        let text = "x".repeat(RAW_CODE);
        let first = self.large.first();
        while !is_over.load(Ordering::Relaxed) {
            let code = format!("{}{text}", self.next());
            connection.post("/v1/jobs", &json!({"datasets": [first], "algorithm": {"rawcode": code}}))?;
        }
        Ok(())
    }

    /// A large description that changes all the time.
    fn publications(&self, is_over: &AtomicBool) -> Result<()> {
        let mut connection = self.connect()?;
        let text = "x".repeat(DESCRIPTION_BYTES);
        while !is_over.load(Ordering::Relaxed) {
            let text = format!("{}{text}", self.next());
            connection.post("/v1/datasets", &described("changing", &text, &compute(true)))?;
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

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    /// Files of a few bytes, one after the other, all of them different.
    fn small_uploads(&self, is_over: &AtomicBool) -> Result<()> {
        let mut connection = self.connect()?;
        while !is_over.load(Ordering::Relaxed) {
            connection.request("POST", "/v1/uploads", Some((OCTETS, self.next().to_string().as_bytes())))?;
        }
        Ok(())
    }

    /// Large files, as many as fit, each deleted again to make room for the next.
    fn large_uploads(&self, is_over: &AtomicBool) -> Result<()> {
        let mut connection = self.connect()?;
        let mut content = vec![b'x'; LARGE_UPLOAD];
        while !is_over.load(Ordering::Relaxed) {
            let number = self.next().to_be_bytes();
            content.iter_mut().zip(number).for_each(|(byte, new)| *byte = new);
            let sent = connection.request("POST", "/v1/uploads", Some((OCTETS, &content)))?;
            if let Ok(sent) = sent.created() {
                let sha256 = sent["sha256"].as_str().context("a digest")?;
                connection.request("DELETE", &format!("/v1/uploads/{sha256}"), None)?;
            }
        }
        Ok(())
    }

    /// The network address of another stranger.
    fn stranger(number: u64) -> String {
        format!("203.0.113.{}", 1 + number % STRANGERS)
    }

    /// Keys that do not exist, from many addresses, with a body that nobody should read.
    fn guessed_keys(&self, is_over: &AtomicBool) -> Result<()> {
        let body = vec![b'x'; 1 << 20];
        while !is_over.load(Ordering::Relaxed) {
            let number = self.next();
            let key = format!("clk_{:016x}_{number:043}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut connection = Connection::open_from(self.address, &key, &Self::stranger(number))?;
            connection.get("/v1/whoami")?;
            // The service may close the connection before it has read the body.
            let _ = connection.request("POST", "/v1/uploads", Some((OCTETS, &body)));
        }
        Ok(())
    }

    /// Signatures that are well formed and of no known signer: finding that out is work.
    fn unproven_signatures(&self, is_over: &AtomicBool) -> Result<()> {
        while !is_over.load(Ordering::Relaxed) {
            let mut connection = self.unproven()?;
            for path in ["/v1/whoami", "/v1/jobs", "/v1/uploads"] {
                connection.get(path)?;
            }
        }
        Ok(())
    }

    /// A connection of another stranger, whose requests have a signature of no known signer.
    fn unproven(&self) -> Result<Connection> {
        let number = self.next();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
        let signature = format!("{number:064x}{number:064x}1b");
        let signed = format!("Authorization: Ethereum address=0x{number:040x},nonce={now},signature=0x{signature}\r\n");
        let mut connection = Connection::open_from(self.address, "", &Self::stranger(number))?;
        connection.say_always(&signed);
        Ok(connection)
    }

    /// The same over large bodies: one that has to be read before the signature can be checked, and one that nobody should read.
    fn signed_bodies(&self, is_over: &AtomicBool) -> Result<()> {
        let body = vec![b'x'; 1 << 20];
        let held = body.get(..SIGNED_BODY).context("a shorter body")?;
        while !is_over.load(Ordering::Relaxed) {
            self.unproven()?.request("POST", "/v1/uploads", Some((OCTETS, held)))?;
            // The service may close the connection before it has read the body.
            let _ = self.unproven()?.request("POST", "/v1/uploads", Some((OCTETS, &body)));
        }
        Ok(())
    }

    /// Connections without credentials that begin a request and never end it, all from one place, which no proxy passes on.
    fn idle_connections(&self, is_over: &AtomicBool) -> Result<()> {
        let mut open = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let mut stream = TcpStream::connect(self.address)?;
            write!(stream, "GET /v1/whoami HTTP/1.1\r\nHost: x\r\n")?;
            open.push(stream);
            if open.len() > IDLE {
                open.remove(0);
            }
            std::thread::sleep(Duration::from_millis(20));
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

/// The DDO of a dataset.
fn described(name: &str, text: &str, services: &Value) -> Value {
    json!({
        "id": format!("did:op:{name}"), "version": "4.1.0", "services": services,
        "metadata": {"type": "dataset", "name": name, "description": text},
    })
}

/// A service of a dataset for jobs, which allows any program or none.
fn compute(allowed: bool) -> Value {
    json!([{
        "id": "compute", "type": "compute", "files": [{"type": "inline", "content": "a"}],
        "compute": {"allowRawAlgorithm": allowed, "profiles": ["deterministic", "standard"]},
    }])
}
