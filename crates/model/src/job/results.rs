use crate::Sha256;
use serde::{Deserialize, Serialize};

/// A set of result files of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultSet {
    /// What was released to the consumer.
    Released,
    /// What waits for a reviewer, while the job is in [`Phase::InReview`](crate::Phase::InReview).
    UnderReview,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Bytes before it.
    pub offset: u64,
    /// The most bytes to return. They are held in memory, so the caller chooses.
    pub at_most: u32,
}

impl ByteRange {
    /// How many bytes of something of this size it is.
    #[must_use]
    pub fn length_in(self, bytes: u64) -> u32 {
        u32::try_from(bytes.saturating_sub(self.offset)).unwrap_or(u32::MAX).min(self.at_most)
    }
}

/// One result of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResultFile {
    /// Its path below `/data/outputs`, or the log's name. The guest's text: escape it before showing.
    pub name: String,
    /// What it is.
    pub kind: ResultKind,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Sha256,
}

/// What a result is, in Ocean's words: clients depend on them, `configrationLog` included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ResultKind {
    /// What the algorithm wrote.
    Output,
    /// What the algorithm printed.
    AlgorithmLog,
    /// What configuration says of its work.
    #[serde(rename = "configrationLog")]
    ConfigurationLog,
    /// What filtering says of its work.
    FilteringLog,
    /// What publishing says of its work.
    PublishLog,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_named_as_ocean_names_them() {
        let names =
            [ResultKind::Output, ResultKind::AlgorithmLog, ResultKind::ConfigurationLog, ResultKind::PublishLog]
                .map(|kind| serde_json::to_value(kind).expect("a name"));
        assert_eq!(names, ["output", "algorithmLog", "configrationLog", "publishLog"]);
    }
}
