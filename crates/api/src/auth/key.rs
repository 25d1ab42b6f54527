use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use cloister_model::{Account, ApiKey, KeyId, Role, Secret, Sha256, Timestamp};
use sha2::Digest as _;

/// What every key begins with, so that people and scanners know one when they see it.
const PREFIX: &str = "clk_";

/// A key that was just made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What its owner sends: `clk_<16 hexadecimal digits>_<43 base64url characters>`. Nobody keeps it but they.
    pub token: Secret<String>,
    /// What is stored.
    pub stored: ApiKey,
}

/// Makes a key of 256 random bits.
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
    let id: KeyId = id.parse().expect("16 hexadecimal digits are a key's id");
    let sha256 = sha256(token.as_bytes());
    let stored = ApiKey { id, account, role, label, sha256, created: now, expires, revoked: None };
    Ok(NewKey { token: Secret::new(token), stored })
}

/// The digest of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Sha256 {
    Sha256::from_bytes(sha2::Sha256::digest(bytes).into())
}

/// The public part of a key; none if the text has not the form of one.
pub(super) fn id_of(token: &str) -> Option<KeyId> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (secret.len() == 43 && secret.bytes().all(base64url)).then(|| id.parse().ok())?
}

/// Whether the text may be meant to be a key.
pub(super) fn is_meant(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// Whether this is the whole key, and it is good now. Takes the same time wherever the digests differ.
pub(super) fn is_good(stored: &ApiKey, token: &str, now: Timestamp) -> bool {
    let same = aws_lc_rs::constant_time::verify_slices_are_equal(
        stored.sha256.as_bytes(),
        sha256(token.as_bytes()).as_bytes(),
    );
    same.is_ok() && stored.revoked.is_none() && stored.expires.is_none_or(|expires| now < expires)
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
    fn a_key_is_good_until_it_expires_or_is_revoked() {
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
    fn other_texts_are_no_keys() {
        let good = key(None).token.expose().clone();
        for text in ["", "clk_", "clk__", &good[1..], &good[..good.len() - 1], &good.replace("clk_", "CLK_")] {
            assert_eq!(id_of(text), None, "{text}");
        }
    }
}
