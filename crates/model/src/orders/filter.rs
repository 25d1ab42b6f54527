use super::StepVersion;
use crate::{FileReport, JobId, JobSpec, Limits, OutputContract, ReleaseRules, Report, RuntimeKind};
use serde::{Deserialize, Serialize};

/// Decide whether the outputs of a run may leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FilterOrder {
    /// Which form this is.
    pub version: StepVersion,
    /// Which job.
    pub job: JobId,
    /// What may leave.
    pub contract: OutputContract,
    /// What it must be to leave, the programs that must agree included.
    pub release: ReleaseRules,
    /// What one of these programs may use.
    pub check_limits: Limits,
    /// Every file that the run left, as its report says.
    pub outputs: Vec<FileReport>,
    /// Directories that the run left, likewise.
    pub output_directories: u64,
    /// Whether there is no report of the run that counts, because a container could have written it: then the folder itself is
    /// what the run left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unreported: bool,
}

impl FilterOrder {
    /// The order for a job whose run has ended with this report. A check gets as much memory as the algorithm had.
    #[must_use]
    pub fn of(job: &JobSpec, report: &Report) -> Self {
        let outputs = report.outputs.clone();
        Self { outputs, output_directories: report.output_directories, ..Self::without_outputs(job) }
    }

    /// The order for a step that takes what the run left from the run's report itself.
    #[must_use]
    pub fn without_outputs(job: &JobSpec) -> Self {
        Self {
            version: StepVersion::V1,
            job: job.id,
            contract: job.terms.output_contract.clone(),
            release: job.terms.release.clone(),
            check_limits: Limits { memory_bytes: job.limits.memory_bytes, ..Limits::default() },
            outputs: Vec::new(),
            output_directories: 0,
            unreported: job.terms.runtime == RuntimeKind::Container,
        }
    }

    /// Whether a refusal may repeat words of the guest, such as a file's name: only where its log may leave unseen, too.
    #[must_use]
    pub fn may_quote_the_guest(&self) -> bool {
        !self.release.holds_log() && self.contract.max_log_bytes > 0
    }
}
