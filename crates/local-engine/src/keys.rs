//! API keys in memory: every request asks for one.

use cloister_model::{ApiKey, KeyId};
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

/// Keys that are remembered. When there are more, all are forgotten and read again.
const MOST: usize = 10_000;

/// Keys that were asked for.
#[derive(Debug, Default)]
pub(crate) struct KnownKeys(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    keys: HashMap<KeyId, ApiKey>,
    /// Grows with every revocation.
    revocations: u64,
}

impl KnownKeys {
    /// A key, read with `read` if it is not known. An unknown key is never remembered, and takes no exclusive lock.
    pub(crate) fn get<E>(
        &self,
        id: &KeyId,
        read: impl FnOnce() -> Result<Option<ApiKey>, E>,
    ) -> Result<Option<ApiKey>, E> {
        let before = {
            let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(key) = known.keys.get(id) {
                return Ok(Some(key.clone()));
            }
            known.revocations
        };
        let Some(key) = read()? else { return Ok(None) };
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // A key that was revoked since it was read must not be remembered as it was.
        if known.revocations == before {
            if known.keys.len() >= MOST {
                known.keys.clear();
            }
            known.keys.insert(id.clone(), key.clone());
        }
        Ok(Some(key))
    }

    /// Forgets a key that was revoked.
    pub(crate) fn revoked(&self, id: &KeyId) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.revocations += 1;
        known.keys.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Role, Sha256, Timestamp};
    use std::convert::Infallible;

    fn key(revoked: Option<u64>) -> ApiKey {
        ApiKey {
            id: "00000000000000aa".parse().expect("an id"),
            account: "alice".parse().expect("an account"),
            role: Role::Consumer,
            label: String::new(),
            sha256: Sha256::from_bytes([1; 32]),
            created: Timestamp::from_unix_ms(1),
            expires: None,
            revoked: revoked.map(Timestamp::from_unix_ms),
        }
    }

    #[test]
    fn a_key_that_is_revoked_while_it_is_read_is_not_remembered_as_good() {
        let (known, id) = (KnownKeys::default(), key(None).id);
        let read = known.get::<Infallible>(&id, || {
            known.revoked(&id);
            Ok(Some(key(None)))
        });
        assert_eq!(read, Ok(Some(key(None))), "what was true when it was asked");
        assert_eq!(known.get::<Infallible>(&id, || Ok(Some(key(Some(2))))), Ok(Some(key(Some(2)))));
        assert_eq!(known.get::<&str>(&id, || Err("read again")), Ok(Some(key(Some(2)))));
    }

    #[test]
    fn an_unknown_key_is_looked_up_again() {
        let (known, id) = (KnownKeys::default(), key(None).id);
        assert_eq!(known.get::<Infallible>(&id, || Ok(None)), Ok(None));
        assert_eq!(known.get::<Infallible>(&id, || Ok(Some(key(None)))), Ok(Some(key(None))));
    }
}
