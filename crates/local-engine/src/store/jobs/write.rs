use super::{
    super::{Db, Fail, Write},
    key, ms,
    read::{Outgoing, status},
};
use crate::{
    schedule::Waiting,
    times::{Deadlines, now},
};
use cloister_model::{
    Did, Event, JobId, JobSpec, JobStatus, Phase, Progress, Reason, Report, ResultFile, StatusError, TimeLimits,
    Timestamp,
};
use rusqlite::{OptionalExtension as _, params};
use std::time::Instant;

/// What became of a job in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) job: JobId,
    /// None: it is new.
    pub(crate) before: Option<Phase>,
    /// None: it is gone.
    pub(crate) after: Option<Phase>,
    /// Whether somebody wants it to stop.
    pub(crate) stop: bool,
    /// What the scheduler has to know of it, if it is new.
    pub(crate) new: Option<Box<New>>,
}

/// A job that was just taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct New {
    pub(crate) waiting: Waiting,
    pub(crate) times: TimeLimits,
    status: JobStatus,
}

impl New {
    /// When its times are over, if it is that moment now.
    pub(crate) fn deadlines(&self, instant: Instant) -> Deadlines {
        Deadlines::of(&self.status, &self.times, now(), instant)
    }
}

/// Why a job did not take a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("there is no such job")]
    Gone,
    /// The only step left is to stop.
    #[error("somebody wants it to stop")]
    Stopping,
    #[error(transparent)]
    Impossible(#[from] StatusError),
    #[error(transparent)]
    Db(#[from] Db),
}

/// Takes a new job in.
pub(crate) fn insert(write: &mut Write<'_>, spec: &JobSpec) -> Result<JobStatus, Db> {
    let status = JobStatus::queued(spec.id, spec.labels.clone(), spec.created);
    let keep = i64::try_from(spec.times.keep_ms).unwrap_or(i64::MAX);
    let (id, created) = (key(spec.id), ms(spec.created));
    write
        .db
        .prepare_cached("INSERT INTO job (id, created, phase, keep_ms, status) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![id, created, status.phase.code(), keep, serde_json::to_string(&status)?])?;
    let seq = write.db.last_insert_rowid();
    write
        .db
        .prepare_cached("INSERT INTO spec (seq, spec) VALUES (?1, ?2)")?
        .execute(params![seq, serde_json::to_string(spec)?])?;
    let mut label =
        write.db.prepare_cached("INSERT INTO label (name, value, created, id, seq) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (name, value) in spec.labels.iter() {
        label.execute(params![name, value, created, id, seq])?;
    }
    write.tally.moved(None, Some(status.phase));
    write.changes.push(Change {
        job: spec.id,
        before: None,
        after: Some(status.phase),
        stop: false,
        new: Some(Box::new(New { waiting: Waiting::of(spec), times: spec.times, status: status.clone() })),
    });
    Ok(status)
}

/// Takes a job through events, at one moment. Here and nowhere else does a phase change.
///
/// # Errors
/// [`Refused`]; then nothing has changed. A job that somebody wants to stop takes [`Event::Stop`] only.
pub(crate) fn step(
    write: &mut Write<'_>,
    job: JobId,
    events: &[Event],
    at: Timestamp,
    reason: Option<&Reason>,
) -> Result<JobStatus, Fail<Refused>> {
    let Some(before) = status(write.db, job)? else { return Err(Fail::Said(Refused::Gone)) };
    let mut after = before.clone();
    for event in events {
        if before.stop_requested.is_some() && *event != Event::Stop {
            return Err(Fail::Said(Refused::Stopping));
        }
        // A clock that was set back does not turn a history round.
        let at = at.max(after.changed);
        after = after.after(*event, at, reason.cloned()).map_err(|error| Fail::Said(error.into()))?;
    }
    if let Some(ended) = after.ended {
        let (seq, keep): (i64, u64) = write
            .db
            .prepare_cached("SELECT seq, keep_ms FROM job WHERE id = ?1")?
            .query_row([key(job)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let kept = write.db.prepare_cached("SELECT 1 FROM kept WHERE job = ?1")?.exists([key(job)])?;
        after.expires = (!kept).then(|| Timestamp::from_unix_ms(ended.unix_ms().saturating_add(keep)));
        write.db.prepare_cached("DELETE FROM outgoing WHERE seq = ?1")?.execute([seq])?;
    }
    put(write, &before, &after)?;
    Ok(after)
}

fn put(write: &mut Write<'_>, before: &JobStatus, after: &JobStatus) -> Result<(), Db> {
    write.db.prepare_cached("UPDATE job SET phase = ?2, expires = ?3, status = ?4 WHERE id = ?1")?.execute(params![
        key(after.id),
        after.phase.code(),
        after.expires.map(ms),
        serde_json::to_string(after)?
    ])?;
    write.tally.moved(Some(before.phase), Some(after.phase));
    write.changes.push(Change {
        job: after.id,
        before: Some(before.phase),
        after: Some(after.phase),
        stop: after.stop_requested.is_some(),
        new: None,
    });
    Ok(())
}

/// Puts down that somebody wants a job to stop; nothing if somebody did before, or it has ended.
pub(crate) fn ask_to_stop(write: &mut Write<'_>, job: JobId, at: Timestamp) -> Result<Option<JobStatus>, Db> {
    let Some(before) = status(write.db, job)? else { return Ok(None) };
    if before.phase.has_ended() || before.stop_requested.is_some() {
        return Ok(Some(before));
    }
    let after = JobStatus { stop_requested: Some(at), revision: before.revision + 1, ..before.clone() };
    put(write, &before, &after)?;
    Ok(Some(after))
}

/// Puts down how far the fetching is, unless it is over.
pub(crate) fn progress(write: &mut Write<'_>, job: JobId, progress: Progress) -> Result<(), Db> {
    let Some(before) = status(write.db, job)? else { return Ok(()) };
    if before.phase != Phase::Configuring || before.progress == Some(progress) {
        return Ok(());
    }
    let after = JobStatus { progress: Some(progress), revision: before.revision + 1, ..before.clone() };
    put(write, &before, &after)
}

pub(crate) fn put_report(write: &mut Write<'_>, job: JobId, report: &Report) -> Result<(), Db> {
    let sql = "INSERT OR REPLACE INTO report (seq, report) SELECT seq, ?2 FROM job WHERE id = ?1";
    write.db.prepare_cached(sql)?.execute(params![key(job), serde_json::to_string(report)?])?;
    Ok(())
}

pub(crate) fn put_outgoing(write: &mut Write<'_>, job: JobId, files: &[Outgoing]) -> Result<(), Db> {
    let sql = "INSERT OR REPLACE INTO outgoing (seq, files) SELECT seq, ?2 FROM job WHERE id = ?1";
    write.db.prepare_cached(sql)?.execute(params![key(job), serde_json::to_string(files)?])?;
    Ok(())
}

/// Puts down what was released, and the asset that needs it.
pub(crate) fn put_results(
    write: &mut Write<'_>,
    job: JobId,
    files: &[ResultFile],
    kept_for: Option<&Did>,
) -> Result<(), Db> {
    let sql = "INSERT OR REPLACE INTO result (seq, files) SELECT seq, ?2 FROM job WHERE id = ?1";
    write.db.prepare_cached(sql)?.execute(params![key(job), serde_json::to_string(files)?])?;
    if let Some(did) = kept_for {
        let sql = "INSERT OR REPLACE INTO kept (job, did) VALUES (?1, ?2)";
        write.db.prepare_cached(sql)?.execute(params![key(job), did.to_string()])?;
    }
    Ok(())
}

/// Removes an ended job. Its files are still to go: see [`gone`].
///
/// # Errors
/// False if it has not ended.
pub(crate) fn remove(write: &mut Write<'_>, job: JobId) -> Result<Option<bool>, Db> {
    let Some(status) = status(write.db, job)? else { return Ok(None) };
    if !status.phase.has_ended() {
        return Ok(Some(false));
    }
    let (id, created) = (key(job), ms(status.created));
    let seq: i64 = write.db.prepare_cached("SELECT seq FROM job WHERE id = ?1")?.query_row([id], |row| row.get(0))?;
    for sql in [
        "DELETE FROM job WHERE seq = ?1",
        "DELETE FROM spec WHERE seq = ?1",
        "DELETE FROM outgoing WHERE seq = ?1",
        "DELETE FROM result WHERE seq = ?1",
        "DELETE FROM report WHERE seq = ?1",
    ] {
        write.db.prepare_cached(sql)?.execute([seq])?;
    }
    let mut label =
        write.db.prepare_cached("DELETE FROM label WHERE name = ?1 AND value = ?2 AND created = ?3 AND id = ?4")?;
    for (name, value) in status.labels.iter() {
        label.execute(params![name, value, created, id])?;
    }
    write.db.prepare_cached("INSERT OR IGNORE INTO gone (job) VALUES (?1)")?.execute([id])?;
    write.tally.moved(Some(status.phase), None);
    write.changes.push(Change { job, before: Some(status.phase), after: None, stop: false, new: None });
    Ok(Some(true))
}

/// Jobs whose time to be kept is over, at most so many.
pub(crate) fn expired(db: &rusqlite::Connection, now: Timestamp, at_most: u32) -> Result<Vec<JobId>, Db> {
    let sql = "SELECT id FROM job WHERE expires IS NOT NULL AND expires <= ?1 ORDER BY expires LIMIT ?2";
    ids(db, sql, params![ms(now), at_most])
}

/// Removed jobs whose files are still to go.
pub(crate) fn gone(db: &rusqlite::Connection) -> Result<Vec<JobId>, Db> {
    ids(db, "SELECT job FROM gone LIMIT 1000", params![])
}

pub(crate) fn forget_gone(write: &mut Write<'_>, job: JobId) -> Result<(), Db> {
    write.db.prepare_cached("DELETE FROM gone WHERE job = ?1")?.execute([key(job)])?;
    Ok(())
}

/// Jobs whose results were kept for an asset that is not there any more, or withdrawn.
pub(crate) fn unneeded(db: &rusqlite::Connection) -> Result<Vec<JobId>, Db> {
    let sql = "SELECT job FROM kept WHERE NOT EXISTS
        (SELECT 1 FROM asset WHERE asset.did = kept.did AND asset.withdrawn IS NULL) LIMIT 1000";
    ids(db, sql, params![])
}

/// A job's results are not needed by an asset any more: they go with the job, from now on.
pub(crate) fn unkeep(write: &mut Write<'_>, job: JobId, now: Timestamp) -> Result<(), Db> {
    write.db.prepare_cached("DELETE FROM kept WHERE job = ?1")?.execute([key(job)])?;
    let Some(before) = status(write.db, job)? else {
        write.db.prepare_cached("INSERT OR IGNORE INTO gone (job) VALUES (?1)")?.execute([key(job)])?;
        return Ok(());
    };
    let keep: Option<u64> = write
        .db
        .prepare_cached("SELECT keep_ms FROM job WHERE id = ?1")?
        .query_row([key(job)], |row| row.get(0))
        .optional()?;
    let expires = Timestamp::from_unix_ms(now.unix_ms().saturating_add(keep.unwrap_or_default()));
    let after = JobStatus { expires: Some(expires), revision: before.revision + 1, ..before.clone() };
    put(write, &before, &after)
}

fn ids(db: &rusqlite::Connection, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Vec<JobId>, Db> {
    let mut statement = db.prepare_cached(sql)?;
    let found = statement.query_map(parameters, |row| row.get::<_, [u8; 16]>(0).map(JobId::from_bytes))?;
    Ok(found.collect::<Result<_, _>>()?)
}
