use super::secret;
use crate::resources::Payload;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::OwnerReference};

/// The Secrets, which go with the object that owns them.
pub(crate) fn secrets(payload: &Payload, parts: Vec<Vec<u8>>, owner: &OwnerReference) -> Vec<Secret> {
    let secret = |(name, part): (&String, Vec<u8>)| {
        let data = [(Payload::KEY.to_owned(), ByteString(part))].into();
        secret(name, "cloister.dev/payload", data, Some(owner.clone()))
    };
    payload.secrets.iter().zip(parts).map(secret).collect()
}
