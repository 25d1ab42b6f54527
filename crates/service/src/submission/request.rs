use cloister_model::{
    AgeRecipient, AssetName, Container, Did, HttpUrl, LabelError, Labels, Profile, Secret, Sha256, escape,
};
use serde_json::Value;
use std::{fmt, str::FromStr};

/// A request for a job, whichever API it came through.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What it computes on, in the order of `DIDS`.
    pub datasets: Vec<DatasetRef>,
    /// What it runs.
    pub algorithm: AlgorithmRef,
    /// What the consumer sets; none: nothing, and no file of parameters unless there are defaults.
    pub parameters: Option<Secret<Value>>,
    /// Where it runs; none: in the first environment.
    pub environment: Option<String>,
    /// What it may learn of time and chance; none: nothing.
    pub profile: Option<Profile>,
    /// What it may use.
    pub limits: WantedLimits,
    /// The age recipient that its results are encrypted to.
    pub encrypt_to: Option<AgeRecipient>,
    /// What its consumer calls it; none: nothing.
    pub label: Option<JobLabel>,
    /// The dataset that its results become.
    pub register: Option<Register>,
    /// The Ocean agreement that it belongs to: it has at most one unfinished job.
    pub agreement: Option<Agreement>,
    /// How its name is chosen.
    pub identity: Identity,
}

/// A dataset, and through which service.
#[derive(Clone, Debug)]
pub struct DatasetRef {
    /// Which.
    pub did: Did,
    /// Its service; none: the one that is meant ([`Ddo::service_meant`](cloister_model::Ddo::service_meant)).
    pub service: Option<String>,
    /// How a problem with it is named, such as `datasets[0]`.
    pub field: String,
}

/// An algorithm.
#[derive(Clone, Debug)]
pub enum AlgorithmRef {
    /// An asset, and through which service (chosen as for datasets).
    Published {
        /// Which.
        did: Did,
        /// Its service.
        service: Option<String>,
    },
    /// A program that the job brings.
    Raw {
        /// Where the program is.
        source: RawSource,
        /// What it runs in; none: it is a WebAssembly program.
        container: Option<Container>,
    },
}

/// Where the program of a job is that brings its own.
#[derive(Clone, Debug)]
pub enum RawSource {
    /// In the request.
    Code(Secret<String>),
    /// Uploaded before, by the same account.
    Upload(Sha256),
    /// At these URLs, at least one.
    Urls(Vec<HttpUrl>),
}

/// Limits that a job asks for; none: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WantedLimits {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Wall-clock time in milliseconds.
    pub wall_ms: Option<u64>,
    /// Processor time in seconds.
    pub cpu_seconds: Option<u64>,
    /// Instructions, in units of fuel.
    pub fuel: Option<u64>,
}

/// The dataset that results become, once they are released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Its owner's name for it.
    pub name: AssetName,
    /// Its title; none: the name.
    pub title: Option<String>,
}

/// An Ocean agreement: a text that can be the label of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement(String);

impl Agreement {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Agreement {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        Labels::new().with(crate::AGREEMENT, text)?;
        Ok(Self(text.to_owned()))
    }
}

/// What a consumer calls a job: one line of 1 to 100 characters and at most 190 bytes, none of which is invisible or acts on a
/// terminal. Everyone who may see the job sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLabel(String);

/// The text is not a label of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a label has 1 to 100 characters and at most 190 bytes, without line breaks, controls and invisible characters"
)]
pub struct JobLabelError;

impl JobLabel {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobLabel {
    type Err = JobLabelError;

    fn from_str(text: &str) -> Result<Self, JobLabelError> {
        // A backslash is no danger; `escape` doubles it.
        let plain = text.replace('\\', "/");
        let is_safe = escape(plain.as_bytes(), usize::MAX).to_string() == plain;
        // 190 bytes are 254 characters of base64, and the labels of an engine have at most 256.
        let fits = text.len() <= 190 && (1..=100).contains(&text.chars().count());
        if is_safe && fits && !text.trim().is_empty() { Ok(Self(text.to_owned())) } else { Err(JobLabelError) }
    }
}

impl fmt::Display for JobLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the name of a job is chosen.
#[derive(Clone, Debug)]
pub enum Identity {
    /// At random.
    Random,
    /// It follows from the account and this key, so that the same request again finds the same job (idempotency).
    Key {
        /// The key.
        key: String,
        /// A digest of the whole request: the key of another request is refused.
        request: Sha256,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_harmless_line() {
        for text in ["a", "a\\b", "größe: 3", &"x".repeat(100)] {
            assert!(text.parse::<JobLabel>().is_ok(), "{text}");
        }
        for text in ["", "  ", "a\nb", "a\u{1b}[2J", "\u{202e}abc", "a\u{200b}", &"x".repeat(101), &"ä".repeat(96)] {
            assert_eq!(text.parse::<JobLabel>(), Err(JobLabelError), "{text:?}");
        }
    }
}
