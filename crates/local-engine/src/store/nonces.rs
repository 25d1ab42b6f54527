use super::{Db, Write};
use cloister_model::{Account, Timestamp};
use rusqlite::params;

/// Nonces that go with each one that comes, at most: they go faster than they come.
const PURGED_AT_ONCE: u32 = 8;

/// Uses a nonce up; false if it was used before. Those whose time is over by now go.
pub(crate) fn claim(
    write: &mut Write<'_>,
    account: &Account,
    nonce: &str,
    until: Timestamp,
    now: Timestamp,
) -> Result<bool, Db> {
    let ms = |at: Timestamp| i64::try_from(at.unix_ms()).unwrap_or(i64::MAX);
    let sql = "DELETE FROM nonce WHERE (account, nonce) IN
        (SELECT account, nonce FROM nonce WHERE until < ?1 ORDER BY until LIMIT ?2)";
    write.db.prepare_cached(sql)?.execute(params![ms(now), PURGED_AT_ONCE])?;
    let sql = "INSERT INTO nonce (account, nonce, until) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    Ok(write.db.prepare_cached(sql)?.execute(params![account.key(), nonce, ms(until)])? == 1)
}
