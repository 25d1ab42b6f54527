//! From a request for a job to a job: the same for every API.
//!
//! [`Submission`] is what an API reads. [`UseCases::explain`] says whether it may run; [`UseCases::submit`] hands it to the
//! engine together with its record.

mod decide;
mod error;
mod job;
mod request;
mod resolve;
mod shares;

pub use error::SubmitError;
pub use request::{
    Agreement, AlgorithmRef, DatasetRef, Identity, JobLabel, JobLabelError, RawSource, Register, Submission,
    WantedLimits,
};
pub(crate) use shares::{Counted, MANY, Share, Shares};

use crate::{Actor, UseCases};
use cloister_model::{
    Account, AdmittedBy, AuditAction, AuditEvent, Decision, Denial, EngineError, JobStatus, Quota, QuotaExceeded,
    Sha256, StoreError, Terms, Timestamp,
};
use decide::{Decided, decide};
use job::Named;
use serde_json::{Value, json};

/// A job that was taken.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// How it is doing.
    pub status: JobStatus,
    /// The rules that admitted its algorithm, one for each dataset; empty for a request that came again.
    pub admitted: Vec<AdmittedBy>,
    /// Whether the job was there before: the request came again.
    pub repeated: bool,
}

/// What would be decided about a job.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Whether it would be allowed, and why.
    pub decision: Decision,
    /// The interpreter that the operator has named for the algorithm's image, if the job would be denied because this is not installed.
    pub interpreter: Option<String>,
}

impl UseCases {
    /// Decides about a job and hands it to the engine, together with its record. Done when both are stored for good. A
    /// denial is recorded, too.
    ///
    /// # Errors
    /// Why the job was not taken.
    pub async fn submit(&self, actor: &Actor, submission: &Submission) -> Result<Submitted, SubmitError> {
        let owner = actor.consumer().ok_or_else(|| SubmitError::field("owner", "name the consumer"))?;
        let named = Named::new(self, owner, &submission.identity)?;
        if let Some(request) = named.request
            && let Some(status) = self.repeated(named, owner, request).await?
        {
            return Ok(Submitted { status, admitted: Vec::new(), repeated: true });
        }
        self.check_result_quota(owner).await?;
        let share = self.shares().take(owner, submission.datasets.len()).await;
        let provider = actor.ocean_provider();
        let decided = decide(self, owner, provider.as_ref(), submission, &share).await?;
        let terms = match &decided.decision {
            Decision::Allowed(terms) => terms.as_ref().clone(),
            Decision::Denied(denials) => {
                let denial = denied(actor, owner, &decided, denials, named.now);
                let rules = json!([denials, decided.lacking]).to_string();
                let events = self.denials().events(denial, &rules);
                if !events.is_empty() {
                    self.backend().record(events).await?;
                }
                return Err(SubmitError::Denied { rules: denials.clone(), interpreter: decided.lacking.clone() });
            }
        };
        let allowed = allowed(actor, owner, named, &decided, &terms);
        let admitted = terms.admitted.iter().map(|dataset| dataset.by).collect();
        let (job, claims) = job::job(self, (actor, owner), submission, decided, terms, named).await?;
        match (self.backend().submit(job, claims, allowed).await, named.request) {
            (Err(EngineError::JobExists(_)), Some(request)) => {
                // The same request came twice at once, and the other one was first.
                let status = self.repeated(named, owner, request).await?.ok_or(SubmitError::Reused)?;
                Ok(Submitted { status, admitted: Vec::new(), repeated: true })
            }
            (submitted, _) => Ok(Submitted { status: submitted?, admitted, repeated: false }),
        }
    }

    /// Whether a job would be allowed, and why. Records nothing and starts nothing.
    ///
    /// # Errors
    /// What of the request cannot be used.
    pub async fn explain(&self, owner: &Account, submission: &Submission) -> Result<Explained, SubmitError> {
        let share = self.shares().take(owner, submission.datasets.len()).await;
        let Decided { decision, lacking, .. } = decide(self, owner, None, submission, &share).await?;
        Ok(Explained { decision, interpreter: lacking })
    }

    /// Checks that an account may have more results.
    async fn check_result_quota(&self, owner: &Account) -> Result<(), SubmitError> {
        let (limit, used) = (self.options().quotas.result_bytes, self.backend().result_bytes(owner.clone()).await?);
        if used < limit {
            return Ok(());
        }
        Err(StoreError::from(QuotaExceeded { quota: Quota::ResultBytes, limit, used }).into())
    }

    /// The job of this name, if it exists and was made by the same request; none if it does not exist.
    async fn repeated(&self, named: Named, owner: &Account, request: Sha256) -> Result<Option<JobStatus>, SubmitError> {
        let record = match self.backend().card(named.id).await {
            Ok(card) => card.record,
            Err(EngineError::NoSuchJob(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if record.request != Some(request) || record.owner != *owner {
            return Err(SubmitError::Reused);
        }
        Ok(Some(self.backend().status(named.id).await?))
    }
}

fn allowed(actor: &Actor, owner: &Account, named: Named, decided: &Decided, terms: &Terms) -> AuditEvent {
    let detail = actor.vouched(json!({"what": job::summary(decided), "admitted": terms.admitted}));
    event(owner, named.now, AuditAction::JobAllowed, named.id.to_string(), &detail)
}

/// The record of a denial stands under the first dataset: there is no job.
fn denied(actor: &Actor, owner: &Account, decided: &Decided, denials: &[Denial], at: Timestamp) -> AuditEvent {
    let mut detail = json!({"what": job::summary(decided), "rules": denials});
    if let Some(interpreter) = &decided.lacking {
        detail["missingInterpreter"] = json!(interpreter);
    }
    let detail = actor.vouched(detail);
    let subject = decided.datasets.first().map_or_else(|| "job".to_owned(), |first| first.asset.ddo.id().to_string());
    event(owner, at, AuditAction::JobDenied, subject, &detail)
}

fn event(owner: &Account, at: Timestamp, action: AuditAction, subject: String, detail: &Value) -> AuditEvent {
    AuditEvent { at, actor: owner.key().to_owned(), action, subject, detail: detail.to_string() }
}
