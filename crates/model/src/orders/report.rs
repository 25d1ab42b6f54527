use super::StepVersion;
use crate::{Did, Event, FailureDetail, FileDigest, FilesChecksum, JobId, Progress, Reason, ResultFile};
use serde::{Deserialize, Serialize};

/// What a step answers: one form for all steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepReport {
    /// Which form this is.
    pub version: StepVersion,
    /// Which job.
    pub job: JobId,
    /// Which step.
    pub step: StepName,
    /// What became of it.
    pub result: StepResult,
    /// Bytes that it fetched or stored; none for a step that moves none.
    pub progress: Option<Progress>,
}

/// The steps around a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepName {
    /// Fetch inputs and lay them out.
    Configure,
    /// Decide whether outputs may leave.
    Filter,
    /// Store results.
    Publish,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum StepResult {
    /// The inputs are laid out.
    Configured {
        /// The datasets, in the order of `DIDS`.
        datasets: Vec<Did>,
        /// Every file, sorted by path.
        files: Vec<GuestFile>,
        /// The algorithm's files.
        algorithm: FilesChecksum,
    },
    /// The outputs may leave, as far as programs can say; a reviewer may still be asked.
    Passed {
        /// What may leave: the outputs sorted by name, and the log last.
        files: Vec<ResultFile>,
    },
    /// The results are stored.
    Published {
        /// As they are stored: where they are encrypted, under other names, with other sizes and digests.
        files: Vec<ResultFile>,
    },
    /// The step could not be done.
    Failed {
        /// What kind of failure it is.
        failure: StepFailure,
        /// The rule that outputs broke; none if it was another failure.
        rule: Option<String>,
        /// For the consumer.
        reason: Reason,
        /// For the publisher and the operator.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<FailureDetail>,
    },
}

/// Why a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepFailure {
    /// A dataset could not be provided, or the inputs could not be laid out.
    Data,
    /// The algorithm could not be provided, or its files are not those that may run.
    Algorithm,
    /// The outputs may not leave, or could not be checked.
    Outputs,
    /// The results could not be stored.
    Results,
    /// The result store is away, or does not take the results now: it is tried again later. The job is where it was.
    StoreAway,
    /// The step was told to end. The job is where it was.
    Cancelled,
}

/// A file that the guest can read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuestFile {
    /// Its path below `/data`.
    pub path: String,
    /// Its content and size.
    pub file: FileDigest,
}

impl StepReport {
    /// The report of a step that moved nothing.
    #[must_use]
    pub fn new(job: JobId, step: StepName, result: StepResult) -> Self {
        Self { version: StepVersion::V1, job, step, result, progress: None }
    }

    /// What happened to the job; none if it is where it was. A job whose outputs passed may wait for a reviewer, which
    /// the step does not know.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        match &self.result {
            StepResult::Configured { .. } => Some(Event::Provisioned),
            StepResult::Passed { .. } => Some(Event::Passed),
            StepResult::Published { .. } => Some(Event::Published),
            StepResult::Failed { failure, .. } => failure.event(),
        }
    }
}

impl StepFailure {
    /// What happened to the job; none if it is where it was.
    #[must_use]
    pub fn event(self) -> Option<Event> {
        match self {
            Self::Data => Some(Event::DataUnavailable),
            Self::Algorithm => Some(Event::AlgorithmUnavailable),
            Self::Outputs => Some(Event::Refused),
            Self::Results => Some(Event::PublishFailed),
            Self::StoreAway | Self::Cancelled => None,
        }
    }
}
