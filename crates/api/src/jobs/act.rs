use crate::{problem::Problem, state::Shared};
use cloister_model::{Account, AuditAction, AuditEvent, JobId, JobStatus, ReviewVerdict, escape};
use serde_json::{Value, json};

/// Bytes of a reviewer's reason.
const MOST_REASON: usize = 500;

/// Asks for a job to be stopped. Puts nothing on record for one that has ended.
pub(crate) async fn stop(shared: &Shared, actor: &Account, status: &JobStatus) -> Result<JobStatus, Problem> {
    if status.phase.has_ended() {
        return Ok(status.clone());
    }
    let event = event(shared, actor, AuditAction::JobStopped, status.id, &json!({"phase": status.phase}));
    let stopping = shared.backend.stop(status.id, shared.now());
    let (stopped, recorded) = futures_util::future::join(stopping, shared.backend.record(vec![event])).await;
    recorded?;
    Ok(stopped?)
}

/// Removes a job that has ended, with all that is left of it.
pub(crate) async fn remove(shared: &Shared, actor: &Account, status: &JobStatus) -> Result<(), Problem> {
    shared.backend.remove(status.id).await?;
    let event = event(shared, actor, AuditAction::JobRemoved, status.id, &json!({"phase": status.phase}));
    Ok(shared.backend.record(vec![event]).await?)
}

/// A reviewer's word, which counts once and is then on record.
pub(crate) async fn review(
    shared: &Shared,
    actor: &Account,
    job: JobId,
    verdict: ReviewVerdict,
) -> Result<JobStatus, Problem> {
    let detail = match &verdict {
        ReviewVerdict::Approve => json!({"verdict": "approve"}),
        ReviewVerdict::Refuse(reason) => {
            json!({"verdict": "refuse", "reason": escape(reason.as_bytes(), MOST_REASON).to_string()})
        }
    };
    let event = event(shared, actor, AuditAction::Reviewed, job, &detail);
    let status = shared.backend.review(job, verdict, shared.now()).await?;
    shared.backend.record(vec![event]).await?;
    Ok(status)
}

pub(super) fn event(shared: &Shared, actor: &Account, action: AuditAction, job: JobId, detail: &Value) -> AuditEvent {
    let (actor, subject, detail) = (actor.key().to_owned(), job.to_string(), detail.to_string());
    AuditEvent { at: shared.now(), actor, action, subject, detail }
}
