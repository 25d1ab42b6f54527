//! What is said of a job that could not be provided.

use crate::{Trial, trial::reason};
use cloister_model::{Fault, Phase};
use cloister_testkit::{SourceServer, guests};

/// A source that fails is its publisher's fault. The reason does not say where it is; the detail does, and survives a restart.
pub async fn a_failing_source_is_its_publishers_fault_and_stays_theirs_to_know(trial: &mut Trial) {
    let server = SourceServer::start().expect("a server");
    let mut job = trial.job(guests::WRITES).await;
    job.inputs[0].source = trial.source(&server, "/missing");
    let status = trial.run(&job).await;
    assert_eq!(status.phase, Phase::DataProvisioningFailed);
    assert_eq!(status.reason.as_ref().map(|reason| reason.fault()), Some(Fault::Publisher));
    let host = server.address().ip().to_string();
    assert!(!reason(&status).contains(&host) && !reason(&status).contains("http"), "{}", reason(&status));
    let detail = status.detail.clone().expect("a detail");
    assert_eq!(detail.asset(), Some(&job.inputs[0].did));
    assert!(detail.text().contains("file 0"), "{}", detail.text());
    let receipt = trial.engine().receipt(job.id).await.expect("asked").expect("a receipt");
    assert!(!receipt.text.contains(detail.text()) && !receipt.text.contains(&host), "{}", receipt.text);
    trial.restart().await;
    assert_eq!(trial.status(job.id).await, status);
}
