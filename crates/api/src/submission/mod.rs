//! From a request for a job to a job: the same for both APIs.
//!
//! [`Submission`] is what either of them reads. [`decide`] says whether it may run and as what; [`submit`] hands it to the
//! engine and puts it on record.

mod decision;
mod error;
mod form;
mod identity;
mod labels;
mod parameters;
mod record;
mod resolve;
mod spec;

pub(crate) use decision::{Decided, decide};
pub(crate) use error::SubmitError;
pub(crate) use form::{AlgorithmRef, DatasetRef, Identity, RawSource, Register, Submission, WantedLimits};
pub(crate) use labels::{AGREEMENT, ALGORITHM, ENVIRONMENT, OWNER, dataset_label, datasets_of};
pub(crate) use record::Record;
pub(crate) use resolve::service_files;

use crate::state::Shared;
use cloister_model::{
    Account, AuditAction, AuditEvent, Decision, Denial, EngineError, JobId, JobStatus, Sha256, Terms, Timestamp,
};
use serde_json::json;

/// A job that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    /// How it is doing.
    pub(crate) status: JobStatus,
    /// Whether it was there before: the request came again.
    pub(crate) repeated: bool,
}

/// Decides about a job, hands it to the engine and puts both on record. Done when it is stored for good.
pub(crate) async fn submit(shared: &Shared, owner: &Account, submission: Submission) -> Result<Submitted, SubmitError> {
    let (id, request) = identity::name(shared.settings.secret.expose(), owner, &submission.identity)?;
    if let Some(request) = request
        && let Some(status) = repeated(shared, id, owner, request).await?
    {
        return Ok(Submitted { status, repeated: true });
    }
    let decided = decide(shared, owner, &submission).await?;
    let now = shared.now();
    let terms = match &decided.decision {
        Decision::Allowed(terms) => terms.as_ref().clone(),
        Decision::Denied(denials) => {
            shared.metrics.denied(denials);
            shared.backend.record(vec![denied_event(owner, &decided, denials, now)]).await?;
            return Err(SubmitError::Denied(denials.clone()));
        }
    };
    let allowed = allowed_event(owner, id, &decided, &terms, now);
    shared.metrics.allowed(terms.admitted.iter().map(|dataset| dataset.by));
    let spec = spec::write(shared, owner, &submission, decided, terms, spec::Named { id, request, now }).await?;
    // The record is asked for first, and the store does things in the order in which it is asked: wherever the program is
    // killed, no job is there that nobody allowed.
    let (recorded, status) =
        futures_util::future::join(shared.backend.record(vec![allowed]), shared.backend.submit(spec)).await;
    match (status, request) {
        (Err(EngineError::JobExists(_)), Some(request)) => {
            // The same request came twice at once, and the other was first.
            let status = self::repeated(shared, id, owner, request).await?.ok_or(SubmitError::Reused)?;
            Ok(Submitted { status, repeated: true })
        }
        (status, _) => {
            let status = status?;
            recorded?;
            Ok(Submitted { status, repeated: false })
        }
    }
}

/// The job of this name, if it is there and was made by the same request; none if there is none.
async fn repeated(
    shared: &Shared,
    id: JobId,
    owner: &Account,
    request: Sha256,
) -> Result<Option<JobStatus>, SubmitError> {
    let spec = match shared.backend.spec(id).await {
        Ok(spec) => spec,
        Err(EngineError::NoSuchJob(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let record = Record::of(&spec).ok_or(SubmitError::Reused)?;
    if record.request != Some(request) || record.owner != *owner {
        return Err(SubmitError::Reused);
    }
    Ok(Some(shared.backend.status(id).await?))
}

fn allowed_event(owner: &Account, id: JobId, decided: &Decided, terms: &Terms, at: Timestamp) -> AuditEvent {
    let detail = json!({"what": decided.summary(), "admitted": terms.admitted});
    AuditEvent {
        at,
        actor: owner.key().to_owned(),
        action: AuditAction::JobAllowed,
        subject: id.to_string(),
        detail: detail.to_string(),
    }
}

fn denied_event(owner: &Account, decided: &Decided, denials: &[Denial], at: Timestamp) -> AuditEvent {
    let detail = json!({"what": decided.summary(), "rules": denials});
    AuditEvent {
        at,
        actor: owner.key().to_owned(),
        action: AuditAction::JobDenied,
        subject: decided.first_subject(),
        detail: detail.to_string(),
    }
}
