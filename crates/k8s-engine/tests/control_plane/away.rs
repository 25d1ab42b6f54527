//! Jobs whose result store is away: their outputs are kept on their volume, and publishing can be asked for again.

use crate::{
    controller::{Installation, event},
    endings::Ending,
};
use cloister_model::{AuditAction, EngineError, JobId, JobStatus, Jobs as _, Phase};
use tokio::task::JoinHandle;

fn failures(status: &JobStatus) -> u32 {
    status.store_wait.as_ref().map_or(0, |wait| wait.failures)
}

/// A controller, and a job whose first attempt has found the result store away.
async fn waiting(installation: &Installation) -> (JoinHandle<()>, JobStatus) {
    let job = installation.submit(1).await;
    installation.end(job, Ending::StoreAway);
    let controller = installation.start().await;
    (controller, installation.until(job, |status| failures(status) == 1).await)
}

async fn publish_again(installation: &Installation, job: JobId) -> Result<JobStatus, EngineError> {
    installation.store.publish_again(job, event(job, AuditAction::PublishingAsked)).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn results_wait_for_their_store_and_are_stored_when_somebody_asks() {
    let installation = Installation::open(10).await;
    let (controller, waits) = waiting(&installation).await;
    let job = waits.id;
    assert_eq!(waits.phase, Phase::Publishing);
    let first = waits.store_wait.expect("it waits");
    // By then the pause is longer than this test waits for anything: what comes next, comes because it is asked for.
    for number in 2..=7 {
        publish_again(&installation, job).await.expect("asked");
        installation.until(job, |status| failures(status) >= number).await;
    }
    let said = installation.store.explain(job).await.expect("explained").text;
    assert!(said.contains("as the test wants it") && said.contains(&format!("cloister job publish {job}")), "{said}");
    let object = installation.room.read("computejobs", &job.to_string()).await;
    assert_eq!(object["status"]["storeWait"]["why"], "as the test wants it");
    let waits = installation.store.status(job).await.expect("a status");
    assert_eq!(waits.store_wait.expect("it waits").since, first.since);
    // Another controller knows it all from the resource.
    controller.abort();
    let _ = controller.await;
    installation.end(job, Ending::Well);
    let controller = installation.start().await;
    publish_again(&installation, job).await.expect("asked");
    let ended = installation.ended(job).await;
    assert_eq!((ended.phase, ended.store_wait), (Phase::Finished, None));
    installation.nothing_is_left(&[job]).await;
    assert!(installation.pods_seen(&format!("{job}-p")) >= 8, "one for each attempt");
    assert_eq!(installation.pods_seen(&format!("{job}-a")), 1, "nothing runs again");
    assert_eq!(publish_again(&installation, job).await, Err(EngineError::NotWaitingForStore(job)));
    let recorded = installation.recorded().await;
    assert_eq!(recorded.get(&(job.to_string(), AuditAction::PublishingAsked)), Some(&7), "{recorded:?}");
    controller.abort();
}

/// Two requests for the same attempt are one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_job_that_waits_for_its_store_can_be_stopped_and_is_asked_for_once() {
    let installation = Installation::open(10).await;
    let (controller, JobStatus { id: job, .. }) = waiting(&installation).await;
    // Nobody acts on what is asked for now.
    controller.abort();
    let _ = controller.await;
    let asked = publish_again(&installation, job).await.expect("asked");
    assert_eq!(publish_again(&installation, job).await, Ok(asked));
    installation.store.stop(job, event(job, AuditAction::JobStopped)).await.expect("stopped");
    assert_eq!(publish_again(&installation, job).await, Err(EngineError::NotWaitingForStore(job)));
    let recorded = installation.recorded().await;
    assert_eq!(recorded.get(&(job.to_string(), AuditAction::PublishingAsked)), Some(&1), "{recorded:?}");
    let controller = installation.start().await;
    assert_eq!(installation.ended(job).await.phase, Phase::Stopped);
    installation.nothing_is_left(&[job]).await;
    controller.abort();
}
