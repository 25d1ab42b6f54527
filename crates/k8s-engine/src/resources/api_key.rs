use super::{Moment, schema};
use cloister_model::{Role, Sha256};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A key of the API: the digest of a secret of 256 random bits, never the secret. Its name is the key's public part.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "cloister.dev",
    version = "v1alpha1",
    kind = "ApiKey",
    namespaced,
    status = "ApiKeyStatus",
    derive = "PartialEq",
    shortname = "ck",
    category = "cloister",
    doc = "A key of the API: the digest of a secret, never the secret. Make one with `cloister key create`.",
    printcolumn(name = "Account", type_ = "string", json_path = ".spec.account"),
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role"),
    printcolumn(name = "Expires", type_ = "date", json_path = ".spec.expires"),
    printcolumn(name = "Revoked", type_ = "date", json_path = ".spec.revoked"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Label", type_ = "string", json_path = ".spec.label", priority = 1),
    validation = Rule::new("self.metadata.name.matches('^[0-9a-f]{16}$')")
        .message("the name of an ApiKey is the public part of a key, 16 lower-case hexadecimal digits")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.account == oldSelf.account && self.role == oldSelf.role && self.sha256 == oldSelf.sha256")
        .message("account, role and sha256 of a key never change; revoke it and make another one"),
    validation = Rule::new("!has(oldSelf.revoked) || (has(self.revoked) && self.revoked == oldSelf.revoked)")
        .message("a revoked key stays revoked; make another one"),
    validation = Rule::new("!has(oldSelf.expires) || (has(self.expires) && self.expires <= oldSelf.expires)")
        .message("the life of a key cannot be extended; make another one")
)]
pub struct ApiKeySpec {
    /// The account that the key belongs to.
    #[schemars(schema_with = "schema::account")]
    pub account: String,
    /// The role of the account when it uses this key.
    #[schemars(schema_with = "schema::role")]
    pub role: Role,
    /// A label, chosen when the key was made.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub label: String,
    /// The digest of the whole key.
    #[schemars(schema_with = "schema::sha256")]
    pub sha256: Sha256,
    /// When it was made.
    pub created: Moment,
    /// When the key expires. If absent, it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Moment>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Moment>,
}

/// What the service reports about a key, which is nothing so far. The right to write it is not a right to change the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(inline)]
pub struct ApiKeyStatus {
    /// The generation that the service has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
}

/// Why a resource is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an ApiKey has an invalid name or account; delete it")]
pub struct NotAKey;

impl ApiKey {
    /// The resource for a key.
    #[must_use]
    pub fn of(key: &cloister_model::ApiKey) -> Self {
        let cloister_model::ApiKey { id, account, role, label, sha256, created, expires, revoked } = key;
        Self::new(
            id.as_str(),
            ApiKeySpec {
                account: account.as_str().to_owned(),
                role: *role,
                label: label.clone(),
                sha256: *sha256,
                created: (*created).into(),
                expires: expires.map(Into::into),
                revoked: revoked.map(Into::into),
            },
        )
    }

    /// The key.
    ///
    /// # Errors
    /// [`NotAKey`].
    pub fn key(&self) -> Result<cloister_model::ApiKey, NotAKey> {
        let ApiKeySpec { account, role, label, sha256, created, expires, revoked } = &self.spec;
        let name = self.metadata.name.as_deref().unwrap_or_default();
        Ok(cloister_model::ApiKey {
            id: name.parse().map_err(|_| NotAKey)?,
            account: account.parse().map_err(|_| NotAKey)?,
            role: *role,
            label: label.clone(),
            sha256: *sha256,
            created: created.timestamp(),
            expires: expires.map(Moment::timestamp),
            revoked: revoked.map(Moment::timestamp),
        })
    }
}
