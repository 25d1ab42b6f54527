use crate::{problem::Problem, state::Shared};
use cloister_model::{
    Account, AuditAction, AuditEvent, EngineError, EngineFuture, JobId, JobStatus, ReviewVerdict, escape,
};
use serde_json::{Value, json};

/// Bytes of a reviewer's reason.
const MOST_REASON: usize = 500;

/// Asks for a job to be stopped. Puts nothing on record for one that has ended.
pub(crate) async fn stop(shared: &Shared, actor: &Account, status: &JobStatus) -> Result<JobStatus, Problem> {
    if status.phase.has_ended() {
        return Ok(status.clone());
    }
    let event = event(shared, actor, AuditAction::JobStopped, status.id, &json!({"phase": status.phase}));
    on_record(shared, event, shared.backend.stop(status.id, shared.now())).await
}

/// Does something, and puts it on record. That is asked for first, and the store does things in the order in which it is
/// asked: wherever the program is killed, nothing is done that is not on record.
async fn on_record<T>(shared: &Shared, event: AuditEvent, doing: EngineFuture<'_, T>) -> Result<T, Problem> {
    let (recorded, done) = futures_util::future::join(shared.backend.record(vec![event]), doing).await;
    let done = done?;
    recorded?;
    Ok(done)
}

/// Removes a job that has ended, with all that is left of it.
pub(crate) async fn remove(shared: &Shared, actor: &Account, status: &JobStatus) -> Result<(), Problem> {
    if !status.phase.has_ended() {
        return Err(EngineError::NotEnded(status.id).into());
    }
    let event = event(shared, actor, AuditAction::JobRemoved, status.id, &json!({"phase": status.phase}));
    on_record(shared, event, shared.backend.remove(status.id)).await
}

/// A reviewer's word, which counts once. On record is whatever was said: of two who speak at once the first counts.
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
    on_record(shared, event, shared.backend.review(job, verdict, shared.now())).await
}

pub(super) fn event(shared: &Shared, actor: &Account, action: AuditAction, job: JobId, detail: &Value) -> AuditEvent {
    let (actor, subject, detail) = (actor.key().to_owned(), job.to_string(), detail.to_string());
    AuditEvent { at: shared.now(), actor, action, subject, detail }
}
