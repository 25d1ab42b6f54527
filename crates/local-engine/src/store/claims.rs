//! Exclusive rights to names: nonces, agreements, names of assets.

use super::{DbError, Write};
use cloister_model::{Claim, ClaimKind, JobId, Timestamp};
use rusqlite::{OptionalExtension as _, params};

/// Expired claims that are deleted with each new one. More than one, so that they go faster than they come.
const PURGED_AT_ONCE: u32 = 8;

/// Who has a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A job, until it ends.
    Job(JobId),
    /// An asset, or a request that counts once.
    Other,
}

/// The number of a kind in the database. They are stored: never change one.
pub(super) fn number(kind: ClaimKind) -> i64 {
    match kind {
        ClaimKind::Nonce => 0,
        ClaimKind::Agreement => 1,
        ClaimKind::AssetName => 2,
    }
}

fn ms(at: Timestamp) -> i64 {
    i64::try_from(at.unix_ms()).unwrap_or(i64::MAX)
}

/// Takes a claim for a holder; false if anything holds it, the same holder included.
pub(crate) fn take(write: &mut Write<'_>, claim: &Claim, holder: Holder) -> Result<bool, DbError> {
    let job = match &holder {
        Holder::Job(job) => Some(job.as_bytes()),
        Holder::Other => None,
    };
    let sql = "INSERT INTO claim (kind, key, job, until) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    let (kind, key, until) = (number(claim.kind()), claim.key(), claim.until().map(ms));
    Ok(write.db.prepare_cached(sql)?.execute(params![kind, key.as_bytes(), job, until])? == 1)
}

/// Deletes some of the claims that may be forgotten at a moment.
pub(crate) fn purge(write: &mut Write<'_>, now: Timestamp) -> Result<(), DbError> {
    let sql = "DELETE FROM claim WHERE (kind, key) IN
        (SELECT kind, key FROM claim WHERE until IS NOT NULL AND until < ?1 ORDER BY until LIMIT ?2)";
    write.db.prepare_cached(sql)?.execute(params![ms(now), PURGED_AT_ONCE])?;
    Ok(())
}

/// Who holds a claim; none: it is free.
pub(crate) fn holder(write: &Write<'_>, claim: &Claim) -> Result<Option<Holder>, DbError> {
    let sql = "SELECT job FROM claim WHERE kind = ?1 AND key = ?2";
    let found: Option<Option<[u8; 16]>> = write
        .db
        .prepare_cached(sql)?
        .query_row(params![number(claim.kind()), claim.key().as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(found.map(|job| job.map_or(Holder::Other, |job| Holder::Job(JobId::from_bytes(job)))))
}

/// Hands a claim that a job holds over to what the job has made.
pub(crate) fn hand_over(write: &mut Write<'_>, claim: &Claim, from: JobId) -> Result<(), DbError> {
    let sql = "UPDATE claim SET job = NULL WHERE kind = ?1 AND key = ?2 AND job = ?3";
    let (kind, key) = (number(claim.kind()), claim.key());
    write.db.prepare_cached(sql)?.execute(params![kind, key.as_bytes(), from.as_bytes()])?;
    Ok(())
}

/// Gives up a claim that no job holds.
pub(crate) fn give_up(write: &mut Write<'_>, claim: &Claim) -> Result<(), DbError> {
    let sql = "DELETE FROM claim WHERE kind = ?1 AND key = ?2 AND job IS NULL";
    write.db.prepare_cached(sql)?.execute(params![number(claim.kind()), claim.key().as_bytes()])?;
    Ok(())
}

/// Gives up all claims that a job holds.
pub(crate) fn give_up_all(write: &mut Write<'_>, job: JobId) -> Result<(), DbError> {
    write.db.prepare_cached("DELETE FROM claim WHERE job = ?1")?.execute([job.as_bytes()])?;
    Ok(())
}
