use crate::{client::KEY_FILE, exit::Usage, private_file};
use anyhow::Context as _;
use cloister_api::{NewKey, given_key, new_key};
use cloister_model::{Account, ApiKey, AuditAction, AuditEvent, Backend, Keyring, Role, Secret, StoreError, Timestamp};
use std::path::Path;

/// The account that the operator's key belongs to.
const ACCOUNT: &str = "operator";

/// How often storing a key is tried that another replica may be storing.
const ATTEMPTS: u32 = 5;

/// Creates an operator's key if no valid one exists or a new one is `wanted`, and stores it in the service's folder.
/// Returns the new key, to be shown once.
pub(super) async fn ensure(
    keyring: &dyn Backend,
    home: &Path,
    wanted: bool,
    now: Timestamp,
) -> anyhow::Result<Option<Secret<String>>> {
    let is_good = |key: &ApiKey| {
        key.role == Role::Operator && key.revoked.is_none() && key.expires.is_none_or(|expires| now < expires)
    };
    if !wanted && Keyring::keys(keyring, None).await.context("reading the keys")?.iter().any(is_good) {
        return Ok(None);
    }
    let account: Account = ACCOUNT.parse().context("the operator's account")?;
    let NewKey { token, stored } =
        new_key(account, Role::Operator, "made at the start of the service".to_owned(), None, now)
            .context("creating the operator's key")?;
    // The file is written first. After a crash in between, a key that is only in the file is replaced at the next start; a
    // stored key whose text is lost would not be.
    let path = home.join(KEY_FILE);
    private_file::write(&path, format!("{}\n", token.expose()).as_bytes())
        .with_context(|| format!("`{}`", path.display()))?;
    let event = made(&stored, now);
    Keyring::put_key(keyring, stored, event).await.context("storing the operator's key")?;
    Ok(Some(token))
}

/// Makes a key that all replicas were given valid, unless it was valid once: one that was revoked stays revoked. Of several
/// replicas that start at once, one stores it.
pub(super) async fn accept(keyring: &dyn Backend, token: &Secret<String>, now: Timestamp) -> anyhow::Result<()> {
    let account: Account = ACCOUNT.parse().context("the operator's account")?;
    let label = "given to the service at its start".to_owned();
    let key = given_key(token, account, Role::Operator, label, now)
        .ok_or_else(|| Usage::error(format!("`{KEY_FILE}` holds no key; make the secrets with `cloister secrets`")))?;
    let id = key.id.clone();
    for _ in 0..ATTEMPTS {
        match Keyring::key(keyring, id.clone()).await.context("reading the operator's key")? {
            Some(found) if found.sha256 != key.sha256 => {
                return Err(Usage::error(format!("`{KEY_FILE}` has the id of another key; make other secrets")));
            }
            Some(found) => {
                if found.revoked.is_some() {
                    tracing::warn!(key = %id, "the operator's key of this installation is revoked, and stays so");
                }
                return Ok(());
            }
            None => {}
        }
        let event = made(&key, now);
        match Keyring::put_key(keyring, key.clone(), event).await {
            // Another replica has stored it.
            Err(StoreError::Conflict) => {}
            answer => return answer.context("storing the operator's key"),
        }
    }
    anyhow::bail!("the operator's key does not exist and cannot be stored; start again")
}

/// A new key, as the service makes one for `cloister secrets`.
pub(super) fn make(now: Timestamp) -> anyhow::Result<Secret<String>> {
    let account: Account = ACCOUNT.parse().context("the operator's account")?;
    let NewKey { token, stored: _ } =
        new_key(account, Role::Operator, String::new(), None, now).context("creating the operator's key")?;
    Ok(token)
}

fn made(key: &ApiKey, now: Timestamp) -> AuditEvent {
    AuditEvent {
        at: now,
        actor: "service".to_owned(),
        action: AuditAction::KeyCreated,
        subject: key.id.to_string(),
        detail: format!(r#"{{"account":"{ACCOUNT}","role":"{}"}}"#, key.role),
    }
}
