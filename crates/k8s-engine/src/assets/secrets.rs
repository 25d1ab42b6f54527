//! The Secrets that an asset names.

use crate::cluster::{CallError, Cluster, call};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::Api;
use std::collections::BTreeMap;

/// The type of Secrets that users make for purposes of their own.
const OPAQUE: &str = "Opaque";

/// What the Secrets of these names hold, as far as it is text. Others than opaque ones are left out.
pub(super) async fn read(
    cluster: &Cluster,
    namespace: &str,
    names: impl IntoIterator<Item = String>,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, CallError> {
    let api: Api<Secret> = Api::namespaced(cluster.client().clone(), namespace);
    let mut secrets = BTreeMap::new();
    for name in names {
        let found = call("read a Secret that an asset names", || async { api.get_opt(&name).await }).await?;
        let Some(texts) = found.and_then(texts) else { continue };
        secrets.insert(name, texts);
    }
    Ok(secrets)
}

/// The texts of a Secret; none if it is not opaque. Who writes an asset chooses the server that they are sent to, and may not be one who
/// reads Secrets: the token of a service account, the key of a registry or the results of a job are not sent anywhere.
fn texts(secret: Secret) -> Option<BTreeMap<String, String>> {
    let text = |(key, value): (String, ByteString)| Some((key, String::from_utf8(value.0).ok()?));
    let is_opaque = secret.type_.as_deref().is_none_or(|kind| kind == OPAQUE);
    is_opaque.then(|| secret.data.unwrap_or_default().into_iter().filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cluster_keeps_in_secrets_for_others_is_sent_to_no_server() {
        let secret = |kind: Option<&str>| Secret {
            type_: kind.map(str::to_owned),
            data: Some([("token".to_owned(), ByteString(b"abc".to_vec()))].into()),
            ..Secret::default()
        };
        for kind in [None, Some(OPAQUE)] {
            assert_eq!(texts(secret(kind)), Some([("token".to_owned(), "abc".to_owned())].into()));
        }
        for kind in [
            "kubernetes.io/service-account-token",
            "kubernetes.io/dockerconfigjson",
            "kubernetes.io/tls",
            "helm.sh/release.v1",
            "cloister.dev/results",
        ] {
            assert_eq!(texts(secret(Some(kind))), None, "{kind}");
        }
    }
}
