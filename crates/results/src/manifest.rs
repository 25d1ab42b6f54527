use super::PublishError;
use cloister_model::ResultFile;
use serde::{Deserialize, Serialize};

/// The version of manifests that this code writes. Readers refuse versions that they do not know.
const VERSION: &str = "cloister.dev/manifest/v1";

/// What `manifest.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Manifest {
    version: String,
    /// Names end in `.age`, and sizes and digests are those of what is stored.
    encrypted: bool,
    pub(super) files: Vec<ResultFile>,
}

impl Manifest {
    pub(super) fn new(encrypted: bool, files: Vec<ResultFile>) -> Self {
        Self { version: VERSION.to_owned(), encrypted, files }
    }

    /// Text that is none was not written by this version of the service, so that it counts as foreign.
    pub(super) fn read(text: &[u8]) -> Result<Self, PublishError> {
        let manifest: Option<Self> = serde_json::from_slice(text).ok();
        manifest.filter(|manifest| manifest.version == VERSION).ok_or(PublishError::Foreign)
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, PublishError> {
        serde_json::to_vec(self).map_err(|_| PublishError::Store("a manifest cannot be written".to_owned()))
    }
}
