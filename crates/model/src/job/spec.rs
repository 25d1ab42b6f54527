use super::{JobRecord, Labels, Timestamp};
use crate::{
    AgeRecipient, Asset, CommandLine, Container, Did, EnvironmentId, InterpreterId, Limits, Location, Secret, Source,
    Sources, Terms, UnsupportedSources,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::{fmt, str::FromStr};

/// The name of a job: 32 lower-case hexadecimal digits, as Ocean's. Fit for a path, a label and a Kubernetes name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId([u8; 16]);

/// The text is not a job's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job id has 32 lower-case hexadecimal digits; take it from the answer to the start of the job")]
pub struct JobIdError;

impl JobId {
    /// A name of these bytes, which the caller draws at random: who can guess it must learn nothing from it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, as a key of a database.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, JobIdError> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(digit) {
            return Err(JobIdError);
        }
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| JobIdError)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A job that was allowed, with everything that an engine needs to carry it out. It holds secrets: it goes from the service to the
/// engine and never back; see [`JobCard`](super::JobCard).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobSpec {
    /// Its name.
    pub id: JobId,
    /// When it was allowed.
    pub created: Timestamp,
    /// The environment that it runs in.
    pub environment: EnvironmentId,
    /// The queue that it waits in: first in first out within one, and queues take turns. Says nothing else.
    pub queue: String,
    /// Its datasets, in the order of `DIDS`.
    pub inputs: Vec<JobInput>,
    /// What runs.
    pub algorithm: JobAlgorithm,
    /// What becomes `algoCustomData.json`; none: `{}`.
    pub parameters: Option<Secret<Value>>,
    /// What was decided at submission: how it runs, what may leave, which bytes may run.
    pub terms: Terms,
    /// What one run may use.
    pub limits: Limits,
    /// What it may take of time outside the run.
    pub times: TimeLimits,
    /// What becomes of its results.
    pub delivery: Delivery,
    /// By what it is found again.
    pub labels: Labels,
    /// Whose it is and whose data it uses. Steps never get it.
    pub record: JobRecord,
}

/// What a job may take of time, beside the run itself. All in milliseconds, counted from when the job was allowed unless
/// said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeLimits {
    /// Waiting for its turn.
    pub queue_ms: u64,
    /// Everything up to its review, or to where its results are stored.
    pub total_ms: u64,
    /// Waiting for a reviewer, from when the review was asked for.
    pub review_ms: u64,
    /// Storing its results, from when that began: so long may a result store be away.
    pub publishing_ms: u64,
    /// How long results, log and report are kept after its end.
    pub keep_ms: u64,
}

const HOUR_MS: u64 = 60 * 60 * 1000;

impl Default for TimeLimits {
    /// A day to wait, a day in all, a week for a reviewer, a day for the result store, a month to fetch results.
    fn default() -> Self {
        const DAY_MS: u64 = 24 * HOUR_MS;
        Self { queue_ms: DAY_MS, total_ms: DAY_MS, review_ms: 7 * DAY_MS, publishing_ms: DAY_MS, keep_ms: 30 * DAY_MS }
    }
}

/// What becomes of results once they may leave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Delivery {
    /// Encrypt every file to this age recipient; none: as they are.
    pub encrypt_to: Option<AgeRecipient>,
    /// Register the results under this asset, which the service has prepared, at the moment of the release. Its files are
    /// filled in by the engine. Such results are kept for as long as the asset is.
    pub register: Option<Box<Asset>>,
}

/// One dataset of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobInput {
    /// Which.
    pub did: Did,
    /// What the algorithm finds at `/data/ddos/<did>`, if anything: [`Ddo::without_open_sources`](crate::Ddo).
    pub ddo: Option<Value>,
    /// Where its files are, for the step that fetches them.
    pub source: JobSource,
}

/// The algorithm of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobAlgorithm {
    /// Which; none for a raw one.
    pub did: Option<Did>,
    /// What is found at `/data/ddos/<did>`, if anything.
    pub ddo: Option<Value>,
    /// What it runs in: for a published one, its DDO's word.
    pub container: Container,
    /// The installed interpreter that runs its file; none: the file is a WebAssembly program itself.
    pub interpreter: Option<InterpreterId>,
    /// Where its files are, for the step that fetches them.
    pub source: JobSource,
}

impl JobSpec {
    /// What its program is started with in the sandbox, for [`CommandLine::filled`]: the sandbox fills it with the parameters, so that
    /// these are not in the command line of an engine. The entrypoint was checked when the job was submitted. A job that an earlier
    /// version took with an entrypoint that means nothing here has no arguments, as it had then.
    #[must_use]
    pub fn command_line(&self) -> CommandLine {
        let JobAlgorithm { container, interpreter, .. } = &self.algorithm;
        let dataset = self.inputs.first().map(|input| &input.did);
        container.command_line(interpreter.is_some(), dataset, |_| true).unwrap_or_default()
    }
}

/// Where the files of an input or of an algorithm are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "StoredSource")]
pub enum JobSource {
    /// Files that are fetched.
    Files(Sources),
    /// The one file itself.
    Rawcode(Secret<String>),
    /// Files that cannot be fetched: only a job that an earlier version stored has them.
    #[serde(rename = "files")]
    Unsupported(UnsupportedSources),
}

/// A [`JobSource`] as it is stored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum StoredSource {
    Files(Secret<Value>),
    Rawcode(Secret<String>),
}

impl JobSource {
    /// Whether some of the files may be in the store of results: uploads, and results of other jobs.
    #[must_use]
    pub fn reads_store(&self) -> bool {
        self.any(|source| matches!(source.location(), Location::Upload(_) | Location::Result { .. }))
    }

    /// Whether some of the files are in folders that the operator has given to accounts.
    #[must_use]
    pub fn reads_local(&self) -> bool {
        self.any(|source| matches!(source.location(), Location::Local(_)))
    }

    fn any(&self, is: impl Fn(&Source) -> bool) -> bool {
        match self {
            Self::Files(files) => files.files().iter().any(is),
            Self::Rawcode(_) | Self::Unsupported(_) => false,
        }
    }
}

impl From<StoredSource> for JobSource {
    fn from(stored: StoredSource) -> Self {
        match stored {
            StoredSource::Files(document) => match Sources::from_value("files", document.expose()) {
                Ok(files) => Self::Files(files),
                Err(problem) => Self::Unsupported(UnsupportedSources::new(document, problem)),
            },
            StoredSource::Rawcode(code) => Self::Rawcode(code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_texts_are_no_job() {
        for text in [
            "",
            "../../../../../../../../etc/passwd",
            &"A".repeat(32),
            &"0".repeat(31),
            &format!("+{}", "0".repeat(31)),
        ] {
            assert_eq!(text.parse::<JobId>(), Err(JobIdError), "{text:?}");
        }
    }

    fn source(files: &Value) -> JobSource {
        serde_json::from_value(serde_json::json!({"files": files})).expect("a source")
    }

    #[test]
    fn sources_are_not_shown() {
        let url = serde_json::json!([{"type": "url", "url": "https://user:SECRET@x/"}]);
        let input = JobInput { did: "d".parse().expect("a DID"), ddo: None, source: source(&url) };
        assert!(matches!(input.source, JobSource::Files(_)));
        assert!(!format!("{input:?}").contains("SECRET"));
        let json = serde_json::to_value(&input).expect("json");
        assert_eq!(json["source"], serde_json::json!({"files": url}));
        assert_eq!(serde_json::from_value::<JobInput>(json).expect("an input"), input);
    }

    /// Version 0.1.0 stored what publishers had written, and found out at the fetch that it could not be fetched.
    #[test]
    fn a_stored_job_stays_readable_whatever_its_sources_are() {
        let stored = serde_json::json!([{"type": "url", "url": "not a URL, SECRET", "checksum": "SECRET"}]);
        let JobSource::Unsupported(unsupported) = source(&stored) else { panic!("it can be fetched") };
        assert!(!format!("{unsupported:?}").contains("SECRET"));
        assert_eq!(unsupported.problem().field, "files[0]");
        let written = serde_json::to_value(JobSource::Unsupported(unsupported)).expect("json");
        assert_eq!(written, serde_json::json!({"files": stored}));
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(bytes: [u8; 16]) {
            let id = JobId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.to_string().len(), 32);
        }
    }
}
