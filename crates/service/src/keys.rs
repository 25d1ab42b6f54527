use crate::{Principal, UseCases, Via};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use cloister_model::{Account, ApiKey, AuditAction, AuditEvent, KeyId, Role, Secret, Sha256, StoreError, Timestamp};
use serde_json::json;

/// The beginning of every key, so that people and secret scanners recognise one.
const PREFIX: &str = "clk_";

/// Keys of one account that work at the same time. (The engine forgets all but the latest of those that no longer work.) Without a
/// bound, the keys of one account would push those of the others out of the operators' list.
const MOST_KEYS: usize = 1000;

/// Bytes of a label.
const MOST_LABEL_BYTES: usize = 100;

/// A key that was just made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What its owner sends: `clk_<16 hexadecimal digits>_<43 base64url characters>`. It is not stored anywhere.
    pub token: Secret<String>,
    /// What is stored.
    pub stored: ApiKey,
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct KeyRequest {
    /// Its account; none: the account that asks.
    pub account: Option<Account>,
    /// What it may do; none: what a consumer may.
    pub role: Option<Role>,
    /// What its maker calls it, at most 100 bytes.
    pub label: String,
    /// When it stops working; none: when the key that makes it does, or never.
    pub expires: Option<Timestamp>,
}

/// Why a key was not made, shown or revoked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is another account's.
    #[error("only operators make and see the keys of others; leave `account` out")]
    OthersKey,
    /// It would have a higher role than its maker.
    #[error("a key may do at most what you may; ask for a lesser `role`")]
    Role,
    /// The label is too long.
    #[error("has to have at most {MOST_LABEL_BYTES} bytes")]
    Label,
    /// The moment at which it expires has passed.
    #[error("has to be in the future")]
    ExpiresInThePast,
    /// It would work for longer than the key that makes it, which stops working at this moment.
    #[error("a key lasts no longer than the one that makes it")]
    OutlivesMaker(Timestamp),
    /// The account has made all keys that it may.
    #[error("you have {MOST_KEYS} keys that work, which is the most; revoke one first")]
    TooMany,
    /// The key does not exist, or the caller may not see it.
    #[error("there is no such key that you may see")]
    NotFound,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machine gives no random bytes.
    #[error("the service has no random bytes")]
    NoRandomBytes,
}

/// Makes a key of 256 random bits. Nothing is stored.
///
/// # Errors
/// If the machine gives no random bytes.
pub fn new_key(
    account: Account,
    role: Role,
    label: String,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> Result<NewKey, getrandom::Error> {
    let (mut id, mut secret) = ([0; 8], [0; 32]);
    getrandom::fill(&mut id)?;
    getrandom::fill(&mut secret)?;
    let id = format!("{:016x}", u64::from_be_bytes(id));
    let token = format!("{PREFIX}{id}_{}", BASE64_URL_SAFE_NO_PAD.encode(secret));
    let id: KeyId = id.parse().expect("16 hexadecimal digits are the id of a key");
    let sha256 = Sha256::of(token.as_bytes());
    let stored = ApiKey { id, account, role, label, sha256, created: now, expires, revoked: None };
    Ok(NewKey { token: Secret::new(token), stored })
}

impl UseCases {
    /// Makes a key and stores it.
    ///
    /// # Errors
    /// Why not.
    pub async fn create_key(&self, who: &Principal, request: KeyRequest) -> Result<NewKey, KeyError> {
        let KeyRequest { account, role, label, expires } = request;
        let account = account.unwrap_or_else(|| who.account.clone());
        let role = role.unwrap_or(Role::Consumer);
        if !who.is_or_operates(&account) {
            return Err(KeyError::OthersKey);
        }
        if !who.is(role) {
            return Err(KeyError::Role);
        }
        if label.len() > MOST_LABEL_BYTES {
            return Err(KeyError::Label);
        }
        let now = self.now();
        if expires.is_some_and(|at| at <= now) {
            return Err(KeyError::ExpiresInThePast);
        }
        if !who.is(Role::Operator) {
            let keys = self.backend().keys(Some(account.clone())).await?;
            if keys.iter().filter(|key| works(key, now)).count() >= MOST_KEYS {
                return Err(KeyError::TooMany);
            }
        }
        let expires = within(expires, self.expiry_of_maker(who).await?)?;
        let made = new_key(account, role, label, expires, now).map_err(|_| KeyError::NoRandomBytes)?;
        let record = event(who, AuditAction::KeyCreated, &made.stored, now);
        self.backend().put_key(made.stored.clone(), record).await?;
        Ok(made)
    }

    /// The keys of an account, the newest first. Without an account: all keys for an operator, the caller's own for others.
    ///
    /// # Errors
    /// [`KeyError::OthersKey`], [`KeyError::Store`].
    pub async fn keys(&self, who: &Principal, account: Option<Account>) -> Result<Vec<ApiKey>, KeyError> {
        let account = match account {
            Some(account) if who.is_or_operates(&account) => Some(account),
            Some(_) => return Err(KeyError::OthersKey),
            None if who.is(Role::Operator) => None,
            None => Some(who.account.clone()),
        };
        Ok(self.backend().keys(account).await?)
    }

    /// Makes a key useless.
    ///
    /// # Errors
    /// [`KeyError::NotFound`], [`KeyError::Store`].
    pub async fn revoke_key(&self, who: &Principal, id: KeyId) -> Result<(), KeyError> {
        let key = self.backend().key(id.clone()).await?;
        let key = key.filter(|key| who.is_or_operates(&key.account)).ok_or(KeyError::NotFound)?;
        let now = self.now();
        let record = event(who, AuditAction::KeyRevoked, &key, now);
        match self.backend().revoke_key(id, now, record).await {
            Ok(_) => Ok(()),
            Err(StoreError::Missing) => Err(KeyError::NotFound),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a text may be meant to be a key: it begins like one.
    #[must_use]
    pub fn looks_like_a_key(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// The principal of a key; none if this is not a key that works now.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub async fn principal_of_key(&self, token: &str) -> Result<Option<Principal>, StoreError> {
        let Some(id) = id_of(token) else { return Ok(None) };
        let stored = self.backend().key(id).await?.filter(|stored| is_good(stored, token, self.now()));
        Ok(stored.map(|key| Principal { account: key.account, role: key.role, via: Via::Key(key.id) }))
    }

    /// Whether what a principal has shown is still good. A key may have expired or been revoked since; tokens and
    /// signatures were good for the whole request.
    pub async fn is_still_good(&self, principal: &Principal) -> bool {
        let Via::Key(id) = &principal.via else { return true };
        matches!(self.backend().key(id.clone()).await, Ok(Some(key)) if works(&key, self.now()))
    }

    async fn expiry_of_maker(&self, who: &Principal) -> Result<Option<Timestamp>, StoreError> {
        let Via::Key(id) = &who.via else { return Ok(None) };
        Ok(self.backend().key(id.clone()).await?.and_then(|key| key.expires))
    }
}

/// When a key stops working that is made with one that stops working then: no later. Otherwise, the holder of a key for a
/// day could make one that lasts for ever.
fn within(wanted: Option<Timestamp>, most: Option<Timestamp>) -> Result<Option<Timestamp>, KeyError> {
    match (wanted, most) {
        (Some(wanted), Some(most)) if wanted > most => Err(KeyError::OutlivesMaker(most)),
        (wanted, most) => Ok(wanted.or(most)),
    }
}

fn event(who: &Principal, action: AuditAction, key: &ApiKey, at: Timestamp) -> AuditEvent {
    AuditEvent {
        at,
        actor: who.account.key().to_owned(),
        action,
        subject: key.id.to_string(),
        detail: json!({"account": key.account, "role": key.role}).to_string(),
    }
}

/// The public part of a key; none if the text does not have the form of one.
fn id_of(token: &str) -> Option<KeyId> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (secret.len() == 43 && secret.bytes().all(base64url)).then(|| id.parse().ok())?
}

/// Whether this is the whole key, and it works now. Comparing takes the same time wherever the digests differ.
fn is_good(stored: &ApiKey, token: &str, now: Timestamp) -> bool {
    let given = Sha256::of(token.as_bytes());
    let same = aws_lc_rs::constant_time::verify_slices_are_equal(stored.sha256.as_bytes(), given.as_bytes());
    same.is_ok() && works(stored, now)
}

fn works(key: &ApiKey, now: Timestamp) -> bool {
    key.revoked.is_none() && key.expires.is_none_or(|expires| now < expires)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn key(expires: Option<Timestamp>) -> NewKey {
        new_key("alice".parse().expect("an account"), Role::Consumer, String::new(), expires, at(1)).expect("a key")
    }

    #[test]
    fn a_key_works_until_it_expires_or_is_revoked() {
        let NewKey { token, stored } = key(Some(at(10)));
        let token = token.expose();
        assert_eq!(token.len(), 4 + 16 + 1 + 43);
        assert_eq!(id_of(token), Some(stored.id.clone()));
        assert!(is_good(&stored, token, at(9)));
        assert!(!is_good(&stored, token, at(10)));
        assert!(!is_good(&ApiKey { revoked: Some(at(2)), ..stored }, token, at(3)));
    }

    #[test]
    fn another_secret_is_another_key() {
        let (one, other) = (key(None), key(None));
        assert!(!is_good(&one.stored, other.token.expose(), at(2)));
        assert!(!format!("{one:?}").contains(&one.token.expose()[21..]));
    }

    #[test]
    fn refuses_other_texts() {
        let good = key(None).token.expose().clone();
        for text in ["", "clk_", "clk__", &good[1..], &good[..good.len() - 1], &good.replace("clk_", "CLK_")] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_lasts_no_longer_than_the_one_that_makes_it() {
        assert_eq!(within(Some(at(5)), Some(at(9))), Ok(Some(at(5))));
        assert_eq!(within(None, Some(at(9))), Ok(Some(at(9))));
        assert_eq!(within(Some(at(5)), None), Ok(Some(at(5))));
        assert_eq!(within(Some(at(10)), Some(at(9))), Err(KeyError::OutlivesMaker(at(9))));
    }
}
