//! What every account that may read the resource of an asset may know: its rules, and no source of a file. The controller
//! asks by it whether a job may go on, and needs no right on Secrets for that.

use super::{Holds, form::FileForm, object_name, revision};
use crate::{
    cluster::{CallError, Cluster, call},
    resources::{Algorithm, Dataset, MOST_RULES_BYTES, StoredAsset},
};
use cloister_lifecycle::{AssetNow, PublishedFiles};
use cloister_model::{Asset, AssetKind, Ddo, Did, Service, StoreError, Timestamp, escape};
use kube::Api;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is asked for, in messages.
const WHAT: &str = "read the rules of an asset";

/// The rules of an asset, as its resource holds them. An unknown field may be a restriction: it is refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RulesForm {
    version: Version,
    ddo: Ddo,
    created: Timestamp,
    updated: Timestamp,
    /// Of an algorithm.
    files: Option<Vec<FileForm>>,
    /// By the id of a service, the revision since which its files have been the same.
    same_since: BTreeMap<String, u64>,
}

/// The version of the form.
#[derive(Debug, Serialize, Deserialize)]
enum Version {
    #[serde(rename = "cloister.dev/asset-rules/v1")]
    V1,
}

impl RulesForm {
    /// The rules of an asset that follows an earlier revision of it.
    pub(super) fn of(asset: &Asset, earlier: Option<(&Asset, &Self)>) -> Result<Self, StoreError> {
        let same_since = |service: &Service| {
            let files = service.open_files()?;
            let same = earlier.and_then(|(asset, rules)| {
                let same = asset.ddo.service(&service.id)?.open_files()? == files;
                same.then(|| rules.same_since.get(&service.id).copied()).flatten()
            });
            Some((service.id.clone(), same.unwrap_or(asset.revision)))
        };
        let ddo = asset.ddo.rules().map_err(|error| StoreError::Unavailable(error.to_string()))?;
        // The digests of a dataset say something of its content, and no rule is about them.
        let files = asset.files.clone().filter(|_| asset.ddo.kind() == AssetKind::Algorithm);
        Ok(Self {
            version: Version::V1,
            same_since: asset.ddo.services().iter().filter_map(same_since).collect(),
            ddo,
            created: asset.created,
            updated: asset.updated,
            files: files.map(|files| files.into_iter().map(FileForm::from).collect()),
        })
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// As the resource holds it.
    pub(super) fn write(&self) -> Result<String, StoreError> {
        let text = serde_json::to_string(self).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        if text.len() > MOST_RULES_BYTES {
            let bytes = text.len();
            return Err(StoreError::Full(format!(
                "the rules of the asset take {bytes} bytes, and its resource holds {MOST_RULES_BYTES}; trust publishers instead \
                 of single algorithms, or name fewer accounts"
            )));
        }
        Ok(text)
    }
}

/// The asset as it is now, without its files; none if there is none.
///
/// # Errors
/// If the API server does not answer, or if it holds rules of a form that this version does not know.
pub(crate) async fn asset_now(cluster: &Cluster, did: &Did) -> Result<Option<AssetNow>, CallError> {
    // A DID does not say which of the two it is.
    match find::<Dataset>(cluster, did).await? {
        Some(found) => Ok(Some(found)),
        None => find::<Algorithm>(cluster, did).await,
    }
}

async fn find<K: Holds>(cluster: &Cluster, did: &Did) -> Result<Option<AssetNow>, CallError> {
    let api: Api<K> = cluster.assets();
    let name = object_name(did);
    let Some(resource) = call(WHAT, || async { api.get_opt(&name).await }).await? else { return Ok(None) };
    let Some(StoredAsset { did: stored, owner, name: owners_name, rules, secret: _, sha256: _ }) = resource.stored()
    else {
        return Ok(None);
    };
    if stored.parse().as_ref() != Ok(did) {
        return Ok(None);
    }
    let unreadable = || CallError::Refused {
        what: WHAT,
        words: format!("{} is written by another version of the service, or was changed", escape(name.as_bytes(), 64)),
    };
    let owner = owner.parse().map_err(|_| unreadable())?;
    let RulesForm { version: Version::V1, ddo, created, updated, files, same_since } =
        RulesForm::read(rules).filter(|rules| rules.ddo.id() == did).ok_or_else(unreadable)?;
    let asset = Asset {
        ddo,
        owner,
        name: owners_name.clone(),
        created,
        updated,
        revision: revision(&resource),
        withdrawn: resource.withdrawn(),
        files: files.map(|files| files.into_iter().map(Into::into).collect()),
    };
    Ok(Some(AssetNow { asset, files: PublishedFiles::SameSince(same_since) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{FileDigest, Sha256};
    use serde_json::json;

    fn asset(revision: u64, url: &str) -> Asset {
        let source = |url: &str| json!([{"type": "url", "url": url, "headers": {"Authorization": "Bearer SECRET"}}]);
        let ddo = json!({"id": "did:op:d", "metadata": {"type": "dataset", "name": "d", "description": "long"}, "services": [
            {"id": "one", "type": "compute", "files": source("https://example.org/same"), "compute": {"allowRawAlgorithm": true}},
            {"id": "two", "type": "compute", "files": source(url)},
            {"id": "none", "type": "compute"},
        ]});
        Asset {
            ddo: Ddo::from_value(ddo).expect("a DDO"),
            owner: "bob".parse().expect("an account"),
            name: "n".to_owned(),
            created: Timestamp::from_unix_ms(1),
            updated: Timestamp::from_unix_ms(2),
            revision,
            withdrawn: None,
            files: Some(vec![FileDigest { sha256: Sha256::from_bytes([9; 32]), bytes: 1 }]),
        }
    }

    #[test]
    fn rules_say_since_when_files_are_the_same_and_nothing_of_what_they_are() {
        let first = asset(1, "https://example.org/a");
        let rules = RulesForm::of(&first, None).expect("rules");
        assert_eq!(rules.same_since, [("one".to_owned(), 1), ("two".to_owned(), 1)].into());
        let second = asset(2, "https://example.org/b");
        let later = RulesForm::of(&second, Some((&first, &rules))).expect("rules");
        assert_eq!(later.same_since, [("one".to_owned(), 1), ("two".to_owned(), 2)].into());
        let third = RulesForm::of(&asset(3, "https://example.org/b"), Some((&second, &later))).expect("rules");
        assert_eq!(third.same_since, [("one".to_owned(), 1), ("two".to_owned(), 2)].into());
        // Without the earlier document, nothing is known to be the same.
        let lost = RulesForm::of(&asset(3, "https://example.org/b"), None).expect("rules");
        assert_eq!(lost.same_since, [("one".to_owned(), 3), ("two".to_owned(), 3)].into());
        let text = third.write().expect("text");
        for planted in ["SECRET", "example.org", "long", &Sha256::from_bytes([9; 32]).to_string()] {
            assert!(!text.contains(planted), "{text}");
        }
        assert_eq!(RulesForm::read(&text).expect("rules").write().expect("text"), text);
        assert!(RulesForm::read(&text.replace("sameSince", "sameSinc")).is_none());
    }

    #[test]
    fn rules_have_a_bound() {
        let mut asset = asset(1, "https://example.org/a");
        let accounts: Vec<String> = (0..9000).map(|number| format!("account-of-a-long-name-number-{number}")).collect();
        let ddo = json!({"id": "did:op:d", "metadata": {"type": "dataset", "name": "d"},
            "credentials": {"allow": [{"type": "address", "values": accounts}]}});
        asset.ddo = Ddo::from_value(ddo).expect("a DDO");
        let refused = RulesForm::of(&asset, None).expect("rules").write();
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    }
}
