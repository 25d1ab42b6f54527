use cloister_model::{Account, JobId, JobStatus, Labels, Phase, Progress, Reason, Review, Step, Timestamp};
use serde::{Deserialize, Serialize};

/// A [`JobStatus`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusForm {
    id: JobId,
    labels: Labels,
    phase: Phase,
    reason: Option<Reason>,
    created: Timestamp,
    changed: Timestamp,
    ended: Option<Timestamp>,
    stop_requested: Option<Timestamp>,
    expires: Option<Timestamp>,
    /// Since version 2.
    #[serde(default)]
    review: Option<ReviewForm>,
    revision: u64,
    progress: Option<ProgressForm>,
    history: Vec<StepForm>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewForm {
    approved: bool,
    by: Account,
    at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProgressForm {
    done_bytes: u64,
    total_bytes: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StepForm {
    phase: Phase,
    at: Timestamp,
}

impl From<&JobStatus> for StatusForm {
    fn from(status: &JobStatus) -> Self {
        let JobStatus {
            id,
            labels,
            phase,
            reason,
            created,
            changed,
            ended,
            stop_requested,
            expires,
            review,
            revision,
            progress,
            history,
        } = status.clone();
        Self {
            id,
            labels,
            phase,
            reason,
            created,
            changed,
            ended,
            stop_requested,
            expires,
            review: review.map(|Review { approved, by, at }| ReviewForm { approved, by, at }),
            revision,
            progress: progress.map(|Progress { done_bytes, total_bytes }| ProgressForm { done_bytes, total_bytes }),
            history: history.into_iter().map(|Step { phase, at }| StepForm { phase, at }).collect(),
        }
    }
}

impl From<StatusForm> for JobStatus {
    fn from(form: StatusForm) -> Self {
        let StatusForm {
            id,
            labels,
            phase,
            reason,
            created,
            changed,
            ended,
            stop_requested,
            expires,
            review,
            revision,
            progress,
            history,
        } = form;
        Self {
            id,
            labels,
            phase,
            reason,
            created,
            changed,
            ended,
            stop_requested,
            expires,
            review: review.map(|ReviewForm { approved, by, at }| Review { approved, by, at }),
            revision,
            progress: progress.map(|ProgressForm { done_bytes, total_bytes }| Progress { done_bytes, total_bytes }),
            history: history.into_iter().map(|StepForm { phase, at }| Step { phase, at }).collect(),
        }
    }
}
