//! Jobs that are asked for with kubectl: what their requests say while nothing can be decided, what happens when a replica is killed
//! in the middle, and when a request is deleted.

use crate::{
    assets::{ALONE, label},
    cluster::Room,
    controller::{Installation, event},
};
use cloister_k8s_engine::{
    ACCOUNT, ClusterStore, Decide, Decided, Deciding, Results, decide_what_is_requested,
    resources::{ComputeJob, JobRequest},
};
use cloister_model::{Account, AuditAction, JobId, Jobs as _, Phase, Sha256, Timestamp};
use cloister_testkit::{account, now};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinHandle;

/// Longer than any replica waits before it looks at a request again that nobody decides about.
const A_WHILE: Duration = Duration::from_secs(1);

/// Decides as the use cases do: the same key finds the same job.
#[derive(Debug)]
struct Service {
    store: Arc<ClusterStore>,
    /// When its jobs are created.
    created: Timestamp,
    /// What it answers first, before it decides.
    first: Mutex<Option<Decided>>,
    /// It never answers, once the job is there: its replica is about to be killed.
    hangs: bool,
    asked: Mutex<Vec<(Account, String)>>,
    stopped: Mutex<Vec<(Account, JobId)>>,
}

impl Service {
    fn of(installation: &Installation, created: Timestamp) -> Self {
        let store = Arc::clone(&installation.store);
        Self {
            store,
            created,
            first: Mutex::default(),
            hangs: false,
            asked: Mutex::default(),
            stopped: Mutex::default(),
        }
    }

    /// Whom it was asked for, and with which keys.
    fn asked(&self) -> Vec<(Account, String)> {
        self.asked.lock().expect("no panic").clone()
    }

    async fn decide(&self, account: Account, key: String) -> Decided {
        // Real names of jobs follow from the account and the key, too.
        let [first, second, ..] = *Sha256::of(key.as_bytes()).as_bytes();
        self.asked.lock().expect("no panic").push((account, key));
        let before = self.first.lock().expect("no panic").take();
        if let Some(before) = before {
            return before;
        }
        let job = cloister_testkit::job(u16::from_be_bytes([first, second]).into(), self.created);
        let id = job.id;
        self.store.submit(job, Vec::new(), event(id, AuditAction::JobAllowed)).await.expect("a job");
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Decided::Allowed(id)
    }
}

impl Decide for Service {
    fn request(&self, account: Account, key: String, _request: Value) -> Deciding<'_, Decided> {
        Box::pin(self.decide(account, key))
    }

    fn results(&self, _account: Account, _job: JobId) -> Deciding<'_, Results> {
        Box::pin(std::future::ready(Results::Files(Vec::new())))
    }

    fn stop(&self, account: Account, job: JobId) -> Deciding<'_, Result<(), String>> {
        Box::pin(async move {
            self.stopped.lock().expect("no panic").push((account, job));
            let stopped = self.store.stop(job, event(job, AuditAction::JobStopped)).await;
            stopped.map(drop).map_err(|error| error.to_string())
        })
    }
}

/// Starts a replica that decides about requests.
fn replica(installation: &Installation, service: &Arc<Service>) -> JoinHandle<()> {
    let (cluster, store) = (installation.room.cluster.clone(), Arc::clone(&installation.store));
    tokio::spawn(decide_what_is_requested(cluster, store, Arc::clone(service) as Arc<dyn Decide>))
}

/// Asks for a job, as `kubectl apply` does.
async fn ask(room: &Room) {
    let request = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "JobRequest", "metadata": {"name": "r"},
        "spec": {"datasets": [{"did": "did:op:a"}], "algorithm": {"did": "did:op:b"}}});
    room.create("jobrequests", &request).await.expect("a request");
}

/// The status of the request, once it is as wanted.
async fn until(room: &Room, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..crate::LOOKS {
        last = room.read("jobrequests", "r").await["status"].take();
        if wanted(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the request stays as it is: {last}");
}

/// Whether the condition `Accepted` has this status for this reason.
fn accepted(status: &Value, holds: &str, reason: &str) -> bool {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.any(|one| one["type"] == "Accepted" && one["status"] == holds && one["reason"] == reason)
}

/// The job of the request, once it has one.
async fn job_of(room: &Room) -> JobId {
    let status = until(room, |status| status["job"].is_string()).await;
    assert!(accepted(&status, "True", "Allowed"), "{status}");
    status["job"].as_str().and_then(|job| job.parse().ok()).expect("the id of a job")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_request_that_is_deleted_stops_its_job() {
    let _alone = ALONE.lock().await;
    let installation = Installation::open(10).await;
    let room = &installation.room;
    label(room, "alice").await;
    installation.hold(Some("-c"));
    let controller = installation.start().await;
    let service = Arc::new(Service::of(&installation, now()));
    let replica = replica(&installation, &service);
    ask(room).await;
    let job = job_of(room).await;
    installation.shown(&format!("{job}-c")).await;
    assert!(!installation.store.status(job).await.expect("a status").phase.has_ended());
    let requests: Api<JobRequest> = Api::namespaced(room.client(), &room.cluster.namespaces().jobs);
    requests.delete("r", &DeleteParams::default()).await.expect("deleted");
    assert_eq!(installation.ended(job).await.phase, Phase::Stopped);
    // In the name of the account of the namespace, whose job it must be. Requests of tests that have ended go meanwhile, too.
    let stopped = service.stopped.lock().expect("no panic").clone();
    let accounts: Vec<&Account> = stopped.iter().filter(|(_, of)| *of == job).map(|(account, _)| account).collect();
    assert_eq!(accounts, [&account("alice")], "{stopped:?}");
    installation.nothing_is_left(&[job]).await;
    replica.abort();
    controller.abort();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_request_in_a_namespace_of_no_account_is_decided_once_the_namespace_has_one() {
    let _alone = ALONE.lock().await;
    let installation = Installation::open(10).await;
    let room = &installation.room;
    let service = Arc::new(Service::of(&installation, now()));
    let replica = replica(&installation, &service);
    ask(room).await;
    let status = until(room, |status| accepted(status, "False", "NoAccount")).await;
    // It says who has to do what, and it has not failed.
    assert!(status["reason"].as_str().is_some_and(|reason| reason.contains(ACCOUNT)), "{status}");
    assert_eq!((&status["job"], &status["phase"]), (&Value::Null, &Value::Null), "{status}");
    assert_eq!(service.asked(), []);
    label(room, "alice").await;
    let job = job_of(room).await;
    let accounts: Vec<Account> = service.asked().into_iter().map(|(account, _)| account).collect();
    // Asked again with the same key, where an answer was lost, it comes to the same job.
    assert!(!accounts.is_empty() && accounts.iter().all(|asked| *asked == account("alice")), "{accounts:?}");
    assert_eq!(installation.store.status(job).await.expect("a status").phase, Phase::Queued);
    replica.abort();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_request_that_cannot_be_decided_yet_says_why_and_is_decided_later() {
    let _alone = ALONE.lock().await;
    let installation = Installation::open(10).await;
    let room = &installation.room;
    label(room, "alice").await;
    let service = Service::of(&installation, now());
    let reason = "a source does not answer".to_owned();
    *service.first.lock().expect("no panic") = Some(Decided::Later { reason: reason.clone() });
    let service = Arc::new(service);
    let replica = replica(&installation, &service);
    ask(room).await;
    let status = until(room, |status| accepted(status, "Unknown", "Waiting")).await;
    assert_eq!((&status["reason"], &status["job"]), (&json!(reason), &Value::Null), "{status}");
    let job = job_of(room).await;
    let status = until(room, |_| true).await;
    assert_eq!(status["reason"], Value::Null, "the reason to wait stays: {status}");
    // With the same key: had the first answer been lost, no second job would be there.
    let asked = service.asked();
    assert!(asked.len() >= 2 && asked.iter().all(|one| *one == asked[0]), "{asked:?}");
    assert_eq!(installation.store.status(job).await.expect("a status").phase, Phase::Queued);
    replica.abort();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_request_that_is_denied_for_want_of_an_interpreter_names_it() {
    let _alone = ALONE.lock().await;
    let installation = Installation::open(10).await;
    let room = &installation.room;
    label(room, "alice").await;
    let service = Service::of(&installation, now());
    let rules = vec!["a rule".to_owned()];
    let interpreter = Some("python".to_owned());
    *service.first.lock().expect("no panic") = Some(Decided::Denied { rules, interpreter });
    let service = Arc::new(service);
    let replica = replica(&installation, &service);
    ask(room).await;
    let status = until(room, |status| accepted(status, "False", "Denied")).await;
    assert_eq!((&status["phase"], &status["job"]), (&json!("Denied"), &Value::Null), "{status}");
    assert_eq!(status["denials"], json!(["a rule"]), "{status}");
    let reason = status["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("the interpreter `python` is not installed here"), "{status}");
    let conditions = status["conditions"].as_array().expect("conditions");
    assert!(conditions.iter().all(|condition| condition["message"] == reason), "{status}");
    replica.abort();
}

/// The job is there, and no status says so: the next replica asks with the same key, and finds the job.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_replica_that_is_killed_between_a_decision_and_its_status_makes_no_second_job() {
    let _alone = ALONE.lock().await;
    let installation = Installation::open(10).await;
    let room = &installation.room;
    label(room, "alice").await;
    let created = now();
    let killed = Arc::new(Service { hangs: true, ..Service::of(&installation, created) });
    let first = replica(&installation, &killed);
    let jobs: Api<ComputeJob> = Api::namespaced(room.client(), &room.cluster.namespaces().jobs);
    let names = async || -> Vec<String> {
        let found = jobs.list(&ListParams::default()).await.expect("jobs");
        found.items.iter().map(ComputeJob::name_any).collect()
    };
    ask(room).await;
    let mut before = Vec::new();
    for _ in 0..crate::LOOKS {
        before = names().await;
        if !before.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(before.len(), 1, "{before:?}");
    first.abort();
    let _ = first.await;
    let status = until(room, |_| true).await;
    assert_eq!((&status["phase"], &status["job"]), (&json!("Deciding"), &Value::Null), "{status}");

    // As long as the one that began may be at it, nobody else decides.
    let service = Arc::new(Service::of(&installation, created));
    let second = replica(&installation, &service);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(service.asked(), []);
    let long_ago = json!({"status": {"decided": "2026-01-02T03:04:05.678Z"}});
    room.patch("jobrequests", "r/status", &long_ago).await.expect("a status");
    let job = job_of(room).await;
    assert_eq!(service.asked(), killed.asked());
    assert_eq!((names().await, job.to_string()), (before.clone(), before[0].clone()));
    second.abort();
}
