use cloister_model::{Account, Asset, Ddo, FileDigest, Sha256, Timestamp};
use serde::{Deserialize, Serialize};

/// An [`Asset`] as a Secret holds it, sources included. An unknown field may be a restriction: it is refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AssetForm {
    version: Version,
    ddo: Ddo,
    owner: Account,
    name: String,
    created: Timestamp,
    updated: Timestamp,
    withdrawn: Option<Timestamp>,
    files: Option<Vec<FileForm>>,
}

/// The version of the form.
#[derive(Debug, Serialize, Deserialize)]
enum Version {
    #[serde(rename = "cloister.dev/asset/v1")]
    V1,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FileForm {
    sha256: Sha256,
    bytes: u64,
}

impl From<&Asset> for AssetForm {
    fn from(asset: &Asset) -> Self {
        // The revision is the generation of the resource.
        let Asset { ddo, owner, name, created, updated, revision: _, withdrawn, files } = asset.clone();
        let files = files.map(|files| files.into_iter().map(FileForm::from).collect());
        Self { version: Version::V1, ddo, owner, name, created, updated, withdrawn, files }
    }
}

impl From<AssetForm> for Asset {
    fn from(form: AssetForm) -> Self {
        let AssetForm { version: Version::V1, ddo, owner, name, created, updated, withdrawn, files } = form;
        let files = files.map(|files| files.into_iter().map(FileDigest::from).collect());
        Self { ddo, owner, name, created, updated, revision: 0, withdrawn, files }
    }
}

impl From<FileDigest> for FileForm {
    fn from(FileDigest { sha256, bytes }: FileDigest) -> Self {
        Self { sha256, bytes }
    }
}

impl From<FileForm> for FileDigest {
    fn from(FileForm { sha256, bytes }: FileForm) -> Self {
        Self { sha256, bytes }
    }
}
