use crate::{
    cluster::version,
    resources::{ComputeJob, ResultsDigest},
};
use cloister_model::{EnvironmentId, JobCard, JobStatus, ListDigest, Sha256};
use kube::ResourceExt as _;
use std::sync::Arc;

/// What a process keeps of a job in memory.
#[derive(Clone, Debug)]
pub(in crate::backend) struct KnownJob {
    pub(in crate::backend) status: JobStatus,
    pub(in crate::backend) card: Arc<JobCard>,
    pub(in crate::backend) environment: EnvironmentId,
    pub(in crate::backend) queue: String,
    /// Jobs that come before it.
    pub(in crate::backend) ahead: Option<u64>,
    /// What the controller says.
    pub(in crate::backend) explanation: Option<String>,
    /// The digest of the report of its run; none: no run left one that counts.
    pub(in crate::backend) report: Option<Sha256>,
    /// What was released, once it has finished; before that, what the checks let pass.
    pub(in crate::backend) results: Option<ListDigest>,
    /// Whether its results have to be registered.
    pub(in crate::backend) awaits_registration: bool,
    /// Whether no reader may have its log.
    pub(in crate::backend) log_discarded: bool,
    /// Whether it counts as absent.
    pub(in crate::backend) removed: bool,
    /// The version of its object.
    pub(in crate::backend) version: u64,
    /// The `uid` of its object.
    pub(in crate::backend) uid: String,
}

/// A job that cannot be read is not shown: its order was written by another version, or changed by hand.
pub(in crate::backend) fn read(resource: &ComputeJob) -> Option<KnownJob> {
    let read = || -> Result<KnownJob, crate::resources::StatusFormError> {
        let (status, job) = (resource.status()?, resource.job()?);
        let written = resource.status.as_ref();
        Ok(KnownJob {
            status,
            card: Arc::new(job.card()),
            environment: job.environment,
            queue: job.queue,
            ahead: written.and_then(|written| written.queue_ahead),
            explanation: written.and_then(|written| written.explanation.clone()),
            report: written.and_then(|written| written.report.as_ref()).map(|report| report.sha256),
            results: written.and_then(|written| written.results.as_ref()).map(ResultsDigest::list),
            awaits_registration: written.is_some_and(|written| written.awaits_registration.is_some())
                && resource.spec.registration.is_none(),
            log_discarded: written.is_some_and(|written| written.log_discarded),
            removed: resource.spec.removal.is_some(),
            version: version(resource),
            uid: resource.uid().unwrap_or_default(),
        })
    };
    match read() {
        Ok(known) => Some(known),
        Err(error) => {
            tracing::error!(%error, "a ComputeJob cannot be read, and is not shown");
            None
        }
    }
}
