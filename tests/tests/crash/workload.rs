//! A service that is killed and started again, and everybody who goes on as if nothing happened.

use crate::{
    chance::Chance,
    evidence::Evidence,
    kinds::{Also, Kind, Reviews, prepare},
    source,
};
use cloister_tests::{
    sandbox,
    service::{Answer, Request, Service, Setup, Who, wait_for},
};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

/// Everything that does not change while the service comes and goes.
pub(crate) struct Workload {
    _folder: TempDir,
    pub(crate) evidence: Evidence,
    pub(crate) operator: Who,
    pub(crate) consumer: Who,
    pub(crate) kinds: Vec<Kind>,
    reviews: Reviews,
    /// Where it listened last.
    address: Mutex<SocketAddr>,
    over: AtomicBool,
    /// Submissions that wait for their answer.
    pub(crate) in_flight: AtomicU64,
    /// Submissions that were sent again because no answer came, and those whose job was there already then.
    pub(crate) repeated: AtomicU64,
    pub(crate) found: AtomicU64,
}

/// A submission that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    pub(crate) key: String,
    pub(crate) kind: Kind,
    pub(crate) job: String,
}

impl Workload {
    pub(crate) fn new() -> (Self, Service) {
        let folder = TempDir::new().expect("a temporary directory");
        let evidence = Evidence::new(folder.path(), &sandbox());
        let service = Setup::new()
            .set("sandbox", &evidence.program.display().to_string())
            .set("sources.allow_networks", "127.0.0.0/8")
            // Nothing stays: inputs are fetched for every job.
            .set("cache.bytes", "1B")
            .set("engine.cpus", "4")
            .set("engine.max_jobs", "4")
            .set("log.level", "warn")
            .start();
        let (publisher, consumer) = (service.account("paula", "publisher"), service.account("carol", "publisher"));
        let (kinds, reviews) = prepare(&service, &publisher, &consumer, source::serve());
        let workload = Self {
            _folder: folder,
            evidence,
            operator: service.operator.clone(),
            consumer,
            kinds,
            reviews,
            address: Mutex::new(service.address()),
            over: AtomicBool::new(false),
            in_flight: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            found: AtomicU64::new(0),
        };
        (workload, service)
    }

    pub(crate) fn moved_to(&self, address: SocketAddr) {
        *self.address.lock().expect("no panic") = address;
    }

    fn request(&self, method: &str, target: &str, who: &Who) -> Request {
        let address = *self.address.lock().expect("no panic");
        Request::new(address, method, target).by(who).patience(Duration::from_secs(90))
    }

    /// The answer, if there is one: the service may be dead, or die over it.
    pub(crate) fn ask(request: &Request) -> Option<Answer> {
        let answer = request.open().and_then(|stream| stream.finish(String::new())).ok();
        // The service of another test may have got the port of the one that is dead, and knows nobody here.
        answer.filter(|answer| answer.status != 401)
    }

    /// What the operator reads there, if there is an answer.
    pub(crate) fn read(&self, target: &str) -> Option<Value> {
        Self::ask(&self.request("GET", target, &self.operator)).map(|answer| answer.expect_json(200))
    }

    /// Asks until there is an answer.
    fn insist(&self, method: &str, target: &str, who: &Who, body: Option<&Value>, key: Option<&str>) -> (Answer, bool) {
        let mut repeated = false;
        let answer = wait_for("an answer", || {
            // Anew every time: it listens somewhere else after a restart.
            let mut request = self.request(method, target, who);
            if let Some(body) = body {
                request = request.json(body);
            }
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            let answer = Self::ask(&request);
            repeated |= answer.is_none();
            answer
        });
        (answer, repeated)
    }

    /// Submits jobs until it is over.
    pub(crate) fn submit_jobs(&self, name: &str, mut chance: Chance, pause_ms: u64) -> Vec<Submitted> {
        let mut submitted = Vec::new();
        while !self.over.load(Ordering::Relaxed) {
            let key = format!("{name}-{}", submitted.len());
            let kind = chance.one_of(&self.kinds).clone();
            submitted.push(self.submit(key, kind));
            thread::sleep(chance.up_to_ms(pause_ms));
        }
        submitted
    }

    fn submit(&self, key: String, kind: Kind) -> Submitted {
        let request = kind.request(&key);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let (answer, repeated) = self.insist("POST", "/v1/jobs", &self.consumer, Some(&request), Some(&key));
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        assert!(answer.status == 201 || (repeated && answer.status == 200), "{}: {}", kind.name, answer.shown());
        self.repeated.fetch_add(repeated.into(), Ordering::Relaxed);
        self.found.fetch_add((answer.status == 200).into(), Ordering::Relaxed);
        let job = text(&answer.json(), "id");
        if kind.also == Also::Stop {
            let (answer, _) = self.insist("POST", &format!("/v1/jobs/{job}/stop"), &self.consumer, None, None);
            assert_eq!(answer.status, 202, "{}", answer.shown());
        }
        Submitted { key, kind, job }
    }

    /// The job of a submission that is sent once more.
    pub(crate) fn submit_again(&self, submitted: &Submitted) -> String {
        let Submitted { key, kind, job: _ } = submitted;
        let request = kind.request(key);
        let (answer, _) = self.insist("POST", "/v1/jobs", &self.consumer, Some(&request), Some(key));
        text(&answer.expect_json(200), "id")
    }

    /// Reviews whatever waits for it until it is over.
    pub(crate) fn review_jobs(&self, mut chance: Chance) {
        while !self.over.load(Ordering::Relaxed) {
            self.review_all();
            thread::sleep(chance.up_to_ms(150));
        }
    }

    fn review_all(&self) {
        let Some(waiting) = self.read("/v1/jobs?phase=InReview&limit=100") else { return };
        for job in waiting["items"].as_array().expect("a list") {
            let id = text(job, "id");
            let verdict = self.reviews.verdict(job["datasets"][0].as_str().expect("a DID"));
            let request = self.request("POST", &format!("/v1/jobs/{id}/review"), &self.operator).json(&verdict);
            if let Some(answer) = Self::ask(&request) {
                // A reviewer whose decision was stored but not acknowledged sends it again.
                assert!(matches!(answer.status, 200 | 202 | 409), "{}", answer.shown());
            }
        }
    }

    /// No more jobs, and every one of them to its end.
    pub(crate) fn finish(&self) {
        wait_for("all jobs to end", || {
            self.review_all();
            let active = self.read("/v1/jobs?state=active&limit=1").expect("an answer");
            active["items"].as_array().expect("a list").is_empty().then_some(())
        });
    }

    pub(crate) fn no_more_jobs(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether a job is in this phase just now.
    pub(crate) fn has_job_in(&self, phase: &str) -> bool {
        let found = self.read(&format!("/v1/jobs?phase={phase}&limit=1"));
        found.is_some_and(|found| !found["items"].as_array().expect("a list").is_empty())
    }

    /// Every job that there is.
    pub(crate) fn all_jobs(&self) -> Vec<Value> {
        self.all("/v1/jobs?limit=100", "cursor")
    }

    /// Every record of the audit log.
    pub(crate) fn all_records(&self) -> Vec<Value> {
        self.all("/v1/audit?limit=100", "after")
    }

    fn all(&self, target: &str, next: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut page = self.read(target).expect("an answer");
        loop {
            all.extend(page["items"].as_array().expect("a list").iter().cloned());
            let place = match &page["next"] {
                Value::Null => return all,
                Value::String(place) => place.clone(),
                place => place.to_string(),
            };
            page = self.read(&format!("{target}&{next}={place}")).expect("an answer");
        }
    }

    /// What the consumer reads there.
    pub(crate) fn fetch(&self, target: &str) -> Answer {
        self.insist("GET", target, &self.consumer, None, None).0
    }
}

/// A text field.
pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no text `{name}`: {value:#}")).to_owned()
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    u64::try_from(now.as_millis()).expect("a clock before the end of time")
}

/// A job's phases in order, with the moment of each in milliseconds since 1970.
pub(crate) fn history(job: &Value) -> Vec<(String, u64)> {
    let steps = job["history"].as_array().unwrap_or_else(|| panic!("no history: {job:#}"));
    steps.iter().map(|step| (text(step, "phase"), unix_ms(&text(step, "at")))).collect()
}

/// Milliseconds since 1970 of a moment as RFC 3339 has it, in UTC with milliseconds.
fn unix_ms(at: &str) -> u64 {
    let fields: Vec<u64> =
        at.split(|letter: char| !letter.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
    let &[year, month, day, hour, minute, second, ms] = fields.as_slice() else { panic!("no moment: {at}") };
    assert!(at.ends_with('Z') && at.len() == "2026-01-01T00:00:00.000Z".len(), "no moment: {at}");
    // Days before this one since the first of March of the year 0.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    (((days - 719_468) * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + ms
}

/// What a job says of its end, for comparisons.
pub(crate) fn fault(job: &Value) -> &str {
    job["reason"]["fault"].as_str().unwrap_or("nobody")
}

#[test]
fn moments_are_read() {
    assert_eq!(unix_ms("1970-01-01T00:00:00.000Z"), 0);
    assert_eq!(unix_ms("2026-11-25T08:20:01.234Z"), 1_795_594_801_234);
    assert_eq!(
        history(&json!({"history": [{"phase": "Queued", "at": "1970-01-01T00:00:00.007Z"}]})),
        [("Queued".to_owned(), 7)]
    );
}
