//! What the controller keeps in memory of the objects of a job.

use crate::{
    build::{JOB, Owner, PodStep, STEP, configuration::OrderParts},
    observe::PodFacts,
    plan::Stored,
    resources::{ComputeJob, ComputeJobStatus, ResultsDigest, ReviewDecision, StatusFormError, Verdict},
    store::{MANAGED_BY, Pending},
};
use cloister_model::{EnvironmentId, JobId, JobSpec, Phase, Review, ReviewVerdict};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{Resource, ResourceExt as _};
use std::{fmt, sync::Arc};

/// A job, as its object says.
#[derive(Clone, Debug)]
pub(super) struct KnownJob {
    pub(super) spec: JobSpec,
    pub(super) order: OrderParts,
    pub(super) owner: Owner,
    pub(super) stored: Stored,
    pub(super) review: Option<(ReviewVerdict, Review)>,
    /// What came of registering its results.
    pub(super) registered: Option<bool>,
    /// Events that may not be on record yet.
    pub(super) pending: Pending,
    /// The status as it is written.
    pub(super) written: Option<ComputeJobStatus>,
    /// The version of the object that all this was read from.
    pub(super) version: String,
    pub(super) generation: Option<i64>,
}

/// A job in the memory of the controller: one that has ended costs next to nothing.
#[derive(Clone)]
pub(super) enum Job {
    Open(Arc<KnownJob>),
    Over {
        job: JobId,
        environment: EnvironmentId,
        phase: Phase,
        /// Whether events of it may not be on record.
        pending: bool,
    },
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(job) => f.debug_tuple("Open").field(&job.spec.id).finish(),
            Self::Over { .. } => f.write_str("Over"),
        }
    }
}

/// What is kept of a job. One that cannot be read is left alone: another version wrote it, or a person changed it.
pub(super) fn job(resource: &ComputeJob) -> Option<Job> {
    match KnownJob::of(resource) {
        Ok(job) if job.stored.status.phase.has_ended() => {
            let pending = !job.pending.is_empty();
            let phase = job.stored.status.phase;
            Some(Job::Over { job: job.spec.id, environment: job.spec.environment, phase, pending })
        }
        Ok(job) => Some(Job::Open(Arc::new(job))),
        Err(error) => {
            tracing::error!(%error, job = resource.name_any(), "a ComputeJob cannot be read, and is left alone");
            None
        }
    }
}

impl KnownJob {
    pub(super) fn of(resource: &ComputeJob) -> Result<Self, StatusFormError> {
        let (status, spec) = (resource.status()?, resource.job()?);
        let payload = &resource.spec.order.payload;
        let written = resource.status.clone();
        let pending = written.as_ref().and_then(|written| written.records.as_deref());
        let pending = pending.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let review = match &resource.spec.review {
            None => None,
            Some(ReviewDecision { verdict, reason, by, at }) => {
                let by = by.parse().map_err(|_| StatusFormError::Account(spec.id))?;
                let (approved, verdict) = match verdict {
                    Verdict::Approve => (true, ReviewVerdict::Approve),
                    Verdict::Refuse => (false, ReviewVerdict::Refuse(reason.clone().unwrap_or_default())),
                };
                let first = resource.spec.first_approval.as_ref().map(|first| first.read(spec.id)).transpose()?;
                Some((verdict, Review { approved, by, at: at.timestamp(), first }))
            }
        };
        let before = written.as_ref();
        let results = before.and_then(|before| before.results.as_ref());
        let stored = Stored {
            status,
            attempts: before.map(|before| before.attempts).unwrap_or_default(),
            report: before.and_then(|before| before.report.as_ref()).map(|report| report.sha256),
            results: results.map(ResultsDigest::list),
            rule: before.and_then(|before| before.rule.clone()),
            awaits_registration: before.and_then(|before| before.awaits_registration.as_ref()).map(ResultsDigest::list),
            log_discarded: before.is_some_and(|before| before.log_discarded),
        };
        Ok(Self {
            order: OrderParts {
                secrets: payload.secrets.clone(),
                sha256: payload.sha256,
                reads_store: resource.spec.order.reads_store,
                reads_local: resource.spec.order.reads_local,
            },
            owner: Owner { job: spec.id, uid: resource.uid().unwrap_or_default() },
            spec,
            stored,
            review,
            registered: resource.spec.registration.as_ref().map(|registration| registration.registered),
            pending,
            written,
            version: resource.resource_version().unwrap_or_default(),
            generation: resource.metadata.generation,
        })
    }
}

/// A pod of a job.
#[derive(Clone, Debug)]
pub(super) struct KnownPod {
    pub(super) job: JobId,
    pub(super) owner: String,
    pub(super) facts: PodFacts,
}

/// What is kept of a pod; none if it is not the engine's.
pub(super) fn pod(pod: &Pod) -> Option<KnownPod> {
    let job = owned(pod)?;
    let label = pod.labels().get(STEP)?;
    let step = PodStep::ALL.into_iter().find(|step| step.as_str() == label)?;
    (pod.name_any() == step.pod_name(job)).then(|| KnownPod { job, owner: owner(pod), facts: PodFacts::of(pod) })
}

/// The volume of a job.
#[derive(Clone, Debug)]
pub(super) struct KnownVolume {
    pub(super) job: JobId,
    pub(super) owner: String,
    pub(super) leaving: bool,
    /// What it asks for, in a few words, if there is no volume for it yet.
    pub(super) awaited: Option<String>,
}

/// What is kept of a claim; none if it is not the engine's.
pub(super) fn volume(claim: &PersistentVolumeClaim) -> Option<KnownVolume> {
    let job = owned(claim)?;
    let leaving = claim.metadata.deletion_timestamp.is_some();
    (claim.name_any() == crate::build::volume::name(job)).then(|| KnownVolume {
        job,
        owner: owner(claim),
        leaving,
        awaited: awaited(claim),
    })
}

/// What a claim asks for that has no volume.
fn awaited(claim: &PersistentVolumeClaim) -> Option<String> {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    let spec = claim.spec.as_ref().filter(|_| phase != Some("Bound"))?;
    let bytes = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("storage"));
    let bytes = bytes.map_or("", |bytes| bytes.0.as_str());
    let class = spec.storage_class_name.as_deref().map_or_else(String::new, |class| format!(" of the class {class}"));
    Some(format!("its volume {} of {bytes} bytes{class} is not there", claim.name_any()))
}

/// The job that an object of the engine's belongs to.
fn owned<K: Resource>(object: &K) -> Option<JobId> {
    let labels = object.labels();
    (labels.get(MANAGED_BY.0)? == MANAGED_BY.1).then(|| labels.get(JOB)?.parse().ok()).flatten()
}

/// The `uid` of the job that owns an object; empty if none does.
fn owner<K: Resource>(object: &K) -> String {
    let owners = object.owner_references().iter();
    let mut jobs = owners.filter(|owner| owner.kind == "ComputeJob" && owner.controller == Some(true));
    jobs.next().map(|owner| owner.uid.clone()).unwrap_or_default()
}
