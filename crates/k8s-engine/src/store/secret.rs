use super::MANAGED_BY;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::api::ObjectMeta;
use std::collections::BTreeMap;

/// A Secret of the service's, as it is created: it never changes, and goes with its owner, if it has one.
pub(crate) fn secret(
    name: &str,
    kind: &str,
    data: BTreeMap<String, ByteString>,
    owner: Option<OwnerReference>,
) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some(kind.to_owned()),
        data: Some(data),
        immutable: Some(true),
        ..Secret::default()
    }
}
