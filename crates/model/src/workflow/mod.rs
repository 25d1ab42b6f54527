//! Ocean's workflow: the JSON description of a job, exactly one stage, as Provider 2.1.6 sends it.

mod document;
mod parts;

pub use document::{MOST_WORKFLOW_BYTES, Workflow, WorkflowError};
pub use parts::{MOST_RAWCODE_BYTES, Remote, WorkflowAlgorithm, WorkflowInput, WorkflowOrigin, WorkflowSource};
