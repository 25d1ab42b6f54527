//! Registers the results of a job as a dataset, when the controller asks for it: before the job can finish.

use super::{Inner, unusable};
use crate::{
    clock::now,
    cluster::{CallError, call},
    resources::{ComputeJob, Dataset, Registration, ResultsDigest},
    store::{Holder, give_up},
};
use cloister_lifecycle::registered;
use cloister_model::{Account, Asset, AssetKind, AuditAction, AuditEvent, Claim, EngineError, JobId, StoreError};
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

impl Inner {
    /// Registers the results of a job whose results wait for it.
    pub(super) async fn register(&self, job: JobId) -> Result<(), EngineError> {
        let Some(found) = self.stored(job).await? else { return Ok(()) };
        let awaits = found.status.as_ref().and_then(|status| status.awaits_registration.as_ref());
        let Some(results) = awaits.filter(|_| found.spec.registration.is_none()).map(ResultsDigest::list) else {
            return Ok(());
        };
        let spec = found.job().map_err(unusable)?;
        let Some(asset) = spec.delivery.register else { return Ok(()) };
        let files = self.bound_list(job, Some(results)).await?;
        let registered = match registered(&asset, job, &files) {
            Ok(asset) => self.put_registered(job, asset, &spec.record.owner).await?,
            Err(problem) => {
                tracing::warn!(%job, problem, "the results of a job cannot be registered");
                false
            }
        };
        let registration = Registration { at: now().into(), registered };
        let patch = Patch::Merge(json!({
            "metadata": {"uid": found.uid(), "resourceVersion": found.resource_version()},
            "spec": {"registration": registration},
        }));
        let (api, name) = (self.cluster.jobs::<ComputeJob>(), job.to_string());
        match call("register the results of a job", || async {
            api.patch(&name, &PatchParams::default(), &patch).await
        })
        .await
        {
            // Another replica was first, or the job has changed: the next look sees which.
            Ok(_) | Err(CallError::Conflict | CallError::Missing) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the dataset exists afterwards. Otherwise its name belongs to another one.
    async fn put_registered(&self, job: JobId, asset: Asset, by: &Account) -> Result<bool, EngineError> {
        let did = asset.ddo.id().clone();
        let claim = Claim::asset_name(&asset.owner, AssetKind::Dataset, &asset.name);
        // The name goes from the job to its dataset.
        give_up(&self.cluster, &claim, &Holder::Job(job)).await?;
        let record = AuditEvent {
            at: now(),
            actor: by.as_str().to_owned(),
            action: AuditAction::AssetPublished,
            subject: did.to_string(),
            detail: json!({"job": job, "name": asset.name}).to_string(),
        };
        let (owner, files) = (asset.owner.clone(), asset.files.clone());
        match self.put::<Dataset>(&asset, u64::MAX, record).await {
            Ok(()) => Ok(true),
            // It may be there from an attempt that was cut off, or from another replica's.
            Err(StoreError::Conflict) => {
                let found = self.find::<Dataset>(&did).await.map_err(unusable)?;
                Ok(found.is_some_and(|found| found.owner == owner && found.files == files))
            }
            Err(error) => Err(unusable(error)),
        }
    }

    /// Whether the results of a job are a dataset that is not withdrawn. Its publisher may have given it other files since.
    pub(super) async fn is_registered(&self, found: &ComputeJob) -> Result<bool, EngineError> {
        if !found.spec.registration.as_ref().is_some_and(|registration| registration.registered) {
            return Ok(false);
        }
        let spec = found.job().map_err(unusable)?;
        let job = spec.id;
        let Some(asset) = spec.delivery.register else { return Ok(false) };
        let found = self.find::<Dataset>(asset.ddo.id()).await.map_err(unusable)?;
        Ok(found.is_some_and(|found| holds_results(&found, job)))
    }

    /// Failing to register keeps the job waiting, so that it is said.
    pub(super) async fn register_or_warn(&self, job: JobId) {
        if let Err(error) = self.register(job).await {
            tracing::warn!(%job, %error, "the results of a job are not registered yet; it is tried again");
        }
    }
}

/// Whether results of this job are among the files of a dataset that is not withdrawn.
fn holds_results(dataset: &Asset, job: JobId) -> bool {
    dataset.withdrawn.is_none() && dataset.ddo.result_jobs().contains(&job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Ddo, Timestamp};

    #[test]
    fn a_dataset_keeps_the_results_that_it_names_until_it_is_withdrawn() {
        let job: JobId = "0123456789abcdef0123456789abcdef".parse().expect("a job");
        let dataset = |file: serde_json::Value, withdrawn: Option<Timestamp>| {
            let ddo = json!({"id": "did:op:d", "metadata": {"type": "dataset", "name": "d"},
                "services": [{"id": "one", "type": "compute", "files": [file]}]});
            Asset { ddo: Ddo::from_value(ddo).expect("a DDO"), withdrawn, ..cloister_testkit::dataset("d", "bob", "n") }
        };
        let own = || json!({"type": "result", "job": job, "index": 0});
        let another = json!({"type": "result", "job": "f".repeat(32), "index": 0});
        let changed = json!({"type": "url", "url": "https://example.org/a"});
        assert!(holds_results(&dataset(own(), None), job));
        assert!(!holds_results(&dataset(own(), Some(Timestamp::from_unix_ms(3))), job));
        for file in [another, changed] {
            assert!(!holds_results(&dataset(file, None), job));
        }
    }
}
