use super::{DbError, Fail, Write, forms::KeyForm};
use cloister_model::{Account, ApiKey, KeyId, StoreError, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

/// The most keys of one list.
const MOST: u32 = 10_000;
/// Keys of an account that no longer work and are still listed, the latest.
const MOST_DEAD: u32 = 100;

pub(crate) fn put(write: &mut Write<'_>, key: &ApiKey) -> Result<(), Fail<StoreError>> {
    let sql = "INSERT INTO key (id, account, created, key) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING";
    let created = i64::try_from(key.created.unix_ms()).unwrap_or(i64::MAX);
    let text = serde_json::to_string(&KeyForm::from(key))?;
    let rows = write.db.prepare_cached(sql)?.execute(params![key.id.as_str(), key.account.key(), created, text])?;
    if rows == 0 {
        return Err(Fail::Rejected(StoreError::Conflict));
    }
    // Those that no longer work tell when they were made and revoked, and the audit log tells that, too.
    let sql = "DELETE FROM key WHERE id IN (SELECT id FROM key WHERE account = ?1 AND
        (json_extract(key, '$.revoked') IS NOT NULL OR json_extract(key, '$.expires') <= ?2)
        ORDER BY created DESC, id DESC LIMIT -1 OFFSET ?3)";
    write.db.prepare_cached(sql)?.execute(params![key.account.key(), created, MOST_DEAD])?;
    Ok(())
}

pub(crate) fn get(db: &Connection, id: &KeyId) -> Result<Option<ApiKey>, DbError> {
    let sql = "SELECT key FROM key WHERE id = ?1";
    let text: Option<String> = db.prepare_cached(sql)?.query_row([id.as_str()], |row| row.get(0)).optional()?;
    text.as_deref().map(parse).transpose()
}

fn parse(text: &str) -> Result<ApiKey, DbError> {
    Ok(serde_json::from_str::<KeyForm>(text)?.into())
}

pub(crate) fn list(db: &Connection, account: Option<&Account>) -> Result<Vec<ApiKey>, DbError> {
    let owned = if account.is_some() { "WHERE account = ?2" } else { "" };
    let sql = format!("SELECT key FROM key {owned} ORDER BY created DESC, id DESC LIMIT ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = match account {
        Some(account) => statement.query(params![MOST, account.key()])?,
        None => statement.query(params![MOST])?,
    };
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(parse(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?);
    }
    Ok(found)
}

/// The key as it is now, and whether it was changed.
pub(crate) fn revoke(write: &mut Write<'_>, id: &KeyId, at: Timestamp) -> Result<(ApiKey, bool), Fail<StoreError>> {
    let Some(key) = get(write.db, id)? else { return Err(Fail::Rejected(StoreError::Missing)) };
    if key.revoked.is_some() {
        return Ok((key, false));
    }
    let key = ApiKey { revoked: Some(at), ..key };
    let sql = "UPDATE key SET key = ?2 WHERE id = ?1";
    write.db.prepare_cached(sql)?.execute(params![id.as_str(), serde_json::to_string(&KeyForm::from(&key))?])?;
    Ok((key, true))
}
