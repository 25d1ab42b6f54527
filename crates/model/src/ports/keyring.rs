use super::{AuditEvent, StoreFuture};
use crate::{Account, Sha256, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, str::FromStr};

/// The rights of a key. Each role includes the roles before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Submit jobs, and see those.
    Consumer,
    /// Publish algorithms, and change those. Apart from `Consumer`, because a dataset may trust every algorithm that is
    /// published on a service: who can add to them is for the operator to say. Apart from `Publisher`, because an author
    /// needs no right to publish data.
    Author,
    /// Publish datasets, too, and change those.
    Publisher,
    /// Administer: keys, jobs of all accounts, the audit log.
    Operator,
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "consumer" => Ok(Self::Consumer),
            "author" => Ok(Self::Author),
            "publisher" => Ok(Self::Publisher),
            "operator" => Ok(Self::Operator),
            _ => Err("expected `consumer`, `author`, `publisher` or `operator`"),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Consumer => "consumer",
            Self::Author => "author",
            Self::Publisher => "publisher",
            Self::Operator => "operator",
        })
    }
}

/// The public part of an API key: 16 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct KeyId(String);

/// The text is not a key's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a key has 16 lower-case hexadecimal digits")]
pub struct KeyIdError;

impl KeyId {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 16 && text.bytes().all(digit) { Ok(Self(text.to_owned())) } else { Err(KeyIdError) }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.0)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An API key as it is stored: never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiKey {
    /// Its public part.
    pub id: KeyId,
    /// The account of its holder.
    pub account: Account,
    /// What they may do.
    pub role: Role,
    /// What its maker calls it, at most 100 bytes.
    pub label: String,
    /// Digest of the whole key. A fast hash will do: the secret is 256 random bits.
    pub sha256: Sha256,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops working; none: never by itself.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// The API keys.
pub trait Keyring: fmt::Debug + Send + Sync {
    /// Stores a new key, and puts that on record: both or neither.
    ///
    /// # Errors
    /// [`StoreError::Conflict`](super::StoreError::Conflict) if the id is taken.
    fn put_key(&self, key: ApiKey, record: AuditEvent) -> StoreFuture<'_, ()>;

    /// One key, revoked and expired ones included. Asked on every request: it has to be fast.
    fn key(&self, id: KeyId) -> StoreFuture<'_, Option<ApiKey>>;

    /// The keys of an account, or all, the newest first; at most 10 000.
    fn keys(&self, account: Option<Account>) -> StoreFuture<'_, Vec<ApiKey>>;

    /// Makes a key useless, and puts that on record: both or neither. Neither for one that is revoked.
    ///
    /// # Errors
    /// [`StoreError::Missing`](super::StoreError::Missing).
    fn revoke_key(&self, id: KeyId, at: Timestamp, record: AuditEvent) -> StoreFuture<'_, ApiKey>;
}
