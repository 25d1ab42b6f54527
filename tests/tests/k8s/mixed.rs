//! Many jobs of all kinds, of two accounts, in an environment with five places: each comes to the end of its kind, runs once, and leaves
//! nothing behind but what is kept of it.

use super::{
    containers::{self, digest, python},
    jobs::{Installation, event, hostile, text},
    killed::{BEGINS, MOST_PODS},
};
use cloister_model::{
    AuditAction, AuditEvent, Fault, JobId, JobSpec, JobStatus, Jobs as _, Outputs as _, Phase, Reason, ResultSet,
};
use cloister_testkit::guests::WRITES;
use cloister_tests::{
    cluster::{self, Namespace, PATIENCE},
    service::{ENDLESS, EXITS_WITH_7, NOTHING},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};
use tokio::task::block_in_place;

/// How many jobs there are, unless this variable says otherwise.
const JOBS: u32 = 30;
const NUMBER_OF_JOBS: &str = "CLOISTERDEV_JOBS";

/// Jobs that have left their queue and not ended, at once.
const PLACES: usize = 5;

/// Longest that one of them takes on a busy machine, as if there were one place.
const LONGEST_JOB: Duration = Duration::from_secs(60);

const OWNERS: [&str; 2] = ["alice", "bob"];

/// What becomes of a job. One job in ten is a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Writes,
    DoesNothing,
    Fails,
    TakesMemory,
    TakesTime,
    LeavesWhatMayNot,
    HasNoData,
    IsStopped,
    IsContainer,
}

const KINDS: [Kind; 10] = [
    Kind::Writes,
    Kind::Fails,
    Kind::IsContainer,
    Kind::TakesMemory,
    Kind::IsStopped,
    Kind::DoesNothing,
    Kind::LeavesWhatMayNot,
    Kind::TakesTime,
    Kind::HasNoData,
    Kind::Writes,
];

impl Kind {
    /// Makes a job one of this kind.
    fn change(self, number: u64, job: &mut JobSpec) {
        let guest = match self {
            Self::Writes | Self::LeavesWhatMayNot => WRITES.to_owned(),
            Self::DoesNothing | Self::HasNoData => NOTHING.to_owned(),
            Self::Fails => EXITS_WITH_7.to_owned(),
            Self::TakesMemory => hostile("memory_growth"),
            Self::TakesTime | Self::IsStopped => ENDLESS.to_owned(),
            Self::IsContainer => {
                let script = BEGINS.replace("NUMBER", &number.to_string());
                python(&script)(job);
                return;
            }
        };
        job.algorithm.source = text(&guest);
        match self {
            Self::TakesTime => job.limits.wall_ms = 2000,
            Self::LeavesWhatMayNot => {
                job.terms.release = serde_json::from_value(json!({"mediaTypes": ["image/png"]})).expect("rules");
            }
            // The networks of the cluster are closed to sources.
            Self::HasNoData => job.inputs[0].source = cloister_testkit::url("https://127.0.0.1/table.csv"),
            _ => {}
        }
    }

    /// Its phase at the end, whose fault that is, and words of the reason.
    fn end(self) -> (Phase, Fault, &'static str) {
        match self {
            Self::Writes | Self::DoesNothing | Self::IsContainer => (Phase::Finished, Fault::Nobody, ""),
            Self::Fails => (Phase::AlgorithmFailed, Fault::Algorithm, "exit code 7"),
            Self::TakesMemory => (Phase::LimitExceeded, Fault::Algorithm, "limit exceeded: memory ("),
            Self::TakesTime => (Phase::LimitExceeded, Fault::Algorithm, "limit exceeded: wall-time"),
            Self::LeavesWhatMayNot => (Phase::OutputRefused, Fault::Algorithm, "allowed: image/png"),
            Self::HasNoData => (Phase::DataProvisioningFailed, Fault::Publisher, ""),
            Self::IsStopped => (Phase::Stopped, Fault::Nobody, "stopped"),
        }
    }

    /// How often its algorithm begins.
    fn runs(self) -> u64 {
        u64::from(self != Self::HasNoData)
    }
}

/// A job that was submitted.
struct Submitted {
    number: u64,
    kind: Kind,
    owner: &'static str,
    id: JobId,
}

/// Containers, too, on volumes that are folders, and pods that are small enough for all places to be taken on one node.
fn environment(jobs: u32) -> Value {
    let mut environment = containers::environment();
    environment["spec"]["storage"] = cluster::environment()["spec"]["storage"].clone();
    environment["spec"]["limits"]["jobs"] = json!(PLACES);
    environment["spec"]["limits"]["queued"] = json!(jobs);
    environment["spec"]["steps"]["algorithmCpuMillis"] = json!(200);
    environment
}

async fn submit(installation: &Installation, jobs: u32) -> Vec<Submitted> {
    let mut submitted = Vec::new();
    for (number, kind) in (1..=u64::from(jobs)).zip(KINDS.into_iter().cycle()) {
        // Each kind has jobs of both.
        let owner = if (number - 1) / 10 % 2 == number % 2 { OWNERS[0] } else { OWNERS[1] };
        let change = |job: &mut JobSpec| {
            job.queue = owner.to_owned();
            job.record.owner = cloister_testkit::account(owner);
            job.labels = cloister_testkit::labels(&[("owner", owner)]);
            kind.change(number, job);
        };
        let id = installation.submit(number, change).await;
        submitted.push(Submitted { number, kind, owner, id });
    }
    submitted
}

/// Pods of algorithms that run at this moment: of one list, which shows the cluster at one moment. One that is being deleted does not
/// count, because its node may be late to say that it is gone.
fn algorithms_that_run(jobs: &Namespace) -> usize {
    let shown = jobs.kubectl(&[
        "get",
        "pods",
        "-l",
        "cloister.dev/job,cloister.dev/step=algorithm",
        "--field-selector=status.phase=Running",
        "-o",
        r#"jsonpath={range .items[*]}{.metadata.name}/{.metadata.deletionTimestamp}{"\n"}{end}"#,
    ]);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    String::from_utf8_lossy(&shown.stdout).lines().filter(|pod| pod.ends_with('/')).count()
}

/// Waits for the end of all jobs, in whose course owners stop some. Their statuses, and the most algorithms that were seen to run at once.
async fn to_their_ends(installation: &Installation, jobs: &[Submitted]) -> (Vec<JobStatus>, usize) {
    let end = Instant::now() + LONGEST_JOB * u32::try_from(jobs.len()).expect("a number of jobs");
    let (mut asked, mut most) = (BTreeSet::new(), 0_usize);
    loop {
        most = most.max(block_in_place(|| algorithms_that_run(&installation.jobs)));
        let mut statuses = Vec::new();
        for job in jobs {
            let status = installation.store.status(job.id).await.expect("a status");
            // An endless one: it ends in no other way meanwhile.
            if job.kind == Kind::IsStopped && status.phase == Phase::Running && asked.insert(job.id) {
                let by_owner = AuditEvent { actor: job.owner.to_owned(), ..event(job.id, AuditAction::JobStopped) };
                installation.store.stop(job.id, by_owner).await.expect("stopped");
            }
            statuses.push(status);
        }
        let Some(open) = statuses.iter().position(|status| !status.phase.has_ended()) else {
            return (statuses, most);
        };
        assert!(Instant::now() < end, "it does not end: {:?}", statuses[open]);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// The most jobs that had left their queue and not ended at one moment. The history of a job has each of its phases and the moment at
/// which the controller decided it, so that nothing between two looks is missed. A place that becomes free is given to the next job in a
/// decision after that one: in the same millisecond, the end was first.
fn most_past_the_queue(statuses: &[JobStatus]) -> usize {
    let mut changes = Vec::new();
    for status in statuses {
        let left = status.history.iter().find(|step| step.phase != Phase::Queued).map(|step| step.at);
        let ended = status.history.iter().find(|step| step.phase.has_ended()).map(|step| step.at);
        // One that left its queue to its end, in one decision, had no place.
        if let (Some(left), Some(ended)) = (left, ended)
            && left < ended
        {
            changes.extend([(left, true), (ended, false)]);
        }
    }
    // `false` before `true`.
    changes.sort_unstable();
    let (mut now, mut most) = (0_usize, 0_usize);
    for (_, begins) in changes {
        now = if begins { now + 1 } else { now - 1 };
        most = most.max(now);
    }
    most
}

/// Asserts that a job ended as one of its kind does, and that its algorithm began as often as it has to.
async fn ended_as_its_kind(installation: &Installation, job: &Submitted, status: &JobStatus, object: &Value) {
    let Submitted { number, kind, .. } = job;
    let (phase, fault, words) = kind.end();
    let reason = status.reason.as_ref();
    let found = (status.phase, reason.map_or(Fault::Nobody, Reason::fault));
    assert_eq!(found, (phase, fault), "job {number}, {kind:?}: {status:?}");
    assert!(reason.map_or("", Reason::text).contains(words), "job {number}, {kind:?}: {status:?}");
    let running = status.history.iter().filter(|step| step.phase == Phase::Running).count();
    assert_eq!(u64::try_from(running).expect("a number"), kind.runs(), "job {number}, {kind:?}: {status:?}");
    // A pod that has not begun is replaced where its node gives it up, and counts as given up where its job is stopped.
    let pods = object["status"]["attempts"]["algorithm"].as_u64().unwrap_or_default();
    assert!((kind.runs()..=MOST_PODS * kind.runs()).contains(&pods), "job {number}, {kind:?}: {object}");
    if *kind == Kind::Writes {
        // The output and the log.
        assert_eq!(object["status"]["results"]["files"], 2, "job {number}: {object}");
    }
    if phase != Phase::Finished {
        let released = installation.store.results(job.id, ResultSet::Released).await.expect("a list");
        assert!(released.is_empty(), "job {number}, {kind:?}: {released:?}");
    }
}

/// What a container began twice would have said twice.
fn containers_ran_once(installation: &Installation, jobs: &[Submitted]) {
    if cluster::own_cluster().is_none() {
        return;
    }
    let stored = installation.stored("");
    for job in jobs.iter().filter(|job| job.kind == Kind::IsContainer) {
        let once = format!("begun {}\n", job.number);
        let said: Vec<_> = stored.iter().filter(|content| content.starts_with(once.as_bytes())).collect();
        assert!(!said.is_empty() && said.iter().all(|said| *said == once.as_bytes()), "job {}: {said:?}", job.number);
    }
}

/// The ComputeJobs, by their names.
fn compute_jobs(jobs: &Namespace) -> BTreeMap<String, Value> {
    let shown = jobs.kubectl(&["get", "computejobs", "-o", "json"]);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let mut shown: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let items = shown["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    items.into_iter().map(|item| (item["metadata"]["name"].as_str().unwrap_or_default().to_owned(), item)).collect()
}

/// All kinds of objects that a namespace can have, but for events, which the cluster forgets after an hour.
fn kinds_of_objects() -> String {
    let listed = cluster::run(&["api-resources", "--namespaced=true", "--verbs=list", "-o", "name"], b"");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let kinds: Vec<&str> = listed.lines().filter(|kind| !matches!(*kind, "events" | "events.events.k8s.io")).collect();
    assert!(["pods", "secrets", "computejobs.cloister.dev"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    kinds.join(",")
}

/// The names of all objects of a namespace, with their kinds; or that the cluster does not answer.
fn objects(namespace: &Namespace, kinds: &str) -> Result<BTreeSet<String>, String> {
    let shown = namespace.kubectl(&["get", kinds, "-o", "name"]);
    if shown.status.success() {
        Ok(String::from_utf8_lossy(&shown.stdout).lines().map(str::to_owned).collect())
    } else {
        Err(String::from_utf8_lossy(&shown.stderr).into_owned())
    }
}

/// A namespace, what was in it before the first job, and how the names of objects begin that are there for good.
struct Watched<'a> {
    namespace: &'a Namespace,
    before: BTreeSet<String>,
    kept: Vec<String>,
}

impl<'a> Watched<'a> {
    fn look(namespace: &'a Namespace, kinds: &str) -> Self {
        let mut before = objects(namespace, kinds).expect("objects");
        // The cluster itself adds it to each namespace.
        before.insert("configmap/kube-root-ca.crt".to_owned());
        Self { namespace, before, kept: Vec::new() }
    }

    /// What is there now beside that.
    fn left(&self, kinds: &str) -> Result<Vec<String>, String> {
        let is_left = |name: &String| {
            !self.before.contains(name) && !self.kept.iter().any(|beginning| name.starts_with(beginning.as_str()))
        };
        Ok(objects(self.namespace, kinds)?.into_iter().filter(is_left).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn many_jobs_of_all_kinds_in_few_places_leave_nothing_behind() {
    let number = std::env::var(NUMBER_OF_JOBS).ok();
    let number: u32 = number.map_or(JOBS, |number| number.parse().expect("CLOISTERDEV_JOBS is a number"));
    block_in_place(digest);
    let installation = Installation::open_with("mixed", &environment(number)).await;
    let kinds = block_in_place(kinds_of_objects);
    let [system, assets] = &installation.others;
    let [mut of_jobs, mut of_system, of_assets] =
        block_in_place(|| [&installation.jobs, system, assets].map(|namespace| Watched::look(namespace, &kinds)));

    let jobs = submit(&installation, number).await;
    let (statuses, algorithms) = to_their_ends(&installation, &jobs).await;
    let ended = Instant::now();

    // A job stays, with the Secrets that hold what was asked for and belong to it: the last part of this test removes them together.
    for job in &jobs {
        of_jobs.kept.extend([format!("computejob.cloister.dev/{}", job.id), format!("secret/{}-p", job.id)]);
    }
    // The audit log, receipts, the key of the archive and the lease of the controller.
    let kept =
        ["configmap/audit-", "secret/receipt-", "secret/archive-key", "lease.coordination.k8s.io/cloister-engine"];
    of_system.kept.extend(kept.map(str::to_owned));
    block_in_place(|| {
        // Volumes, too, which are in no namespace.
        installation.nothing_is_left();
        for watched in [&of_jobs, &of_system, &of_assets] {
            loop {
                match watched.left(&kinds) {
                    Ok(left) if left.is_empty() => break,
                    left => assert!(ended.elapsed() < PATIENCE, "still there: {left:?}"),
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        }
    });
    let left_for = ended.elapsed().as_secs();

    let compute_jobs = block_in_place(|| compute_jobs(&installation.jobs));
    assert_eq!(compute_jobs.len(), jobs.len(), "{:?}", compute_jobs.keys());
    for (job, status) in jobs.iter().zip(&statuses) {
        let object = &compute_jobs[&job.id.to_string()];
        ended_as_its_kind(&installation, job, status, object).await;
    }
    containers_ran_once(&installation, &jobs);
    let most = most_past_the_queue(&statuses);
    println!(
        "{number} jobs; at once, {most} were past the queue and {algorithms} algorithms were seen to run; after {left_for} s nothing was left"
    );
    // Some together, or this would show nothing.
    assert!((2..=PLACES).contains(&most), "{most} jobs past the queue at once");
    assert!((1..=PLACES).contains(&algorithms), "{algorithms} algorithms at once");

    // What was asked for goes with the jobs.
    let gone = block_in_place(|| installation.jobs.kubectl(&["delete", "computejobs", "--all", "--timeout=120s"]));
    assert!(gone.status.success(), "{}", String::from_utf8_lossy(&gone.stderr));
    of_jobs.kept.clear();
    block_in_place(|| {
        installation.jobs.until("the Secrets of jobs to be gone", |_| {
            of_jobs.left(&kinds).is_ok_and(|left| left.is_empty()).then_some(())
        });
    });
}
