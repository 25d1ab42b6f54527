//! Receipts are made by the service, which alone may read a job's parameters, from what the controller and the steps stored. What
//! they are made of does not change after the end of a job, so that it does not matter when they are made; they are made as soon
//! as a process sees the end, and before the job is removed at the latest.

use super::{Inner, outputs::failed, unusable};
use crate::{
    cluster::call,
    resources::{ComputeJob, Payload, ResultsDigest},
    store::receipts,
};
use cloister_lifecycle::EndedJob;
use cloister_model::{EngineError, JobId, JobSpec, Report, Sha256, StoredReceipt, Unavailability};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

impl Inner {
    /// The receipt of a job; none while it has not ended.
    pub(super) async fn receipt(&self, job: JobId) -> Result<Option<StoredReceipt>, EngineError> {
        if let Some(receipt) = self.kept_receipt(job).await? {
            return Ok(Some(receipt));
        }
        let Some(found) = self.stored(job).await? else {
            // It was removed between the two looks, or was never there.
            let receipt = self.kept_receipt(job).await?;
            return receipt.map(Some).ok_or(EngineError::NoSuchJob(job));
        };
        if !found.phase().has_ended() {
            return Ok(None);
        }
        self.make_receipt(job, &found).await.map(Some)
    }

    /// The receipt of an ended job, made unless it is there.
    async fn make_receipt(&self, job: JobId, found: &ComputeJob) -> Result<StoredReceipt, EngineError> {
        let odd = |problem: String| {
            let text = format!("the receipt of job {job} cannot be made: {problem}");
            EngineError::unavailable(Unavailability::Cluster, text)
        };
        let status = found.status().map_err(|error| odd(error.to_string()))?;
        let without = found.job().map_err(|error| odd(error.to_string()))?;
        let spec = self.with_parameters(without, found).await?;
        let report = match found.status.as_ref().and_then(|status| status.report.as_ref()) {
            None => None,
            Some(report) => self.stored_report(job, report.sha256).await?,
        };
        let results = found.status.as_ref().and_then(|status| status.results.as_ref()).map(ResultsDigest::list);
        let released = if status.phase.is_success() { self.bound_list(job, results).await? } else { Vec::new() };
        let rule = found.status.as_ref().and_then(|status| status.rule.as_deref());
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| odd(format!("no random bytes: {error}")))?;
        let ended = EndedJob { spec: &spec, status: &status, report: report.as_ref(), released: &released, rule };
        let receipt = cloister_lifecycle::receipt(&ended, &secret).map_err(|error| odd(error.to_string()))?;
        Ok(receipts::put(&self.cluster, job, receipt).await?)
    }

    /// A job with its parameters, which a receipt commits to.
    pub(super) async fn with_parameters(&self, job: JobSpec, found: &ComputeJob) -> Result<JobSpec, EngineError> {
        let payload = &found.spec.order.payload;
        let api: Api<Secret> = self.cluster.jobs();
        let mut parts = Vec::new();
        for name in &payload.secrets {
            let part = call("read the secrets of a job", || async { api.get_opt(name).await }).await?;
            let Some(part) = part.and_then(|secret| secret.data?.remove(Payload::KEY)) else {
                // The submission was cut off: no step of it ever saw parameters.
                return Ok(job);
            };
            parts.push(part.0);
        }
        let order = payload.join(job.id, &parts).map_err(unusable)?;
        Ok(JobSpec { parameters: order.parameters, ..job })
    }

    /// The report of a run, from the store; none if it was lost.
    ///
    /// # Errors
    /// If it is not the one with this digest, which the controller has of the run: credentials of the store alone cannot say what
    /// happened.
    pub(super) async fn stored_report(&self, job: JobId, sha256: Sha256) -> Result<Option<Report>, EngineError> {
        let Some(text) = self.results.report(job).await.map_err(failed)? else { return Ok(None) };
        read_report(&text, sha256).map(Some).ok_or_else(|| {
            let text = format!(
                "the report of job {job} in the result store is not the one that its run left, or of another version; the operator can \
                 restore it"
            );
            EngineError::unavailable(Unavailability::Store, text)
        })
    }
}

/// A report, if its text has this digest.
fn read_report(text: &[u8], sha256: Sha256) -> Option<Report> {
    (Sha256::of(text) == sha256).then(|| serde_json::from_slice(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::Outcome;

    #[test]
    fn a_report_is_the_one_that_its_run_left() {
        let report = cloister_testkit::report();
        let text = serde_json::to_vec(&report).expect("JSON");
        let sha256 = Sha256::of(&text);
        assert_eq!(read_report(&text, sha256), Some(report.clone()));
        let forged = Report { outcome: Outcome::AlgorithmFailed { exit_code: 1 }, ..report };
        let forged = serde_json::to_vec(&forged).expect("JSON");
        assert_eq!(read_report(&forged, sha256), None, "another one");
        assert_eq!(read_report(b"{}", Sha256::of(b"{}")), None, "none of this version");
    }
}
