use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Labels of one job: one for each of a hundred datasets, and some more.
const MOST_LABELS: usize = 128;

/// What the service marks a job with, to find it again: its owner, its agreement. An engine compares labels and never reads
/// them; one that cannot store a value as it is (Kubernetes takes 63 characters) stores its digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<String, String>);

/// The text is not a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The name.
    #[error("the name of a label is a lower-case letter and up to 31 lower-case letters, digits or `-`")]
    Name,
    /// The value.
    #[error("the value of a label has 1 to 256 printable ASCII characters and no space")]
    Value,
    /// One more than a job may have.
    #[error("a job has at most {MOST_LABELS} labels")]
    TooMany,
}

impl Labels {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These and one more; a label of the same name is replaced.
    ///
    /// # Errors
    /// If name or value are not a label's, or there would be too many.
    pub fn with(mut self, name: &str, value: &str) -> Result<Self, LabelError> {
        let name_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !name.starts_with(|first: char| first.is_ascii_lowercase())
            || name.len() > 32
            || !name.bytes().all(name_byte)
        {
            return Err(LabelError::Name);
        }
        if !(1..=256).contains(&value.len()) || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(LabelError::Value);
        }
        self.0.insert(name.to_owned(), value.to_owned());
        if self.0.len() > MOST_LABELS { Err(LabelError::TooMany) } else { Ok(self) }
    }

    /// The value of one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether a job with these labels is among those that are looked for: it has all of theirs.
    #[must_use]
    pub fn matches(&self, wanted: &Self) -> bool {
        wanted.iter().all(|(name, value)| self.get(name) == Some(value))
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let labels = BTreeMap::<String, String>::deserialize(deserializer)?;
        labels
            .iter()
            .try_fold(Self::new(), |all, (name, value)| all.with(name, value))
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_wanted_labels_must_be_there() {
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().try_fold(Labels::new(), |all, (name, value)| all.with(name, value)).expect("labels")
        };
        let job = labels(&[("owner", "0xab"), ("agreement", "0x1")]);
        assert!(job.matches(&labels(&[])) && job.matches(&labels(&[("owner", "0xab")])) && job.matches(&job));
        assert!(!job.matches(&labels(&[("owner", "0xcd")])) && !labels(&[]).matches(&job));
        let json = serde_json::to_value(&job).expect("json");
        assert_eq!(serde_json::from_value::<Labels>(json).expect("labels"), job);
    }

    #[test]
    fn refuses_what_is_no_label() {
        for name in ["", "Owner", "1", "a_b", &"a".repeat(33)] {
            assert_eq!(Labels::new().with(name, "v"), Err(LabelError::Name), "{name}");
        }
        for value in ["", "a b", "é", &"a".repeat(257)] {
            assert_eq!(Labels::new().with("n", value), Err(LabelError::Value), "{value}");
        }
        let many = (0..=MOST_LABELS).try_fold(Labels::new(), |all, i| all.with(&format!("n{i}"), "v"));
        assert_eq!(many, Err(LabelError::TooMany));
    }
}
