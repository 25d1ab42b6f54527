use serde::{Deserialize, Serialize};

/// Bytes of a message at most, as of every container.
const MOST_BYTES: usize = 3584;

/// What a canary found: a pod like those of containers, with our program in the place of the algorithm's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CanaryMessage {
    /// Which form this is.
    pub version: CanaryVersion,
    /// For how long it tried, from its first instruction, in milliseconds.
    pub tried_ms: u64,
    /// When it last reached something, likewise; none: it reached nothing.
    pub reached_until_ms: Option<u64>,
    /// What it reached, by the names that it was given.
    pub reached: Vec<String>,
    /// The bytes that its volume holds, as its file system says; none: nothing could be written there.
    pub volume_bytes: Option<u64>,
    /// The walls that the kernel of its node cannot put up in full, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel_lacks: Vec<String>,
}

/// The version of a message. Readers refuse versions that they do not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CanaryVersion {
    /// The only one so far.
    #[default]
    #[serde(rename = "cloister.dev/canary/v1")]
    V1,
}

impl CanaryMessage {
    /// As it is written.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a message: of this version, and whole.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        if text.len() > MOST_BYTES {
            return None;
        }
        serde_json::from_slice(text).ok()
    }

    /// Whether what it reached was still open in the last quarter of its time: then nothing closes it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.reached_until_ms.is_some_and(|until| until >= self.tried_ms / 4 * 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_closes_differs_from_one_that_stays_open() {
        let message = |reached_until_ms| CanaryMessage {
            version: CanaryVersion::V1,
            tried_ms: 20_000,
            reached_until_ms,
            reached: vec!["the API server".to_owned()],
            volume_bytes: Some(1),
            kernel_lacks: vec!["landlock: absent: it is not in this kernel".to_owned()],
        };
        let open: Vec<bool> =
            [None, Some(0), Some(14_999), Some(15_000), Some(20_100)].map(|until| message(until).is_open()).to_vec();
        assert_eq!(open, [false, false, false, true, true]);
        let written = message(Some(3)).write();
        assert_eq!(CanaryMessage::read(&written), Some(message(Some(3))));
        assert_eq!(CanaryMessage::read(&written[1..]), None);
        assert_eq!(CanaryMessage::read(b""), None);
    }
}
