//! `Keyring`: API keys.

use crate::Trial;
use cloister_model::{ApiKey, AuditAction, StoreError, Timestamp};
use cloister_testkit::{OWNER, account, api_key};

const ABSENT: &str = "00000000000000ff";

fn key(number: u64, owner: &str) -> ApiKey {
    api_key(&format!("{number:016x}"), owner, Timestamp::from_unix_ms(1000 + number))
}

async fn put(trial: &Trial, key: ApiKey) -> Result<(), StoreError> {
    let event = trial.event(AuditAction::KeyCreated);
    let answer = trial.engine().put_key(key, event.clone()).await;
    assert_eq!(trial.recorded(&event).await, usize::from(answer.is_ok()), "{answer:?}");
    answer
}

/// A key is stored once, with its record, and read as it was stored, also after a restart.
pub async fn a_key_is_made_once(trial: &mut Trial) {
    let key = ApiKey { label: "laptop".to_owned(), expires: Some(Timestamp::from_unix_ms(9)), ..key(1, OWNER) };
    assert_eq!(trial.engine().key(key.id.clone()).await, Ok(None));
    assert_eq!(put(trial, key.clone()).await, Ok(()));
    let stolen = ApiKey { account: account("eve"), ..key.clone() };
    for _ in 0..2 {
        assert_eq!(trial.engine().key(key.id.clone()).await, Ok(Some(key.clone())), "expired keys can be read");
        assert_eq!(put(trial, stolen.clone()).await, Err(StoreError::Conflict));
        assert_eq!(put(trial, key.clone()).await, Err(StoreError::Conflict));
        trial.restart().await;
    }
}

/// A revoked key is revoked at once and for good, and soon on every process. Revoking it again changes nothing and is not recorded.
pub async fn a_key_is_revoked_once(trial: &mut Trial) {
    let (kept, key) = (key(1, OWNER), key(2, OWNER));
    for key in [&kept, &key] {
        assert_eq!(put(trial, key.clone()).await, Ok(()));
        // Keys may be remembered, by every process: what was read before must not hide the revocation.
        for process in trial.processes() {
            assert_eq!(process.key(key.id.clone()).await, Ok(Some(key.clone())));
        }
    }
    let revoked = ApiKey { revoked: Some(Timestamp::from_unix_ms(5)), ..key.clone() };
    for (ms, records) in [(5, 1), (6, 0), (7, 0)] {
        let event = trial.event(AuditAction::KeyRevoked);
        let answer = trial.engine().revoke_key(key.id.clone(), Timestamp::from_unix_ms(ms), event.clone()).await;
        assert_eq!((answer, trial.recorded(&event).await), (Ok(revoked.clone()), records));
        assert_eq!(trial.engine().key(key.id.clone()).await, Ok(Some(revoked.clone())));
        // Another process may see it later, but it sees it.
        for process in trial.processes() {
            let has_ended = async || process.key(key.id.clone()).await == Ok(Some(revoked.clone()));
            trial.eventually("a revoked key ends on every process", has_ended).await;
        }
        trial.restart().await;
    }
    assert_eq!(trial.engine().key(kept.id.clone()).await, Ok(Some(kept.clone())));
    assert_eq!(put(trial, key.clone()).await, Err(StoreError::Conflict), "the id of a revoked key is taken");
    assert_eq!(trial.engine().keys(Some(account(OWNER))).await, Ok(vec![revoked, kept]));
}

/// A key that is not there cannot be revoked, and no record says that it was.
pub async fn a_key_that_is_not_there_cannot_be_revoked(trial: &mut Trial) {
    let (id, event) = (ABSENT.parse().expect("an id"), trial.event(AuditAction::KeyRevoked));
    let answer = trial.engine().revoke_key(id, Timestamp::from_unix_ms(1), event.clone()).await;
    assert_eq!((answer, trial.recorded(&event).await), (Err(StoreError::Missing), 0));
}

/// The keys of an account, or all, the newest first.
pub async fn the_newest_key_is_listed_first(trial: &mut Trial) {
    for (number, owner) in [(2, OWNER), (4, "bob"), (1, OWNER), (3, OWNER)] {
        assert_eq!(put(trial, key(number, owner)).await, Ok(()));
    }
    for _ in 0..2 {
        let (all, mine) = (trial.engine().keys(None).await, trial.engine().keys(Some(account(OWNER))).await);
        assert_eq!(all, Ok(vec![key(4, "bob"), key(3, OWNER), key(2, OWNER), key(1, OWNER)]));
        assert_eq!(mine, Ok(vec![key(3, OWNER), key(2, OWNER), key(1, OWNER)]));
        assert_eq!(trial.engine().keys(Some(account("eve"))).await, Ok(vec![]));
        trial.restart().await;
    }
}
