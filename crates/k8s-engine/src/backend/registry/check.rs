//! The last look at the sources of a dataset, in a Secret of its own: places and digests of sources are not for all who may read the
//! resource of the dataset. It goes with the dataset.

use super::{CallError, Inner, call, object_name, owner_reference};
use crate::{resources::Dataset, store::secret};
use cloister_model::{Did, LastCheck, StoreError};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, api::PostParams};
use serde::{Deserialize, Serialize};

/// A [`LastCheck`] with the version of its form.
#[derive(Debug, Serialize, Deserialize)]
struct CheckForm {
    version: Version,
    #[serde(flatten)]
    check: LastCheck,
}

/// The version of the form.
#[derive(Debug, Serialize, Deserialize)]
enum Version {
    #[serde(rename = "cloister.dev/source-check/v1")]
    V1,
}

/// The key in the Secret.
const KEY: &str = "check";

fn secret_name(dataset: &str) -> String {
    format!("{dataset}-check")
}

impl Inner {
    pub(super) async fn keep_check(&self, did: &Did, check: &LastCheck) -> Result<(), StoreError> {
        let (datasets, secrets): (Api<Dataset>, Api<Secret>) = (self.cluster.assets(), self.cluster.assets());
        let name = object_name(did);
        let found = call("read an asset", || async { datasets.get_opt(&name).await }).await?;
        let dataset = found.ok_or(StoreError::Missing)?;
        let content =
            serde_json::to_vec(&CheckForm { version: Version::V1, check: check.clone() }).map_err(|error| {
                StoreError::Unavailable(format!("what the sources of a dataset gave cannot be written: {error}"))
            })?;
        let name = secret_name(&name);
        let data = [(KEY.to_owned(), ByteString(content))].into();
        let kept = secret(&name, "cloister.dev/source-check", data, owner_reference(&dataset));
        // Secrets of the service never change: this one replaces the last.
        self.forget_secret(&name).await;
        let written = call("keep what the sources of a dataset gave", || async {
            secrets.create(&PostParams::default(), &kept).await
        });
        match written.await {
            // Another look, or the first of two requests.
            Ok(_) | Err(CallError::Exists) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn kept_check(&self, did: &Did) -> Result<Option<LastCheck>, StoreError> {
        let (api, name): (Api<Secret>, String) = (self.cluster.assets(), secret_name(&object_name(did)));
        let found = call("read what the sources of a dataset gave", || async { api.get_opt(&name).await }).await?;
        let content = found.and_then(|secret| secret.data?.remove(KEY));
        // One that a later version wrote in another form is as good as none.
        Ok(content.and_then(|content| serde_json::from_slice::<CheckForm>(&content.0).ok()).map(|form| form.check))
    }
}
