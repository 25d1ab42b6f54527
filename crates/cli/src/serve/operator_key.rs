use super::private_file;
use crate::client::KEY_FILE;
use anyhow::Context as _;
use cloister_api::{NewKey, new_key};
use cloister_model::{Account, ApiKey, AuditAction, AuditEvent, Backend, Keyring, Role, Secret, Timestamp};
use std::path::Path;

/// The account that the operator's key belongs to.
const ACCOUNT: &str = "operator";

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
    let event = AuditEvent {
        at: now,
        actor: "service".to_owned(),
        action: AuditAction::KeyCreated,
        subject: stored.id.to_string(),
        detail: format!(r#"{{"account":"{ACCOUNT}","role":"{}"}}"#, stored.role),
    };
    Keyring::put_key(keyring, stored, event).await.context("storing the operator's key")?;
    Ok(Some(token))
}
