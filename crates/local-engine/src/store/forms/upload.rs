use cloister_model::{Account, FileDigest, Sha256, Timestamp, Upload};
use serde::{Deserialize, Serialize};

/// An [`Upload`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UploadForm {
    sha256: Sha256,
    bytes: u64,
    owner: Account,
    created: Timestamp,
}

/// A [`FileDigest`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DigestForm {
    sha256: Sha256,
    bytes: u64,
}

impl From<&Upload> for UploadForm {
    fn from(upload: &Upload) -> Self {
        let Upload { file: FileDigest { sha256, bytes }, owner, created } = upload.clone();
        Self { sha256, bytes, owner, created }
    }
}

impl From<UploadForm> for Upload {
    fn from(form: UploadForm) -> Self {
        let UploadForm { sha256, bytes, owner, created } = form;
        Self { file: FileDigest { sha256, bytes }, owner, created }
    }
}

impl From<FileDigest> for DigestForm {
    fn from(file: FileDigest) -> Self {
        let FileDigest { sha256, bytes } = file;
        Self { sha256, bytes }
    }
}

impl From<DigestForm> for FileDigest {
    fn from(form: DigestForm) -> Self {
        let DigestForm { sha256, bytes } = form;
        Self { sha256, bytes }
    }
}
