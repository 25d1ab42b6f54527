//! From a request for a job to a job: the same for both APIs.
//!
//! [`Submission`] is what either of them reads. [`decide`] says whether it may run and as what; [`submit`] hands it to the
//! engine and puts it on record.

mod error;
mod form;

pub(crate) use error::SubmitError;
pub(crate) use form::{AlgorithmRef, DatasetRef, Identity, RawSource, Register, Submission, WantedLimits};

use crate::state::Shared;
use cloister_model::{Account, JobStatus};

/// A job that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    /// How it is doing.
    pub(crate) status: JobStatus,
    /// Whether it was there before: the request came again.
    pub(crate) repeated: bool,
}

/// Decides about a job, hands it to the engine and puts both on record. Done when it is stored for good.
pub(crate) async fn submit(
    _shared: &Shared,
    _owner: &Account,
    _submission: Submission,
) -> Result<Submitted, SubmitError> {
    std::future::ready(()).await;
    Err(SubmitError::Internal("not written"))
}
