use super::MANAGED_BY;
use crate::resources::Payload;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::api::ObjectMeta;

/// The Secrets, which go with the object that owns them.
pub(crate) fn secrets(payload: &Payload, parts: Vec<Vec<u8>>, owner: &OwnerReference) -> Vec<Secret> {
    let secret = |(name, part): (&String, Vec<u8>)| Secret {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            labels: Some([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into()),
            owner_references: Some(vec![owner.clone()]),
            ..ObjectMeta::default()
        },
        type_: Some("cloister.dev/payload".to_owned()),
        data: Some([(Payload::KEY.to_owned(), ByteString(part))].into()),
        immutable: Some(true),
        ..Secret::default()
    };
    payload.secrets.iter().zip(parts).map(secret).collect()
}
