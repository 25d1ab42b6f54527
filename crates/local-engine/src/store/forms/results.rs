use cloister_model::{ResultFile, ResultKind, Sha256};
use serde::{Deserialize, Serialize};

/// A [`ResultFile`]: one that was released, or one that may leave and is not stored for the consumer yet.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileForm {
    name: String,
    kind: ResultKind,
    bytes: u64,
    sha256: Sha256,
}

impl From<&ResultFile> for FileForm {
    fn from(file: &ResultFile) -> Self {
        let ResultFile { name, kind, bytes, sha256 } = file.clone();
        Self { name, kind, bytes, sha256 }
    }
}

impl From<FileForm> for ResultFile {
    fn from(form: FileForm) -> Self {
        let FileForm { name, kind, bytes, sha256 } = form;
        Self { name, kind, bytes, sha256 }
    }
}
