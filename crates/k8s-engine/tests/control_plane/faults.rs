//! An API server that fails: conflicts, too many requests, faults of its own, answers that are lost after the request was done, and
//! requests that nothing answers. Each kind of write meets each of them, in every phase of a job and in everything that others ask
//! of it, at the controller and at the service; reads meet them, too; and nothing is lost or done twice.

use crate::{
    cluster::{self, Room},
    controller::{Installation, event, options},
    endings::Ending,
};
use bytes::Bytes;
use cloister_k8s_engine::{Cluster, ClusterStore, controller::Controller};
use cloister_model::{AuditAction, EngineError, JobId, JobSpec, Jobs as _, Phase, ReviewVerdict};
use futures_util::future::join_all;
use http::{Method, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// 409: the object was changed meanwhile.
    Conflict,
    /// 429: priority and fairness of the API server have no place for it.
    TooMany,
    /// 500: the API server has a fault, or etcd has.
    Internal,
    /// It is done, and its answer is lost.
    Lost,
    /// Nothing answers. Once for each kind of request, because each is waited for, for ten seconds.
    Silence,
}

/// What has to be seen, and to meet everything that can go wrong with it. The service makes the first ones, both programs the one
/// for the audit log, and the controller the rest.
const NEEDED: [&str; 19] = [
    "GET computejobs by name",
    "POST computejobs",
    "POST secrets",
    "PATCH computejobs stop",
    "PATCH computejobs review",
    "PATCH computejobs publish",
    "PATCH computejobs removal",
    "POST configmaps",
    "POST persistentvolumeclaims",
    "POST pods -c",
    "POST pods -a",
    "POST pods -p",
    "PATCH computejobs/status Configuring",
    "PATCH computejobs/status Running",
    "PATCH computejobs/status Filtering",
    "PATCH computejobs/status InReview",
    "PATCH computejobs/status Finished",
    "DELETE pods",
    "DELETE persistentvolumeclaims",
];

/// Jobs at least.
const FEW: usize = 24;

/// Jobs at most: by then, all faults have happened to everything several times.
const MANY: usize = 160;

/// The requests of one kind.
#[derive(Debug, Default)]
struct Kind {
    requests: usize,
    faults: usize,
    met: BTreeSet<Fault>,
}

/// The faults of one API server.
#[derive(Default)]
struct Faults(Mutex<BTreeMap<String, Kind>>);

impl Faults {
    fn kinds(&self) -> MutexGuard<'_, BTreeMap<String, Kind>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong with this request: something with one write in three, with one read of one object in four, and with one other
    /// read in twelve.
    fn next(&self, request: &Parts, body: &[u8]) -> Option<Fault> {
        let (mut kinds, name) = (self.kinds(), kind(request, body));
        let (possible, is_by_name) = (possible(&name), name.ends_with(BY_NAME));
        let kind = kinds.entry(name).or_default();
        kind.requests += 1;
        // Looks random, so that a request that is made again may fail again.
        let dice = (kind.requests as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let one_in = match (request.method == Method::GET, is_by_name) {
            (false, _) => 3,
            (true, true) => 4,
            (true, false) => 12,
        };
        if !dice.is_multiple_of(one_in) {
            return None;
        }
        let fault = *possible.get(kind.faults % possible.len())?;
        kind.faults += 1;
        let is_new = kind.met.insert(fault);
        (fault != Fault::Silence || is_new).then_some(fault)
    }

    /// Of what is needed, and of the kinds of writes that every job makes, those that have not met everything yet.
    fn missing(&self, jobs: usize) -> Vec<String> {
        let kinds = self.kinds();
        let unseen =
            NEEDED.iter().filter(|name| !kinds.contains_key(**name)).map(|name| format!("{name} was not seen"));
        let counts =
            |name: &str, kind: &Kind| NEEDED.contains(&name) || (!name.starts_with("GET ") && kind.requests >= jobs);
        let unmet = kinds
            .iter()
            .filter(|(name, kind)| counts(name, kind) && possible(name).iter().any(|fault| !kind.met.contains(fault)));
        unseen.chain(unmet.map(|(name, kind)| format!("{name}: {kind:?}"))).collect()
    }
}

/// What can go wrong with requests of a kind, in turns. Lists and watches begin anew by themselves: what becomes of them when
/// nothing comes any more is up to the connection, which other tests cut.
fn possible(kind: &str) -> &'static [Fault] {
    match kind.split(' ').next().unwrap_or_default() {
        "GET" if kind.ends_with(BY_NAME) => &[Fault::Lost, Fault::Internal, Fault::Silence, Fault::TooMany],
        "GET" => &[Fault::Lost, Fault::Internal, Fault::TooMany],
        "POST" | "DELETE" => &[Fault::Lost, Fault::Internal, Fault::Silence, Fault::TooMany],
        _ => &[Fault::Lost, Fault::Conflict, Fault::Internal, Fault::Silence, Fault::TooMany],
    }
}

/// The end of the kinds of requests that read one object.
const BY_NAME: &str = " by name";

/// The kind of a request: what it does to which objects; of a pod also its step, of a status the phase that it stores, and of another
/// change of a job what is asked of it.
fn kind(request: &Parts, body: &[u8]) -> String {
    let mut path = request.uri.path().split('/').skip_while(|part| *part != "namespaces").skip(2);
    let (resource, name, of) = (path.next().unwrap_or("another"), path.next(), path.next());
    let sent = || serde_json::from_slice::<Value>(body).unwrap_or_default();
    let detail = match (resource, of) {
        ("pods", _) if request.method == Method::POST => {
            let sent = sent();
            let step = sent["metadata"]["name"].as_str().and_then(|name| name.get(32..));
            format!(" {}", step.unwrap_or_default())
        }
        ("computejobs", Some("status")) => {
            format!("/status {}", sent()["status"]["phase"].as_str().unwrap_or_default())
        }
        ("computejobs", None) if request.method == Method::PATCH => {
            let sent = sent();
            let asked = sent["spec"].as_object().and_then(|spec| spec.keys().next());
            asked.map(|field| format!(" {field}")).unwrap_or_default()
        }
        (_, Some(of)) => format!("/{of}"),
        (_, None) if request.method == Method::GET && name.is_some() => BY_NAME.to_owned(),
        (_, None) => String::new(),
    };
    format!("{} {resource}{detail}", request.method)
}

fn refusal(code: StatusCode, reason: &str) -> Response<UnsyncBoxBody<Bytes, Error>> {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": code.as_u16(), "reason": reason,
        "message": "a fault of the test",
    });
    let body = Full::new(Bytes::from(status.to_string())).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
}

/// The cluster as seen by a process whose API server has these faults.
fn faulty_cluster(room: &Room, faults: &Arc<Faults>) -> Cluster {
    let (client, faults) = (room.client(), Arc::clone(faults));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, faults) = (client.clone(), Arc::clone(&faults));
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await?;
            let fault = faults.next(&parts, &body);
            match fault {
                Some(Fault::Conflict) => return Ok::<_, Error>(refusal(StatusCode::CONFLICT, "Conflict")),
                Some(Fault::TooMany) => return Ok(refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests")),
                Some(Fault::Internal) => return Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")),
                Some(Fault::Silence) => std::future::pending().await,
                Some(Fault::Lost) | None => {}
            }
            let response = client.send(Request::from_parts(parts, Body::from(body))).await?;
            match fault {
                Some(_) => Err(Error::from("the connection was reset")),
                None => Ok(response.map(|body| body.map_err(Error::from).boxed_unsync())),
            }
        }
    });
    Cluster::through(Client::new(service, "default"), room.cluster.namespaces().clone())
}

/// A controller. One that cannot begin is started again, as the kubelet does.
async fn carry(cluster: Cluster) {
    loop {
        if let Ok(controller) = Controller::open(cluster.clone(), options()).await {
            controller.run(std::future::pending()).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A replica of the service. So is this one.
async fn replica(cluster: &Cluster, folder: &Path) -> ClusterStore {
    let mut last = None;
    for _ in 0..20 {
        match ClusterStore::open(cluster.clone(), cluster::options(folder, "faulty")).await {
            Ok(store) => return store,
            Err(error) => last = Some(error),
        }
    }
    panic!("the store cannot be opened: {last:?}");
}

/// What others do about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nothing, and it is removed when it has ended.
    Removed,
    /// Its owner stops it.
    Stopped,
    /// A reviewer approves its outputs.
    Reviewed,
    /// It finds the store of results away, and is asked to publish again.
    Away,
}

impl Way {
    const ALL: [Self; 4] = [Self::Removed, Self::Stopped, Self::Reviewed, Self::Away];
}

/// Asks for a job until it was taken, as a client with an idempotency key does.
async fn submit(installation: &Installation, service: &ClusterStore, number: u64, way: Way) -> JobId {
    let mut job: JobSpec = cloister_testkit::job(number, cloister_testkit::now());
    job.terms.release.review = way == Way::Reviewed;
    let (id, record) = (job.id, event(job.id, AuditAction::JobAllowed));
    match way {
        Way::Away => installation.end(id, Ending::StoreAway),
        // The pods that the test plays end soon, and a stop may take seconds: it comes before the end of the first one.
        Way::Stopped => installation.end(id, Ending::Never),
        Way::Removed | Way::Reviewed => {}
    }
    insist(id, async || service.submit(job.clone(), Vec::new(), record.clone()).await.map(drop)).await;
    if way == Way::Stopped {
        // Before the next job is submitted, which may take seconds.
        while service.status(id).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let stopped = event(id, AuditAction::JobStopped);
        insist(id, async || service.stop(id, stopped.clone()).await.map(drop)).await;
        installation.end(id, Ending::Well);
    }
    id
}

/// Asks until it is done.
async fn insist(job: JobId, ask: impl AsyncFn() -> Result<(), EngineError>) {
    let mut last = None;
    for _ in 0..20 {
        match ask().await {
            // It was done, and the answer to the first attempt was lost. What comes of the job shows it.
            Ok(())
            | Err(EngineError::NotInReview(_) | EngineError::NotWaitingForStore(_) | EngineError::NoSuchJob(_)) => {
                return;
            }
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("job {job}: what is asked of it is never done: {last:?}");
}

/// Asks of a job what is its way, and waits for its end.
async fn live(installation: &Installation, service: &ClusterStore, job: JobId, way: Way) {
    let record = |action| event(job, action);
    match way {
        Way::Removed => {
            installation.ended(job).await;
            let removed = record(AuditAction::JobRemoved);
            insist(job, async || service.remove(job, removed.clone()).await).await;
            return;
        }
        // It was stopped as soon as it was submitted.
        Way::Stopped => {}
        Way::Reviewed => {
            installation.until(job, |status| status.phase == Phase::InReview).await;
            let reviewed = record(AuditAction::Reviewed);
            insist(job, async || service.review(job, ReviewVerdict::Approve, reviewed.clone()).await.map(drop)).await;
        }
        Way::Away => {
            installation.until(job, |status| status.store_wait.is_some()).await;
            installation.end(job, Ending::Well);
            let asked = record(AuditAction::PublishingAsked);
            insist(job, async || service.publish_again(job, asked.clone()).await.map(drop)).await;
        }
    }
    let phase = installation.ended(job).await.phase;
    // A stop may come too late.
    assert!(phase == Phase::Finished || (way == Way::Stopped && phase == Phase::Stopped), "{way:?}: {phase}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn an_api_server_that_fails_at_every_step_loses_no_job_and_does_nothing_twice() {
    let installation = Installation::open(10).await;
    let faults = Arc::new(Faults::default());
    let faulty = faulty_cluster(&installation.room, &faults);
    let controller = tokio::spawn(carry(faulty.clone()));
    let service = replica(&faulty, installation.folder()).await;
    let mut jobs = Vec::new();
    loop {
        let mut round = Vec::new();
        for way in Way::ALL.into_iter().chain(Way::ALL) {
            let number = (jobs.len() + round.len()) as u64;
            round.push((submit(&installation, &service, number, way).await, way));
        }
        join_all(round.iter().map(|(job, way)| live(&installation, &service, *job, *way))).await;
        jobs.extend(round);
        let missing = faults.missing(jobs.len());
        if jobs.len() >= FEW && missing.is_empty() {
            break;
        }
        assert!(jobs.len() < MANY, "after {} jobs: {missing:#?}", jobs.len());
    }
    let of =
        |wanted: Way| -> Vec<JobId> { jobs.iter().filter(|(_, way)| *way == wanted).map(|(job, _)| *job).collect() };
    // Also: each event is on record once, and nothing is left of any job.
    installation.each_pod_was_created_once(&of(Way::Reviewed)).await;
    let seen = |job: &JobId, step: &str| installation.pods_seen(&format!("{job}-{step}"));
    for job in of(Way::Removed) {
        assert_eq!((seen(&job, "c"), seen(&job, "a"), seen(&job, "p")), (1, 1, 1), "{job}");
        // Another replica removed it.
        for _ in 0..crate::LOOKS {
            if installation.store.status(job).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(installation.store.status(job).await, Err(EngineError::NoSuchJob(job)));
    }
    for job in of(Way::Away) {
        assert_eq!((seen(&job, "c"), seen(&job, "a")), (1, 1), "{job}");
    }
    for job in of(Way::Stopped) {
        assert!(seen(&job, "c") <= 1 && seen(&job, "a") <= 1, "{job}");
    }
    controller.abort();
}
