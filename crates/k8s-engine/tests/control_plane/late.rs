//! Controllers that hear late of everything: what they decide on is old, and still nothing is done twice.

use crate::{
    cluster::Room,
    controller::{Installation, event, options},
};
use bytes::Bytes;
use cloister_k8s_engine::{Cluster, controller::Controller};
use cloister_model::{AuditAction, Jobs as _, Phase};
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, BodyStream, StreamBody, combinators::UnsyncBoxBody};
use kube::{Client, client::Body};
use std::time::Duration;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The same content, each part of it so much later.
fn later(body: Body, by: Duration) -> UnsyncBoxBody<Bytes, Error> {
    let (send, receive) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut frames = BodyStream::new(body);
        while let Some(frame) = frames.next().await {
            if send.send((Instant::now(), frame.map_err(Error::from))).is_err() {
                return;
            }
        }
    });
    let frames = stream::unfold(receive, move |mut receive| async move {
        let (at, frame) = receive.recv().await?;
        sleep_until(at + by).await;
        Some((frame, receive))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// The cluster as seen by a process whose watches are late. What it asks for itself is answered at once.
fn late_cluster(room: &Room, by: Duration) -> Cluster {
    let client = room.client();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            let watches = request.uri().query().is_some_and(|query| query.contains("watch="));
            let response = client.send(request).await?;
            let by = if watches { by } else { Duration::ZERO };
            Ok::<_, Error>(response.map(|body| later(body, by)))
        }
    });
    Cluster::through(Client::new(service, "default"), room.cluster.namespaces().clone())
}

async fn start(room: &Room, by: Duration) -> JoinHandle<()> {
    let controller = Controller::open(late_cluster(room, by), options()).await.expect("a controller");
    tokio::spawn(async move { controller.run(std::future::pending()).await })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn two_controllers_that_hear_late_create_each_pod_once() {
    let installation = Installation::open(10).await;
    // Each of them acts on what it wrote itself, and hears of the other one long afterwards.
    let controllers = [
        start(&installation.room, Duration::from_millis(700)).await,
        start(&installation.room, Duration::from_millis(1900)).await,
    ];
    let mut jobs = Vec::new();
    for number in 0..12 {
        jobs.push(installation.submit(number).await);
    }
    installation.each_pod_was_created_once(&jobs).await;

    // A stop that they have not heard of yet counts: the fence of the next pod is refused.
    installation.hold(Some("-c"));
    let job = installation.submit(100).await;
    installation.shown(&format!("{job}-c")).await;
    installation.store.stop(job, event(job, AuditAction::JobStopped)).await.expect("stopped");
    installation.hold(None);
    assert_eq!(installation.ended(job).await.phase, Phase::Stopped);
    installation.nothing_is_left(&[job]).await;
    assert_eq!(installation.pods_seen(&format!("{job}-a")), 0, "an algorithm was started after the stop");
    controllers.iter().for_each(JoinHandle::abort);
}
