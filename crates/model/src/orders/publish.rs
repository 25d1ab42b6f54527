use super::StepVersion;
use crate::{AgeRecipient, JobId, JobSpec, ResultFile};
use serde::{Deserialize, Serialize};

/// Store what was checked where the consumer can fetch it.
///
/// Which store it is, and its credentials, belong to the step itself and not to the order: an order that is read by a
/// stranger, or written by one, must not decide where results go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishOrder {
    /// Which form this is.
    pub version: StepVersion,
    /// Which job.
    pub job: JobId,
    /// What was checked: the step stores exactly these bytes, or nothing.
    pub files: Vec<ResultFile>,
    /// Encrypt every file to this recipient; none: as they are.
    pub encrypt_to: Option<AgeRecipient>,
}

impl PublishOrder {
    /// The order for a job whose filtering has passed these files.
    #[must_use]
    pub fn of(job: &JobSpec, files: Vec<ResultFile>) -> Self {
        Self { version: StepVersion::V1, job: job.id, files, encrypt_to: job.delivery.encrypt_to.clone() }
    }
}
