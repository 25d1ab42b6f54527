use cloister_model::{
    Account, Approval, Did, FailureDetail, JobId, JobStatus, Labels, LogRelease, Phase, Progress, Reason, Review, Step,
    StoreWait, Timestamp, WithheldLog,
};
use serde::{Deserialize, Serialize};

/// A [`JobStatus`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusForm {
    id: JobId,
    labels: Labels,
    phase: Phase,
    reason: Option<Reason>,
    /// Since version 3.
    #[serde(default)]
    detail: Option<FailureDetail>,
    created: Timestamp,
    changed: Timestamp,
    ended: Option<Timestamp>,
    stop_requested: Option<Timestamp>,
    expires: Option<Timestamp>,
    /// Since version 2.
    #[serde(default)]
    review: Option<ReviewForm>,
    /// Since version 3. Earlier versions kept no log that they withheld.
    #[serde(default)]
    withheld_log: Option<WithheldLogForm>,
    revision: u64,
    progress: Option<ProgressForm>,
    /// Since version 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    store_wait: Option<StoreWaitForm>,
    history: Vec<StepForm>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewForm {
    approved: bool,
    by: Account,
    at: Timestamp,
    /// Since version 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<ApprovalForm>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApprovalForm {
    by: Account,
    at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WithheldLogForm {
    by: Vec<Did>,
    /// Not written any more: the only release, by a publisher without whom no other one withheld the log.
    #[serde(default, skip_serializing)]
    release: Option<OnlyReleaseForm>,
    #[serde(default)]
    releases: Vec<LogReleaseForm>,
    /// Absent: all of `by`, unless there is an only release.
    missing: Option<Vec<Did>>,
    #[serde(default)]
    bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogReleaseForm {
    by: Account,
    at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnlyReleaseForm {
    by: Account,
    at: Timestamp,
    bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProgressForm {
    done_bytes: u64,
    total_bytes: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoreWaitForm {
    since: Timestamp,
    failures: u32,
    next: Timestamp,
    until: Timestamp,
    why: String,
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
            detail,
            created,
            changed,
            ended,
            stop_requested,
            expires,
            review,
            withheld_log,
            revision,
            progress,
            store_wait,
            history,
        } = status.clone();
        Self {
            id,
            labels,
            phase,
            reason,
            detail,
            created,
            changed,
            ended,
            stop_requested,
            expires,
            review: review.map(Into::into),
            withheld_log: withheld_log.map(Into::into),
            revision,
            progress: progress.map(|Progress { done_bytes, total_bytes }| ProgressForm { done_bytes, total_bytes }),
            store_wait: store_wait.map(Into::into),
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
            detail,
            created,
            changed,
            ended,
            stop_requested,
            expires,
            review,
            withheld_log,
            revision,
            progress,
            store_wait,
            history,
        } = form;
        Self {
            id,
            labels,
            phase,
            reason,
            detail,
            created,
            changed,
            ended,
            stop_requested,
            expires,
            review: review.map(Into::into),
            withheld_log: withheld_log.map(Into::into),
            revision,
            progress: progress.map(|ProgressForm { done_bytes, total_bytes }| Progress { done_bytes, total_bytes }),
            store_wait: store_wait.map(Into::into),
            history: history.into_iter().map(|StepForm { phase, at }| Step { phase, at }).collect(),
        }
    }
}

impl From<Review> for ReviewForm {
    fn from(Review { approved, by, at, first }: Review) -> Self {
        let first = first.map(|Approval { by, at }| ApprovalForm { by, at });
        Self { approved, by, at, first }
    }
}

impl From<ReviewForm> for Review {
    fn from(ReviewForm { approved, by, at, first }: ReviewForm) -> Self {
        let first = first.map(|ApprovalForm { by, at }| Approval { by, at });
        Self { approved, by, at, first }
    }
}

impl From<StoreWait> for StoreWaitForm {
    fn from(StoreWait { since, failures, next, until, why }: StoreWait) -> Self {
        Self { since, failures, next, until, why }
    }
}

impl From<StoreWaitForm> for StoreWait {
    fn from(StoreWaitForm { since, failures, next, until, why }: StoreWaitForm) -> Self {
        Self { since, failures, next, until, why }
    }
}

impl From<WithheldLog> for WithheldLogForm {
    fn from(log: WithheldLog) -> Self {
        let WithheldLog { by, releases, missing, bytes } = log;
        let releases = releases.into_iter().map(|LogRelease { by, at }| LogReleaseForm { by, at }).collect();
        Self { by, release: None, releases, missing: Some(missing), bytes }
    }
}

impl From<WithheldLogForm> for WithheldLog {
    fn from(form: WithheldLogForm) -> Self {
        let WithheldLogForm { by, release, releases, missing, bytes } = form;
        if let Some(OnlyReleaseForm { by: publisher, at, bytes }) = release {
            return Self { by, releases: vec![LogRelease { by: publisher, at }], missing: Vec::new(), bytes };
        }
        let releases = releases.into_iter().map(|LogReleaseForm { by, at }| LogRelease { by, at }).collect();
        Self { missing: missing.unwrap_or_else(|| by.clone()), by, releases, bytes }
    }
}
