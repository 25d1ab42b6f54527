//! An API server that fails: conflicts, too many requests, faults of its own, answers that are lost after the request was done, and
//! requests that nothing answers. Each kind of write meets each of them, in every phase of a job, at the controller and at the
//! service; and nothing is lost or done twice.

use crate::{
    cluster::{self, Room},
    controller::{Installation, event, options},
};
use bytes::Bytes;
use cloister_k8s_engine::{Cluster, ClusterStore, controller::Controller};
use cloister_model::{AuditAction, JobId, JobSpec, Jobs as _};
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

/// What every job needs, so that each of these has to be seen. The service makes the first two, and both programs the third.
const NEEDED: [&str; 13] = [
    "POST computejobs",
    "POST secrets",
    "POST configmaps",
    "POST persistentvolumeclaims",
    "POST pods -c",
    "POST pods -a",
    "POST pods -p",
    "PATCH computejobs/status Configuring",
    "PATCH computejobs/status Running",
    "PATCH computejobs/status Filtering",
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

    /// What goes wrong with this request: something with one write in three, and with one other request in twelve.
    fn next(&self, request: &Parts, body: &[u8]) -> Option<Fault> {
        let mut kinds = self.kinds();
        let kind = kinds.entry(kind(request, body)).or_default();
        kind.requests += 1;
        // Looks random, so that a request that is made again may fail again.
        let dice = (kind.requests as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let one_in = if request.method == Method::GET { 12 } else { 3 };
        if !dice.is_multiple_of(one_in) {
            return None;
        }
        let possible = possible(&request.method);
        let fault = *possible.get(kind.faults % possible.len())?;
        kind.faults += 1;
        let is_new = kind.met.insert(fault);
        (fault != Fault::Silence || is_new).then_some(fault)
    }

    /// Of the kinds of writes that every job needs, those that have not met everything yet.
    fn missing(&self, jobs: usize) -> Vec<String> {
        let kinds = self.kinds();
        let unseen =
            NEEDED.iter().filter(|name| !kinds.contains_key(**name)).map(|name| format!("{name} was not seen"));
        let often = kinds.iter().filter(|(name, kind)| !name.starts_with("GET ") && kind.requests >= jobs);
        let unmet = often.filter(|(name, kind)| {
            let method = name.split(' ').next().unwrap_or_default();
            possible(&method.parse().expect("a method")).iter().any(|fault| !kind.met.contains(fault))
        });
        unseen.chain(unmet.map(|(name, kind)| format!("{name}: {kind:?}"))).collect()
    }
}

/// What can go wrong with requests of a method, in turns.
fn possible(method: &Method) -> &'static [Fault] {
    match *method {
        Method::GET => &[Fault::Lost, Fault::Internal, Fault::TooMany],
        Method::POST | Method::DELETE => &[Fault::Lost, Fault::Internal, Fault::Silence, Fault::TooMany],
        _ => &[Fault::Lost, Fault::Conflict, Fault::Internal, Fault::Silence, Fault::TooMany],
    }
}

/// The kind of a request: what it does to which objects; of a pod also its step, and of a status the phase that it stores.
fn kind(request: &Parts, body: &[u8]) -> String {
    let mut path = request.uri.path().split('/').skip_while(|part| *part != "namespaces").skip(2);
    let (resource, of) = (path.next().unwrap_or("another"), path.nth(1));
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
        (_, Some(of)) => format!("/{of}"),
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

/// Asks for a job until it was taken, as a client with an idempotency key does.
async fn submit(service: &ClusterStore, number: u64) -> JobId {
    let job: JobSpec = cloister_testkit::job(number, cloister_testkit::now());
    let (id, record) = (job.id, event(job.id, AuditAction::JobAllowed));
    let mut last = None;
    for _ in 0..20 {
        match service.submit(job.clone(), Vec::new(), record.clone()).await {
            Ok(_) => return id,
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("job {number} is not taken: {last:?}");
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
        for _ in 0..8 {
            jobs.push(submit(&service, jobs.len() as u64).await);
        }
        for job in &jobs {
            installation.ended(*job).await;
        }
        let missing = faults.missing(jobs.len());
        if jobs.len() >= FEW && missing.is_empty() {
            break;
        }
        assert!(jobs.len() < MANY, "after {} jobs: {missing:#?}", jobs.len());
    }
    installation.each_pod_was_created_once(&jobs).await;
    controller.abort();
}
