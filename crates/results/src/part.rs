use cloister_model::{FileDigest, Sha256};
use serde::{Deserialize, Serialize};

/// What is noted of a file that is completely in the store while its job's manifest is not written. A file without a
/// note is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Part {
    /// What is stored.
    pub(super) stored: FileDigest,
    /// Which version of which file it was made of. For encrypted files, of which every attempt gives other bytes; says
    /// nothing of what is in them.
    pub(super) version: Sha256,
    /// Whether it is encrypted.
    pub(super) encrypted: bool,
}

impl Part {
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    pub(super) fn write(&self) -> Vec<u8> {
        // Numbers and digests: nothing of it can fail. Without a note, the file is sent again.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
