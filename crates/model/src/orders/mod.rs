//! What the steps of a job are told, and what they answer.
//!
//! A step is a function in the service and a program in a pod: `cloister step configure|filter|publish`. Either way it gets
//! an *order* that holds what this step needs and nothing else (not the consumer, not the labels, not the record of the
//! decision), and answers with a [`StepReport`]. Both are JSON with a version, and unknown fields are refused: a step must
//! not carry out half of an order of a later version.

mod configure;
mod filter;
mod message;
mod publish;
mod report;

pub use configure::{ConfigureOrder, OrderedAlgorithm};
pub use filter::FilterOrder;
pub use message::{ListDigest, MOST_MESSAGE_BYTES, MessageVersion, RunEnd, RunSummary, Said, StepMessage};
pub use publish::PublishOrder;
pub use report::{GuestFile, StepFailure, StepName, StepReport, StepResult};

use serde::{Deserialize, Serialize};

/// The version of an order and of a step's report. Readers refuse versions that they do not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepVersion {
    /// The only one so far.
    #[default]
    #[serde(rename = "cloister.dev/step/v1")]
    V1,
}

#[cfg(test)]
mod tests;
