use crate::{
    Principal, UseCases, Via,
    key_text::{PREFIX, id_of},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use cloister_model::{Account, ApiKey, AuditAction, AuditEvent, KeyId, Role, Secret, Sha256, StoreError, Timestamp};
use serde_json::json;
use std::time::Duration;

/// Keys of one account that work at the same time. (The engine forgets all but the latest of those that no longer work.) Without a
/// bound, the keys of one account would push those of the others out of the operators' list.
const MOST_KEYS: usize = 1000;

/// Bytes of a label.
const MOST_LABEL_BYTES: usize = 100;

/// How long keys last that accounts make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLifetimes {
    /// The longest that any of them lasts.
    pub longest: Duration,
    /// The longest that one lasts that is made with an Ethereum signature, which has no end of its own.
    pub by_signature: Duration,
}

impl Default for KeyLifetimes {
    /// 90 days, and a week.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { longest: DAY * 90, by_signature: DAY * 7 }
    }
}

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
    /// When it stops working; none: as late as it may.
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
    /// It would work for longer than what it is made with, which is good until this moment.
    #[error("a key lasts no longer than the key, token or signature that makes it")]
    OutlivesMaker(Timestamp),
    /// It would work for longer than any key may.
    #[error("the operator has set how long keys last")]
    TooLong(Timestamp),
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

/// What the service stores of a key that was made elsewhere and given to it; none if the text is not a key.
#[must_use]
pub fn given_key(
    token: &Secret<String>,
    account: Account,
    role: Role,
    label: String,
    now: Timestamp,
) -> Option<ApiKey> {
    let id = id_of(token.expose())?;
    let sha256 = Sha256::of(token.expose().as_bytes());
    Some(ApiKey { id, account, role, label, sha256, created: now, expires: None, revoked: None })
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
        let expires = within(expires, self.expiry_of_maker(who).await?, now, &self.options().key_lifetimes)?;
        let made = new_key(account, role, label, Some(expires), now).map_err(|_| KeyError::NoRandomBytes)?;
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

    /// The principal of a key, or why it has none. That a key has expired or was revoked is told to the holder of the whole key
    /// alone.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub async fn principal_of_key(&self, token: &str) -> Result<Result<Principal, KeyRefusal>, StoreError> {
        let Some(id) = id_of(token) else { return Ok(Err(KeyRefusal::Unknown)) };
        let Some(key) = self.backend().key(id).await? else { return Ok(Err(KeyRefusal::Unknown)) };
        let good = check(&key, token, self.now());
        Ok(good.map(|()| Principal { account: key.account, role: key.role, via: Via::Key(key.id) }))
    }

    /// Whether what a principal has shown is still good. A key or a token may have expired since, and a key may have been
    /// revoked; a signature was good for the whole request.
    pub async fn is_still_good(&self, principal: &Principal) -> bool {
        match &principal.via {
            Via::Key(id) => matches!(self.backend().key(id.clone()).await, Ok(Some(key)) if works(&key, self.now())),
            Via::Token { expires } => self.now() < *expires,
            Via::Signature => true,
        }
    }

    /// Until when what makes a key is good; none: it has no end.
    async fn expiry_of_maker(&self, who: &Principal) -> Result<Option<Timestamp>, StoreError> {
        match &who.via {
            Via::Key(id) => Ok(self.backend().key(id.clone()).await?.and_then(|key| key.expires)),
            Via::Token { expires } => Ok(Some(*expires)),
            Via::Signature => Ok(Some(later(self.now(), self.options().key_lifetimes.by_signature))),
        }
    }
}

/// When a key stops working: not later than what makes it. Otherwise, the holder of a key or a token for a day could make one
/// that lasts for ever. And not later than any key may.
fn within(
    wanted: Option<Timestamp>,
    of_maker: Option<Timestamp>,
    now: Timestamp,
    lifetimes: &KeyLifetimes,
) -> Result<Timestamp, KeyError> {
    let longest = later(now, lifetimes.longest);
    let most = of_maker.map_or(longest, |of_maker| of_maker.min(longest));
    match wanted {
        Some(wanted) if of_maker.is_some_and(|of_maker| wanted > of_maker) => Err(KeyError::OutlivesMaker(most)),
        Some(wanted) if wanted > longest => Err(KeyError::TooLong(longest)),
        // A token is accepted a little after its end, because clocks differ.
        None if most <= now => Err(KeyError::OutlivesMaker(most)),
        wanted => Ok(wanted.unwrap_or(most)),
    }
}

fn later(now: Timestamp, after: Duration) -> Timestamp {
    let ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_unix_ms(now.unix_ms().saturating_add(ms))
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

/// Why a key names no principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefusal {
    /// It is no key of this service, or not the whole of it.
    Unknown,
    /// It was revoked.
    Revoked,
    /// It has expired.
    Expired,
}

/// Whether this is the whole key, and it works now. Comparing takes the same time wherever the digests differ.
fn check(stored: &ApiKey, token: &str, now: Timestamp) -> Result<(), KeyRefusal> {
    let given = Sha256::of(token.as_bytes());
    let same = aws_lc_rs::constant_time::verify_slices_are_equal(stored.sha256.as_bytes(), given.as_bytes());
    match same {
        Err(_) => Err(KeyRefusal::Unknown),
        Ok(()) if stored.revoked.is_some() => Err(KeyRefusal::Revoked),
        Ok(()) if !works(stored, now) => Err(KeyRefusal::Expired),
        Ok(()) => Ok(()),
    }
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
        assert_eq!(check(&stored, token, at(9)), Ok(()));
        assert_eq!(check(&stored, token, at(10)), Err(KeyRefusal::Expired));
        let revoked = ApiKey { revoked: Some(at(2)), ..stored };
        assert_eq!(check(&revoked, token, at(10)), Err(KeyRefusal::Revoked));
        assert_eq!(check(&revoked, "clk_another", at(10)), Err(KeyRefusal::Unknown));
    }

    #[test]
    fn another_secret_is_another_key() {
        let (one, other) = (key(None), key(None));
        assert_eq!(check(&one.stored, other.token.expose(), at(2)), Err(KeyRefusal::Unknown));
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
        let lifetimes = KeyLifetimes { longest: Duration::from_millis(20), by_signature: Duration::from_millis(5) };
        let within = |wanted: Option<u64>, maker: Option<u64>| within(wanted.map(at), maker.map(at), at(1), &lifetimes);
        for (wanted, maker, expected) in [
            (Some(5), Some(9), Ok(at(5))),
            (None, Some(9), Ok(at(9))),
            (Some(5), None, Ok(at(5))),
            (Some(10), Some(9), Err(KeyError::OutlivesMaker(at(9)))),
            // No key lasts for ever, whatever made it.
            (None, None, Ok(at(21))),
            (None, Some(100), Ok(at(21))),
            (Some(22), Some(100), Err(KeyError::TooLong(at(21)))),
            (Some(101), Some(100), Err(KeyError::OutlivesMaker(at(21)))),
            (Some(22), None, Err(KeyError::TooLong(at(21)))),
            (None, Some(1), Err(KeyError::OutlivesMaker(at(1)))),
        ] {
            assert_eq!(within(wanted, maker), expected, "{wanted:?} {maker:?}");
        }
    }
}
