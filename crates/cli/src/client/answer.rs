//! Answers of the service, as far as tables for people need them. `-o json` and `-o yaml` print an answer as it came, with
//! every field; these types hold only what a command reads. Unknown fields are ignored, so that an older command line
//! works with a newer service. Texts are the service's: escape them before they are shown.

use super::ClientError;
use cloister_model::{AuditAction, AuditEvent, AuditRecord, JobId, ResultKind, Sha256, Timestamp, escape};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// Reads an answer.
///
/// # Errors
/// [`ClientError::Unexpected`] if a field is missing or has another type.
pub(crate) fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, ClientError> {
    T::deserialize(answer)
        .map_err(|error| ClientError::Unexpected(escape(error.to_string().as_bytes(), 200).to_string()))
}

/// Reads every item of a list.
///
/// # Errors
/// As for [`read`].
pub(crate) fn read_all<T: DeserializeOwned>(items: &[Value]) -> Result<Vec<T>, ClientError> {
    items.iter().map(read).collect()
}

/// `GET /v1/whoami`.
#[derive(Debug, Deserialize)]
pub(crate) struct Whoami {
    pub(crate) account: String,
    pub(crate) role: String,
    pub(crate) via: String,
}

/// How a job is doing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    pub(crate) id: JobId,
    /// A phase's name. Text, because a newer service may have more phases.
    pub(crate) phase: String,
    pub(crate) created: String,
    pub(crate) changed: String,
    pub(crate) ended: Option<String>,
    pub(crate) expires: Option<String>,
    pub(crate) owner: Option<String>,
    /// What its owner calls it. Absent in answers of an older service.
    pub(crate) label: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) datasets: Vec<String>,
    pub(crate) algorithm: JobAlgorithm,
    pub(crate) progress: Option<Progress>,
    pub(crate) history: Vec<Step>,
    pub(crate) reason: Option<Reason>,
    /// Absent in answers of an older service.
    pub(crate) withheld_log: Option<WithheldLog>,
    /// Absent in answers of an older service.
    pub(crate) store_wait: Option<StoreWait>,
}

/// The wait for a result store that is away or refuses the results.
#[derive(Debug, Deserialize)]
pub(crate) struct StoreWait {
    pub(crate) since: String,
    pub(crate) next: String,
    pub(crate) until: String,
    pub(crate) why: String,
}

/// A log that rules of datasets keep from the consumer.
#[derive(Debug, Deserialize)]
pub(crate) struct WithheldLog {
    /// When all publishers that withhold it had released it.
    pub(crate) released: Option<String>,
    /// Who withholds it, and what can be done.
    pub(crate) text: String,
}

/// What a job runs.
#[derive(Debug, Deserialize)]
pub(crate) struct JobAlgorithm {
    /// Absent for an algorithm that came with the job.
    pub(crate) did: Option<String>,
}

/// How much of a job's inputs has been fetched.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress {
    pub(crate) done_bytes: u64,
    pub(crate) total_bytes: Option<u64>,
}

/// A phase that a job reached.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    pub(crate) phase: String,
    pub(crate) at: String,
}

/// Why a job ended.
#[derive(Debug, Deserialize)]
pub(crate) struct Reason {
    pub(crate) text: String,
    /// `nobody`, `algorithm`, `publisher` or `system`. Text, because a newer service may know more.
    pub(crate) fault: String,
}

/// Why a job is where it is.
#[derive(Debug, Deserialize)]
pub(crate) struct JobExplanation {
    pub(crate) phase: String,
    pub(crate) text: String,
    /// What this reader may know beyond the text.
    pub(crate) detail: Option<String>,
    /// Whom its outputs wait for. Absent in answers of an older service.
    pub(crate) review: Option<ReviewWait>,
}

/// Whom the outputs of a job wait for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReviewWait {
    pub(crate) reviewers: Vec<String>,
    /// If there are any, two accounts have to approve. Absent in answers of an older service.
    #[serde(default)]
    pub(crate) named: Vec<String>,
    pub(crate) approved_by: Option<String>,
    pub(crate) until: String,
}

impl ReviewWait {
    /// The same as a sentence without its end. Escaped.
    pub(crate) fn sentence(&self) -> String {
        let until = escape(self.until.as_bytes(), 64);
        let written = |name: &String| escape(name.as_bytes(), 128).to_string();
        let named: Vec<String> = self.reviewers.iter().map(written).collect();
        if let ([publisher], [_, ..]) = (&named[..], &self.named[..]) {
            let all: Vec<String> = std::iter::once(publisher.clone()).chain(self.named.iter().map(written)).collect();
            let all = all.join(", ");
            return match &self.approved_by {
                Some(first) => format!(
                    "{} has approved the outputs; waiting for another one of {all}, until {until}",
                    written(first)
                ),
                None => format!("waiting for two of {all} to review the outputs, until {until}"),
            };
        }
        match &named[..] {
            [] => format!("waiting for a review of the outputs, until {until}"),
            [one] => format!("waiting for {one} to review the outputs, until {until}"),
            several => format!(
                "waiting for an operator to review the outputs, because datasets of {} need it, until {until}",
                several.join(" and ")
            ),
        }
    }
}

/// A job whose outputs wait for the caller's decision.
#[derive(Debug, Deserialize)]
pub(crate) struct WaitingReview {
    pub(crate) job: Job,
    pub(crate) waits: ReviewWait,
    pub(crate) files: Option<u64>,
    pub(crate) bytes: Option<u64>,
    /// Absent if they are long, and in answers of an older service.
    pub(crate) parameters: Option<JobParameters>,
}

/// What the algorithm of a job is given beside its data. The consumer's text.
#[derive(Debug, Deserialize)]
pub(crate) struct JobParameters {
    pub(crate) values: Map<String, Value>,
    pub(crate) arguments: Vec<String>,
    /// As an entrypoint says it.
    #[serde(default)]
    pub(crate) stdin: Option<String>,
}

/// A result of a job.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ResultFile {
    pub(crate) index: u32,
    /// A guest's text.
    pub(crate) name: String,
    pub(crate) kind: ResultKind,
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256,
}

/// A list that comes whole.
#[derive(Debug, Deserialize)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
}

/// A dataset or an algorithm.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asset {
    pub(crate) did: String,
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) title: String,
    pub(crate) revision: u64,
    pub(crate) created: String,
    pub(crate) updated: String,
    pub(crate) withdrawn: Option<String>,
    pub(crate) services: Vec<Service>,
    /// For algorithms.
    pub(crate) files_checksum: Option<String>,
    /// For algorithms.
    pub(crate) container_section_checksum: Option<String>,
}

/// A way in which an asset may be used.
#[derive(Debug, Deserialize)]
pub(crate) struct Service {
    pub(crate) r#type: String,
}

/// An API key.
#[derive(Debug, Deserialize)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) role: String,
    pub(crate) label: String,
    pub(crate) created: String,
    pub(crate) expires: Option<String>,
    pub(crate) revoked: Option<String>,
    /// The key itself, in the answer that creates it only.
    pub(crate) key: Option<String>,
}

/// Where jobs run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Environment {
    pub(crate) id: String,
    pub(crate) description: String,
    pub(crate) runtimes: Vec<String>,
    pub(crate) interpreters: Vec<String>,
    pub(crate) cpus: u32,
    pub(crate) memory_bytes: u64,
    pub(crate) running: u64,
    pub(crate) queued: u64,
}

/// An uploaded file.
#[derive(Debug, Deserialize)]
pub(crate) struct Upload {
    pub(crate) sha256: Sha256,
}

/// An upload in the list of an account's.
#[derive(Debug, Deserialize)]
pub(crate) struct KeptUpload {
    pub(crate) sha256: Sha256,
    pub(crate) bytes: u64,
    pub(crate) sent: String,
    pub(crate) expires: String,
}

/// A record of the audit log. `at`, for people, is left out: the hash covers `atMs`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    sequence: u64,
    /// Milliseconds since 1970.
    at_ms: u64,
    actor: String,
    action: AuditAction,
    subject: String,
    detail: String,
    previous: Sha256,
    hash: Sha256,
}

impl From<Record> for AuditRecord {
    fn from(record: Record) -> Self {
        let Record { sequence, at_ms, actor, action, subject, detail, previous, hash } = record;
        let event = AuditEvent { at: Timestamp::from_unix_ms(at_ms), actor, action, subject, detail };
        Self { sequence, event, previous, hash }
    }
}

#[cfg(all(test, feature = "service"))]
mod tests;
