use cloister_model::{CheckedSource, LastCheck, Sha256, SourceOutcome, Timestamp};
use serde::{Deserialize, Serialize};

/// A [`LastCheck`]. Nothing depends on it, so unknown fields are ignored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckForm {
    at: Timestamp,
    revision: u64,
    sources: Vec<SourceForm>,
    #[serde(default)]
    others: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SourceForm {
    field: String,
    place: String,
    outcome: OutcomeForm,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum OutcomeForm {
    Found { bytes: Option<u64>, sha256: Option<Sha256> },
    Failed(String),
    Skipped,
}

impl From<&LastCheck> for CheckForm {
    fn from(LastCheck { at, revision, sources, others }: &LastCheck) -> Self {
        let source = |CheckedSource { field, place, outcome }: &CheckedSource| SourceForm {
            field: field.clone(),
            place: place.clone(),
            outcome: match outcome {
                SourceOutcome::Found { bytes, sha256 } => OutcomeForm::Found { bytes: *bytes, sha256: *sha256 },
                SourceOutcome::Failed(problem) => OutcomeForm::Failed(problem.clone()),
                SourceOutcome::Skipped => OutcomeForm::Skipped,
            },
        };
        Self { at: *at, revision: *revision, sources: sources.iter().map(source).collect(), others: *others }
    }
}

impl From<CheckForm> for LastCheck {
    fn from(CheckForm { at, revision, sources, others }: CheckForm) -> Self {
        let source = |SourceForm { field, place, outcome }: SourceForm| CheckedSource {
            field,
            place,
            outcome: match outcome {
                OutcomeForm::Found { bytes, sha256 } => SourceOutcome::Found { bytes, sha256 },
                OutcomeForm::Failed(problem) => SourceOutcome::Failed(problem),
                OutcomeForm::Skipped => SourceOutcome::Skipped,
            },
        };
        Self { at, revision, sources: sources.into_iter().map(source).collect(), others }
    }
}
