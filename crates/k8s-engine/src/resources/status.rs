use super::{Condition, ConditionStatus, FirstApproval, Moment, OrderError, schema};
use cloister_model::{
    Account, Approval, Did, FailureDetail, Fault, JobId, JobStatus, Labels, ListDigest, Phase, Progress, Reason,
    Review, Sha256, Step, StoreWait, Timestamp, WithheldLog,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Characters of why a result store did not take results.
const MOST_WHY: usize = 500;

/// Phases that a job came to. A life has fewer.
const MOST_HISTORY: usize = 32;

/// How a job is doing, as the controller last wrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct ComputeJobStatus {
    /// The phase of the job.
    #[schemars(schema_with = "schema::phase")]
    pub phase: Phase,
    /// The number of the phase; those below 100 are Ocean's.
    #[schemars(range(min = 0, max = 1000))]
    pub code: u16,
    /// Whether the job has ended.
    pub over: bool,
    /// Why the job ended. Absent until it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<JobReason>,
    /// More about a failure, for the publisher of one asset of the job or for the owner of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<JobDetail>,
    /// The datasets that withhold the log of a job that has ended. Absent if the consumer may read what the contract lets out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(max = 71), regex(pattern = schema::DID)))]
    pub log_withheld_by: Option<Vec<String>>,
    /// When the job entered its phase.
    pub changed: Moment,
    /// When the job ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Moment>,
    /// When the results are deleted. Absent until the job has ended, and while an asset needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
    /// When a stop was requested. Absent until the controller has seen a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_requested: Option<Moment>,
    /// The review that took effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<StoredReview>,
    /// Every phase that the job has entered, the current one last.
    #[schemars(length(max = 32))]
    pub history: Vec<HistoryStep>,
    /// The number of jobs ahead of this one in the queue. Absent if it does not wait for its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::amount_or_none")]
    pub queue_ahead: Option<u64>,
    /// How many bytes of its inputs are fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<JobProgress>,
    /// Present while the results wait for a result store that does not answer or refuses them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_wait: Option<StoredWait>,
    /// The node that the algorithm runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node: Option<String>,
    /// How often each step's pod was created.
    #[serde(default)]
    pub attempts: Attempts,
    /// Why the job is in its phase, in a sentence that is safe to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub explanation: Option<String>,
    /// The report of the run, which is kept in the result store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportDigest>,
    /// The results that passed filtering, or that were released. Their list is kept in the result store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<ResultsDigest>,
    /// The rule that refused the outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub rule: Option<String>,
    /// These results are stored, and the service has to register them as a dataset before the job can finish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits_registration: Option<ResultsDigest>,
    /// Whether the log of a job that has ended was deleted, because the algorithm did not run or was not permitted to run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub log_discarded: bool,
    /// Events of the job that may not be in the audit log yet, as JSON: stored together with what they describe, and
    /// removed once they are on record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 131_072))]
    pub records: Option<String>,
    /// The generation of the resource that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `Complete` and `Failed` as in a Kubernetes Job, and `Admitted`, `Configured`, `Ran`, `Checked`, `Released`.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Why a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct JobReason {
    /// One line that is safe to show.
    #[schemars(length(max = 6000))]
    pub text: String,
    /// Who caused the end: the algorithm, a publisher, the system, or nobody, as after a stop.
    #[schemars(schema_with = "schema::fault")]
    pub fault: Fault,
}

/// What is known of a failure beyond its reason, for the publisher of one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct JobDetail {
    /// The asset whose files this is about. Absent for files that the job's owner brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = schema::DID))]
    pub asset: Option<String>,
    /// One line that is safe to show.
    #[schemars(length(max = 6000))]
    pub text: String,
}

impl JobDetail {
    /// As a reason is read.
    fn read(&self, job: JobId) -> Result<FailureDetail, StatusFormError> {
        let written = serde_json::json!({"asset": self.asset, "text": self.text});
        serde_json::from_value(written).map_err(|_| StatusFormError::Did(job))
    }
}

impl JobReason {
    /// A text that was made safe when it was written stays as it is; any other is made safe.
    fn read(&self) -> Reason {
        let Self { text, fault } = self;
        let written = serde_json::json!({"text": text, "fault": fault});
        serde_json::from_value(written).unwrap_or_else(|_| Reason::new(text, *fault))
    }
}

/// The review that took effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct StoredReview {
    /// Whether the outputs may leave.
    pub approved: bool,
    /// The account that decided.
    #[schemars(schema_with = "schema::account")]
    pub by: String,
    /// When it decided.
    pub at: Moment,
    /// The first approval, where two accounts have to approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<FirstApproval>,
}

/// A phase that a job has entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct HistoryStep {
    /// The phase.
    #[schemars(schema_with = "schema::phase")]
    pub phase: Phase,
    /// When the job entered it.
    pub at: Moment,
}

/// How far inputs are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct JobProgress {
    /// Bytes that are fetched.
    #[schemars(schema_with = "schema::amount")]
    pub done_bytes: u64,
    /// Bytes in all. Absent if a source does not tell its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::amount_or_none")]
    pub total_bytes: Option<u64>,
}

/// Which attempt of each step is the present one: 0 before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(inline)]
pub struct Attempts {
    /// Configuration.
    #[schemars(range(min = 0, max = 1000))]
    pub configuration: u32,
    /// The algorithm.
    #[schemars(range(min = 0, max = 1000))]
    pub algorithm: u32,
    /// Filtering and publishing.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub publishing: u32,
    /// How many attempts of publishing failed because the result store did not answer.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub store_away: u32,
}

/// The wait for a result store that is away or refuses the results. The outputs stay on the volume of the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct StoredWait {
    /// When the first attempt failed.
    pub since: Moment,
    /// How many attempts have failed.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub failures: u32,
    /// When the next attempt begins, unless an earlier one is requested.
    pub next: Moment,
    /// When the job ends without results, if the store has not taken the results by then.
    pub until: Moment,
    /// Why the last attempt failed, and what can be done. Safe to show.
    #[schemars(length(max = 500))]
    pub why: String,
}

impl From<&StoreWait> for StoredWait {
    fn from(StoreWait { since, failures, next, until, why }: &StoreWait) -> Self {
        let (since, next, until) = ((*since).into(), (*next).into(), (*until).into());
        Self { since, failures: *failures, next, until, why: why.clone() }
    }
}

impl StoredWait {
    /// What was written by hand is made safe to show.
    fn read(&self) -> StoreWait {
        let Self { since, failures, next, until, why } = self;
        let why = JobReason { text: why.clone(), fault: Fault::System }.read();
        let why = why.text().chars().take(MOST_WHY).collect();
        StoreWait {
            since: since.timestamp(),
            failures: *failures,
            next: next.timestamp(),
            until: until.timestamp(),
            why,
        }
    }
}

/// The report of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct ReportDigest {
    /// Its digest.
    #[schemars(schema_with = "schema::sha256")]
    pub sha256: Sha256,
}

/// A list of results.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct ResultsDigest {
    /// The digest of the list.
    #[schemars(schema_with = "schema::sha256")]
    pub manifest_sha256: Sha256,
    /// Files in it.
    #[schemars(schema_with = "schema::amount")]
    pub files: u64,
    /// Bytes of these files.
    #[schemars(schema_with = "schema::amount")]
    pub bytes: u64,
}

impl From<ListDigest> for ResultsDigest {
    fn from(list: ListDigest) -> Self {
        let ListDigest { sha256, files, bytes } = list;
        Self { manifest_sha256: sha256, files, bytes }
    }
}

impl ResultsDigest {
    /// The list that it is the digest of.
    #[must_use]
    pub fn list(&self) -> ListDigest {
        ListDigest { sha256: self.manifest_sha256, files: self.files, bytes: self.bytes }
    }
}

/// Why a status cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StatusFormError {
    /// The order cannot.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// A DID in it is invalid.
    #[error("the status of job {0} names an invalid asset; was it edited by hand?")]
    Did(JobId),
    /// An account in it is invalid.
    #[error("the status of job {0} names an invalid account; was it edited by hand?")]
    Account(JobId),
}

impl ComputeJobStatus {
    /// The status of a job, with the conditions that follow from its phase. What is not a part of [`JobStatus`] is taken
    /// from the status before.
    #[must_use]
    pub fn of(status: &JobStatus, before: Option<&Self>, generation: Option<i64>) -> Self {
        let JobStatus {
            id: _,
            labels: _,
            phase,
            reason,
            detail,
            created: _,
            withheld_log,
            changed,
            ended,
            stop_requested,
            expires,
            review,
            revision: _,
            progress,
            store_wait,
            history,
        } = status;
        let skip = history.len().saturating_sub(MOST_HISTORY);
        let mut new = Self {
            phase: *phase,
            code: phase.code(),
            over: phase.has_ended(),
            reason: reason.as_ref().map(|reason| JobReason { text: reason.text().to_owned(), fault: reason.fault() }),
            detail: detail.as_ref().map(|detail| JobDetail {
                asset: detail.asset().map(ToString::to_string),
                text: detail.text().to_owned(),
            }),
            // Which publishers have released it stands in the spec.
            log_withheld_by: withheld_log.as_ref().map(|log| log.by.iter().map(ToString::to_string).collect()),
            changed: (*changed).into(),
            ended: ended.map(Into::into),
            expires: expires.map(Into::into),
            stop_requested: stop_requested.map(Into::into),
            review: review.as_ref().map(|Review { approved, by, at, first }| StoredReview {
                approved: *approved,
                by: by.as_str().to_owned(),
                at: (*at).into(),
                first: first
                    .as_ref()
                    .map(|Approval { by, at }| FirstApproval { by: by.as_str().to_owned(), at: (*at).into() }),
            }),
            history: history[skip..]
                .iter()
                .map(|Step { phase, at }| HistoryStep { phase: *phase, at: (*at).into() })
                .collect(),
            queue_ahead: None,
            progress: progress.map(|Progress { done_bytes, total_bytes }| JobProgress { done_bytes, total_bytes }),
            store_wait: store_wait.as_ref().map(Into::into),
            node: before.and_then(|before| before.node.clone()),
            attempts: before.map(|before| before.attempts).unwrap_or_default(),
            explanation: None,
            report: before.and_then(|before| before.report.clone()),
            results: before.and_then(|before| before.results.clone()),
            rule: before.and_then(|before| before.rule.clone()),
            awaits_registration: before.and_then(|before| before.awaits_registration.clone()),
            log_discarded: before.is_some_and(|before| before.log_discarded),
            records: before.and_then(|before| before.records.clone()),
            observed_generation: generation,
            conditions: before.map(|before| before.conditions.clone()).unwrap_or_default(),
        };
        new.set_conditions();
        new
    }

    /// The status as the ports show it.
    ///
    /// # Errors
    /// [`StatusFormError::Account`].
    pub fn status(&self, id: JobId, labels: Labels, created: Timestamp) -> Result<JobStatus, StatusFormError> {
        let review = match &self.review {
            None => None,
            Some(StoredReview { approved, by, at, first }) => {
                let by: Account = by.parse().map_err(|_| StatusFormError::Account(id))?;
                let first = first.as_ref().map(|first| first.read(id)).transpose()?;
                Some(Review { approved: *approved, by, at: at.timestamp(), first })
            }
        };
        let did = |text: &String| text.parse::<Did>().map_err(|_| StatusFormError::Did(id));
        let withheld = match &self.log_withheld_by {
            None => None,
            Some(by) => Some(WithheldLog::by(by.iter().map(did).collect::<Result<_, _>>()?)),
        };
        Ok(JobStatus {
            id,
            labels,
            phase: self.phase,
            reason: self.reason.as_ref().map(JobReason::read),
            detail: self.detail.as_ref().map(|detail| detail.read(id)).transpose()?,
            withheld_log: withheld,
            created,
            changed: self.changed.timestamp(),
            ended: self.ended.map(Moment::timestamp),
            stop_requested: self.stop_requested.map(Moment::timestamp),
            expires: self.expires.map(Moment::timestamp),
            review,
            revision: 0,
            progress: self.progress.map(|JobProgress { done_bytes, total_bytes }| Progress { done_bytes, total_bytes }),
            store_wait: self.store_wait.as_ref().map(StoredWait::read),
            history: self.history.iter().map(|step| Step { phase: step.phase, at: step.at.timestamp() }).collect(),
        })
    }

    fn set_conditions(&mut self) {
        let came_to = |phase: Phase| self.history.iter().find(|step| step.phase == phase).map(|step| step.at);
        let mut put = Vec::new();
        let mut holds = |kind: &str, reason: &str, message: &str, at: Moment| {
            put.push(Condition {
                kind: kind.to_owned(),
                status: ConditionStatus::True,
                reason: reason.to_owned(),
                message: message.to_owned(),
                last_transition_time: at,
                observed_generation: self.observed_generation,
            });
        };
        for (kind, phase, message) in [
            ("Admitted", Phase::Accepted, "the queue gave the job its turn"),
            ("Configured", Phase::Configured, "the inputs are laid out"),
            ("Ran", Phase::Filtering, "the algorithm has ended"),
            ("Checked", Phase::Publishing, "the outputs may leave"),
            ("Released", Phase::Finished, "the results can be read"),
        ] {
            if let Some(at) = came_to(phase) {
                holds(kind, kind, message, at);
            }
        }
        if self.over {
            let text = self.reason.as_ref().map_or("", |reason| reason.text.as_str());
            let kind = if self.phase.is_success() { "Complete" } else { "Failed" };
            let message: String = text.chars().take(4000).collect();
            holds(kind, self.phase.as_str(), &message, self.changed);
        }
        for condition in put {
            Condition::put(&mut self.conditions, condition);
        }
    }
}
