//! The datasets that need the results of a job: the one that it registered, and those that were published with results of it. For as
//! long as there is one, the results stay, whether the job is there or not.

use super::{
    super::{DbError, Write},
    read::status,
    write::{number_when_gone, put},
};
use cloister_lifecycle::expires_once_unneeded;
use cloister_model::{Did, JobId, JobStatus, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

/// Whether a dataset needs a job's results.
pub(crate) fn is_kept(db: &Connection, job: JobId) -> Result<bool, DbError> {
    Ok(db.prepare_cached("SELECT 1 FROM kept WHERE job = ?1")?.exists([job.as_bytes()])?)
}

/// Takes note that a dataset needs a job's results. False, and nothing is noted: they have gone with the job.
pub(crate) fn keep(db: &Connection, job: JobId, dataset: &Did) -> Result<bool, DbError> {
    let sql = "INSERT OR IGNORE INTO kept (job, did) SELECT ?1, ?2
        WHERE EXISTS (SELECT 1 FROM job WHERE id = ?1) OR EXISTS (SELECT 1 FROM kept WHERE job = ?1)";
    db.prepare_cached(sql)?.execute(params![job.as_bytes(), dataset.to_string()])?;
    is_kept(db, job)
}

/// Takes note that a dataset does not need a job's results any more. If no other one needs them, they are removed with the job from
/// now on. A job without an end of its time gets one.
pub(crate) fn unkeep(write: &mut Write<'_>, job: JobId, dataset: &str, now: Timestamp) -> Result<(), DbError> {
    let sql = "DELETE FROM kept WHERE job = ?1 AND did = ?2";
    let noted = write.db.prepare_cached(sql)?.execute(params![job.as_bytes(), dataset])?;
    if noted == 0 || is_kept(write.db, job)? {
        return Ok(());
    }
    let Some(before) = status(write.db, job)? else {
        write.db.prepare_cached("INSERT OR IGNORE INTO gone (job) VALUES (?1)")?.execute([job.as_bytes()])?;
        write.db.prepare_cached("DELETE FROM stored WHERE seq = ?1")?.execute([number_when_gone(job)])?;
        return Ok(());
    };
    if before.expires.is_some() {
        return Ok(());
    }
    let keep: Option<u64> = write
        .db
        .prepare_cached("SELECT keep_ms FROM job WHERE id = ?1")?
        .query_row([job.as_bytes()], |row| row.get(0))
        .optional()?;
    let expires = expires_once_unneeded(now, keep.unwrap_or_default());
    let after = JobStatus { expires: Some(expires), revision: before.revision + 1, ..before.clone() };
    put(write, &before, &after)
}

/// Jobs, each with a dataset that needed its results and is withdrawn or gone: at most so many after one.
pub(crate) fn unneeded(
    db: &Connection,
    after: Option<&(JobId, String)>,
    at_most: u32,
) -> Result<Vec<(JobId, String)>, DbError> {
    let sql = "SELECT job, did FROM kept WHERE (job, did) > (?1, ?2) AND NOT EXISTS
        (SELECT 1 FROM asset WHERE asset.did = kept.did AND asset.withdrawn IS NULL) ORDER BY job, did LIMIT ?3";
    let (job, did) = after.map_or((Vec::new(), ""), |(job, did)| (job.as_bytes().to_vec(), did.as_str()));
    let mut statement = db.prepare_cached(sql)?;
    let found = statement.query_map(params![job, did, at_most], |row| {
        Ok((JobId::from_bytes(row.get::<_, [u8; 16]>(0)?), row.get(1)?))
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// As [`unkeep`], unless the dataset is there again.
pub(crate) fn unkeep_unneeded(write: &mut Write<'_>, job: JobId, dataset: &str, now: Timestamp) -> Result<(), DbError> {
    let sql = "SELECT 1 FROM asset WHERE did = ?1 AND withdrawn IS NULL";
    let needed = write.db.prepare_cached(sql)?.exists([dataset])?;
    if needed { Ok(()) } else { unkeep(write, job, dataset, now) }
}
