//! Does what was planned, in the cluster.

use super::known::{self, KnownJob, KnownPod, KnownVolume};
use crate::{
    act::verify::{Tampered, verify},
    build::{JOB, PodStep, volume},
    cluster::{CallError, Cluster, Watched, call, exactly},
    plan::Stored,
    resources::{ComputeJob, ComputeJobStatus, ReportDigest},
    store::{MANAGED_BY, Pending},
};
use cloister_model::JobId;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// What became of an act.
#[derive(Debug)]
pub(super) enum Done {
    /// It was done, or there was nothing to do any more.
    Yes,
    /// Something was stored meanwhile: look again.
    Behind,
    /// The created pod is not the one that was meant. It is deleted already.
    Tampered(Tampered),
}

/// The objects of jobs, as this process sees and changes them.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) cluster: Cluster,
    pub(super) jobs: Watched<known::Job>,
    pub(super) pods: Watched<KnownPod>,
    pub(super) volumes: Watched<KnownVolume>,
}

impl Objects {
    /// The job as the API server has it now.
    pub(super) async fn job(&self, name: &str) -> Result<Option<ComputeJob>, CallError> {
        call("read a job", || async { self.cluster.jobs::<ComputeJob>().get_opt(name).await }).await
    }

    /// Stores a status, if nothing was stored since the look. `pending` is what goes on record with it; what was pending
    /// before is on record by now.
    pub(super) async fn store(
        &self,
        job: &KnownJob,
        stored: &Stored,
        pending: &Pending,
        explanation: Option<&str>,
        queue_ahead: Option<u64>,
    ) -> Result<Done, CallError> {
        let node = |step| self.pods.get(&PodStep::pod_name(step, job.spec.id)).and_then(|pod| pod.facts.node);
        let before = job.written.as_ref();
        let records = (!pending.is_empty()).then(|| serde_json::to_string(pending).unwrap_or_default());
        let status = ComputeJobStatus {
            attempts: stored.attempts,
            report: stored.report.map(|sha256| ReportDigest { sha256 }),
            results: stored.results.map(Into::into),
            rule: stored.rule.clone(),
            awaits_registration: stored.awaits_registration.map(Into::into),
            log_discarded: stored.log_discarded,
            node: node(PodStep::Algorithm).or_else(|| before.and_then(|before| before.node.clone())),
            records,
            explanation: explanation.map(str::to_owned),
            queue_ahead,
            ..ComputeJobStatus::of(&stored.status, before, job.generation)
        };
        let (name, uid, version) = (job.spec.id.to_string(), &job.owner.uid, &job.version);
        let patch = Patch::Merge(json!({
            "metadata": {"uid": uid, "resourceVersion": version}, "status": replacing(before, &status),
        }));
        let api = self.cluster.jobs::<ComputeJob>();
        let written = call("store the status of a job", || async {
            api.patch_status(&name, &PatchParams::default(), &patch).await
        });
        match written.await {
            Ok(written) => {
                self.jobs.take_in(&written, known::job);
                Ok(Done::Yes)
            }
            Err(CallError::Conflict | CallError::Missing) => Ok(Done::Behind),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn create_volume(&self, job: &KnownJob, claim: &PersistentVolumeClaim) -> Result<Done, CallError> {
        let api = self.cluster.jobs::<PersistentVolumeClaim>();
        match call("create a volume", || async { api.create(&PostParams::default(), claim).await }).await {
            Ok(created) => self.volumes.take_in(&created, known::volume),
            Err(CallError::Exists) => {
                let name = claim.name_any();
                let found = call("read a volume", || async { api.get_opt(&name).await }).await?;
                let Some(found) = found else { return Ok(Done::Behind) };
                own(&found, job)?;
                self.volumes.take_in(&found, known::volume);
            }
            Err(error) => return Err(error),
        }
        Ok(Done::Yes)
    }

    /// Creates a pod, and compares it with the one that was meant.
    pub(super) async fn create_pod(&self, job: &KnownJob, pod: &Pod) -> Result<Done, CallError> {
        let api = self.cluster.jobs::<Pod>();
        let found = match call("create a pod", || async { api.create(&PostParams::default(), pod).await }).await {
            Ok(created) => created,
            // By this engine before it was killed, or by another one.
            Err(CallError::Exists) => {
                let name = pod.name_any();
                match call("read a pod", || async { api.get_opt(&name).await }).await? {
                    Some(found) => found,
                    None => return Ok(Done::Behind),
                }
            }
            Err(error) => return Err(error),
        };
        own(&found, job)?;
        if let Err(tampered) = verify(pod, &found) {
            self.delete_pod(&found.name_any(), found.uid().as_deref().unwrap_or_default(), true).await?;
            return Ok(Done::Tampered(tampered));
        }
        self.pods.take_in(&found, known::pod);
        Ok(Done::Yes)
    }

    /// Deletes this very pod. `at_once`: it is killed, and not asked to end.
    pub(super) async fn delete_pod(&self, name: &str, uid: &str, at_once: bool) -> Result<Done, CallError> {
        let this = DeleteParams { grace_period_seconds: at_once.then_some(0), ..exactly(Some(uid.to_owned())) };
        let api = self.cluster.jobs::<Pod>();
        match call("delete a pod", || async { api.delete(name, &this).await }).await {
            Ok(_) | Err(CallError::Missing | CallError::Conflict) => Ok(Done::Yes),
            Err(error) => Err(error),
        }
    }

    /// Deletes all pods of a job, in one request.
    pub(super) async fn delete_pods(&self, job: JobId) -> Result<Done, CallError> {
        let of_job = ListParams::default().labels(&format!("{}={},{JOB}={job}", MANAGED_BY.0, MANAGED_BY.1));
        let api = self.cluster.jobs::<Pod>();
        let all = DeleteParams::default();
        call("delete the pods of a job", || async { api.delete_collection(&all, &of_job).await }).await?;
        Ok(Done::Yes)
    }

    pub(super) async fn delete_volume(&self, job: &KnownJob) -> Result<Done, CallError> {
        let api = self.cluster.jobs::<PersistentVolumeClaim>();
        let name = volume::name(job.spec.id);
        match call("delete a volume", || async { api.delete(&name, &DeleteParams::default()).await }).await {
            Ok(_) | Err(CallError::Missing) => Ok(Done::Yes),
            Err(error) => Err(error),
        }
    }
}

/// The merge patch that makes the one of the other: what is absent now is removed, which a merge does not do by itself.
fn replacing(before: Option<&ComputeJobStatus>, after: &ComputeJobStatus) -> Value {
    fn remove(before: &Value, after: &mut Value) {
        let (Some(before), Some(after)) = (before.as_object(), after.as_object_mut()) else { return };
        for (name, value) in before {
            match after.get_mut(name) {
                Some(kept) => remove(value, kept),
                None => drop(after.insert(name.clone(), Value::Null)),
            }
        }
    }
    let mut patch = json!(after);
    remove(&json!(before), &mut patch);
    patch
}

/// An object of that name that belongs to no job, or to another one, is never taken over.
fn own<K: kube::Resource>(found: &K, job: &KnownJob) -> Result<(), CallError> {
    let of_job = found.owner_references().iter().any(|owner| owner.uid == job.owner.uid);
    if of_job {
        return Ok(());
    }
    Err(CallError::Refused {
        what: "create an object of a job",
        words: format!("an object of the name {} exists and belongs to something else; delete it", found.name_any()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{JobStatus, Labels, Progress, Timestamp};

    #[test]
    fn what_is_absent_in_the_new_status_is_removed() {
        let at = Timestamp::from_unix_ms(5);
        let job = JobStatus::queued(cloister_testkit::job_id(1), Labels::new(), at);
        let with = |progress| ComputeJobStatus::of(&JobStatus { progress, ..job.clone() }, None, None);
        let before = ComputeJobStatus {
            explanation: Some("it waits".to_owned()),
            ..with(Some(Progress { done_bytes: 1, total_bytes: Some(2) }))
        };
        let after = with(Some(Progress { done_bytes: 2, total_bytes: None }));
        let patch = replacing(Some(&before), &after);
        assert_eq!(patch["explanation"], Value::Null);
        assert!(patch.as_object().is_some_and(|patch| patch.contains_key("explanation")));
        assert_eq!(patch["progress"], json!({"doneBytes": 2, "totalBytes": null}));
        assert_eq!(replacing(None, &after), json!(after));
    }
}
