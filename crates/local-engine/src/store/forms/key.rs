use cloister_model::{Account, ApiKey, KeyId, Role, Sha256, Timestamp};
use serde::{Deserialize, Serialize};

/// An [`ApiKey`]. An unknown field may be a restriction: it is refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct KeyForm {
    id: KeyId,
    account: Account,
    role: Role,
    label: String,
    sha256: Sha256,
    created: Timestamp,
    expires: Option<Timestamp>,
    revoked: Option<Timestamp>,
}

impl From<&ApiKey> for KeyForm {
    fn from(key: &ApiKey) -> Self {
        let ApiKey { id, account, role, label, sha256, created, expires, revoked } = key.clone();
        Self { id, account, role, label, sha256, created, expires, revoked }
    }
}

impl From<KeyForm> for ApiKey {
    fn from(form: KeyForm) -> Self {
        let KeyForm { id, account, role, label, sha256, created, expires, revoked } = form;
        Self { id, account, role, label, sha256, created, expires, revoked }
    }
}
