use super::parts::{MOST_URL_BYTES, WorkflowAlgorithm, WorkflowInput};
use crate::json::{self, FieldError, Node};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use std::fmt;

/// Bytes of a workflow, written without spaces.
pub const MOST_WORKFLOW_BYTES: usize = 4 * 1024 * 1024;

/// Datasets of a job.
const MOST_INPUTS: usize = 100;

/// A workflow.
///
/// The document is kept as it came and written out again value for value; what Cloister uses of it has been read once,
/// from that same document. Ocean overwrites `compute` and ignores most of `output`, and so does Cloister, but both must
/// be there. `Debug` shows no document: it holds URLs, code and parameters.
#[derive(Clone, PartialEq, Eq)]
pub struct Workflow {
    document: Value,
    inputs: Vec<WorkflowInput>,
    algorithm: WorkflowAlgorithm,
    metadata_uri: Option<String>,
}

/// Why a document is not a workflow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkflowError {
    /// Beyond [`MOST_WORKFLOW_BYTES`].
    #[error(
        "the workflow is larger than {MOST_WORKFLOW_BYTES} bytes; publish the algorithm instead of sending its code"
    )]
    TooLarge,
    /// `stages` is absent, null or empty.
    #[error("Missing stages: `stages` must hold exactly one")]
    MissingStages,
    /// More than one stage.
    #[error("Multiple stages are not supported: `stages` must hold exactly one; send one job per stage")]
    MultipleStages,
    /// A part of the stage that Ocean asks for.
    #[error("Missing {0} in stage 0")]
    MissingPart(&'static str),
    /// The stage has no dataset.
    #[error("`stages[0].input` is empty; name at least one dataset")]
    NoInput,
    /// None of `id`, `rawcode` and `url` says what runs.
    #[error("`stages[0].algorithm` says nothing to run; give one of `id`, `rawcode` and `url`")]
    NoAlgorithm,
    /// More than one of them does, so that what was allowed need not be what runs.
    #[error("`stages[0].algorithm` has more than one of `id`, `rawcode` and `url`; give one")]
    AmbiguousAlgorithm,
    /// A field is not what it must be.
    #[error("workflow: {0}")]
    Field(#[from] FieldError),
}

impl Workflow {
    /// Reads a workflow.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn from_value(document: Value) -> Result<Self, WorkflowError> {
        if !json::fits(&document, MOST_WORKFLOW_BYTES) {
            return Err(WorkflowError::TooLarge);
        }
        let root = Node::root("", &document);
        root.object()?;
        let stages = root.get("stages");
        let stage = match stages.value().as_array().map(Vec::as_slice) {
            Some([_]) => stages.entries(1)?.remove(0),
            Some([_, _, ..]) => return Err(WorkflowError::MultipleStages),
            Some([]) => return Err(WorkflowError::MissingStages),
            None if stages.is_absent() => return Err(WorkflowError::MissingStages),
            None => return Err(stages.expected("a list with exactly one stage").into()),
        };
        stage.object()?;
        for part in ["algorithm", "compute", "input", "output"] {
            if stage.get(part).is_absent() {
                return Err(WorkflowError::MissingPart(part));
            }
        }
        stage.get("compute").object()?;
        stage.get("output").object()?;
        let inputs: Vec<WorkflowInput> =
            stage.get("input").entries(MOST_INPUTS)?.iter().map(WorkflowInput::read).collect::<Result<_, _>>()?;
        if inputs.is_empty() {
            return Err(WorkflowError::NoInput);
        }
        Ok(Self {
            inputs,
            algorithm: WorkflowAlgorithm::read(&stage.get("algorithm"))?,
            metadata_uri: stage.get("output").get("metadataUri").text_or_absent(MOST_URL_BYTES)?.map(str::to_owned),
            document,
        })
    }

    /// Writes the workflow of these parts, as Provider would.
    ///
    /// # Errors
    /// If a part is beyond its bounds: the result is read like any other workflow.
    pub fn compose(
        inputs: &[WorkflowInput],
        algorithm: &WorkflowAlgorithm,
        metadata_uri: Option<&str>,
    ) -> Result<Self, WorkflowError> {
        let inputs: Vec<Value> = inputs.iter().enumerate().map(|(i, input)| input.to_value(i)).collect();
        let output = metadata_uri.map(|uri| ("metadataUri".to_owned(), uri.into())).into_iter().collect::<Map<_, _>>();
        Self::from_value(json!({"stages": [{
            "index": 0,
            "input": inputs,
            "compute": {"Instances": 1},
            "algorithm": algorithm.to_value(),
            "output": output,
        }]}))
    }

    /// Its datasets, at least one, in the order given.
    #[must_use]
    pub fn inputs(&self) -> &[WorkflowInput] {
        &self.inputs
    }

    /// What runs.
    #[must_use]
    pub fn algorithm(&self) -> &WorkflowAlgorithm {
        &self.algorithm
    }

    /// The catalogue that has the DDOs, as the sender says. A stranger's: check it before any request.
    #[must_use]
    pub fn metadata_uri(&self) -> Option<&str> {
        self.metadata_uri.as_deref()
    }
}

impl fmt::Debug for Workflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workflow")
            .field("inputs", &self.inputs)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Serialize for Workflow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Workflow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
