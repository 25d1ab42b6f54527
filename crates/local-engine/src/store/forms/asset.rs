use super::upload::DigestForm;
use cloister_model::{Account, Asset, Ddo, Timestamp};
use serde::{Deserialize, Serialize};

/// An [`Asset`], sources included. An unknown field may be a restriction: it is refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AssetForm {
    ddo: Ddo,
    owner: Account,
    name: String,
    created: Timestamp,
    updated: Timestamp,
    revision: u64,
    withdrawn: Option<Timestamp>,
    files: Option<Vec<DigestForm>>,
}

impl From<&Asset> for AssetForm {
    fn from(asset: &Asset) -> Self {
        let Asset { ddo, owner, name, created, updated, revision, withdrawn, files } = asset;
        Self {
            ddo: ddo.clone(),
            owner: owner.clone(),
            name: name.clone(),
            created: *created,
            updated: *updated,
            revision: *revision,
            withdrawn: *withdrawn,
            files: files.as_ref().map(|files| files.iter().map(|file| (*file).into()).collect()),
        }
    }
}

impl From<AssetForm> for Asset {
    fn from(form: AssetForm) -> Self {
        let AssetForm { ddo, owner, name, created, updated, revision, withdrawn, files } = form;
        let files = files.map(|files| files.into_iter().map(Into::into).collect());
        Self { ddo, owner, name, created, updated, revision, withdrawn, files }
    }
}
