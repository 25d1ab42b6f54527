//! An API server that fails: conflicts, too many requests, faults of its own, answers that are lost after the request was done, and
//! requests that nothing answers. Both programs see one request in four fail, whatever phase a job is in, and nothing is lost or
//! done twice.

use crate::{
    cluster::{self, Room},
    controller::{Installation, event, options},
};
use bytes::Bytes;
use cloister_k8s_engine::{Cluster, ClusterStore, controller::Controller};
use cloister_model::{AuditAction, EngineError, JobId, JobSpec, Jobs as _};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use kube::{Client, client::Body};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// 409: the object was changed meanwhile. Only changes get it.
    Conflict,
    /// 429: priority and fairness of the API server have no place for it.
    TooMany,
    /// 500: the API server has a fault, or etcd has.
    Internal,
    /// It is done, and its answer is lost.
    Lost,
    /// Nothing answers.
    Silence,
}

/// What must have met every fault but silence.
const WRITES: [&str; 4] = ["create a pod", "create a claim", "delete pods", "change a status"];

/// Requests that nothing answers, in all: each is waited for, for ten seconds.
const SILENT: u64 = 3;

/// The faults of one API server.
#[derive(Default)]
struct Faults {
    requests: AtomicU64,
    silent: AtomicU64,
    met: Mutex<BTreeSet<(&'static str, Fault)>>,
}

impl Faults {
    /// What happens to this request. A third of the writes and a tenth of the others fail.
    fn next(&self, request: &Request<Body>) -> Option<Fault> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let what = what(request);
        let fault = match dice % if what.is_some() { 12 } else { 40 } {
            0 if matches!(*request.method(), Method::PUT | Method::PATCH) => Fault::Conflict,
            1 => Fault::TooMany,
            2 => Fault::Internal,
            3 => Fault::Lost,
            4 if what.is_some() && self.silent.fetch_add(1, Ordering::Relaxed) < SILENT => Fault::Silence,
            _ => return None,
        };
        if let Some(what) = what {
            self.met.lock().unwrap_or_else(PoisonError::into_inner).insert((what, fault));
        }
        Some(fault)
    }

    /// What has not happened yet and can.
    fn missing(&self) -> Vec<(&'static str, Fault)> {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = WRITES.into_iter().flat_map(|what| {
            let conflict = (what == "change a status").then_some(Fault::Conflict);
            [Fault::TooMany, Fault::Internal, Fault::Lost].into_iter().chain(conflict).map(move |fault| (what, fault))
        });
        wanted.filter(|wanted| !met.contains(wanted)).collect()
    }
}

/// What a request writes; none if it reads.
fn what(request: &Request<Body>) -> Option<&'static str> {
    let path = request.uri().path();
    match *request.method() {
        Method::GET => None,
        Method::POST if path.ends_with("/pods") => Some("create a pod"),
        Method::POST if path.ends_with("/persistentvolumeclaims") => Some("create a claim"),
        Method::DELETE if path.contains("/pods") => Some("delete pods"),
        _ if path.ends_with("/status") => Some("change a status"),
        _ => Some("another write"),
    }
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
        let (client, fault) = (client.clone(), faults.next(&request));
        async move {
            match fault {
                Some(Fault::Conflict) => return Ok(refusal(StatusCode::CONFLICT, "Conflict")),
                Some(Fault::TooMany) => return Ok(refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests")),
                Some(Fault::Internal) => return Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")),
                Some(Fault::Silence) => std::future::pending().await,
                Some(Fault::Lost) | None => {}
            }
            let response = client.send(request).await?;
            match fault {
                Some(_) => Err(Error::from("the connection was reset")),
                None => Ok(response.map(|body| body.map_err(Error::from).boxed_unsync())),
            }
        }
    });
    Cluster::through(Client::new(service, "default"), room.cluster.namespaces().clone())
}

/// Asks for a job until it is known that it was taken, as a client with an idempotency key does.
async fn submit(service: &ClusterStore, number: u64) -> JobId {
    let job: JobSpec = cloister_testkit::job(number, cloister_testkit::now());
    let id = job.id;
    for _ in 0..100 {
        match service.submit(job.clone(), Vec::new(), event(id, AuditAction::JobAllowed)).await {
            Ok(_) | Err(EngineError::JobExists(_)) => return id,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("job {number} was refused a hundred times");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn an_api_server_that_fails_at_every_step_loses_no_job_and_does_nothing_twice() {
    let installation = Installation::open(10).await;
    let faults = Arc::new(Faults::default());
    let faulty = faulty_cluster(&installation.room, &faults);
    let controller = tokio::spawn({
        let faulty = faulty.clone();
        async move {
            // One that gives up is started again, as the kubelet does.
            loop {
                if let Ok(controller) = Controller::open(faulty.clone(), options()).await {
                    let _ = controller.run(std::future::pending()).await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    // So does a replica of the service.
    let service = loop {
        if let Ok(store) = ClusterStore::open(faulty.clone(), cluster::options(folder.path(), "home")).await {
            break store;
        }
    };
    let mut jobs = Vec::new();
    while jobs.len() < 24 || !faults.missing().is_empty() {
        assert!(jobs.len() < 300, "{:?} did not happen", faults.missing());
        for _ in 0..8 {
            jobs.push(submit(&service, jobs.len() as u64).await);
        }
        for job in &jobs {
            installation.ended(*job).await;
        }
    }
    installation.each_pod_was_created_once(&jobs).await;
    controller.abort();
}
