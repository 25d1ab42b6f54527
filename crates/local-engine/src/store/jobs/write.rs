use super::{
    super::{
        DbError, Write, claims,
        forms::{CardForm, Documents, FileForm, SpecForm, StatusForm},
    },
    documents, kept, ms,
    read::status,
};
use crate::clock::now;
use cloister_lifecycle::{Deadlines, Waiting};
use cloister_model::{
    Account, Did, JobId, JobSpec, JobStatus, Phase, PhaseChange, Progress, Report, ResultFile, StoreWait, TimeLimits,
    Timestamp,
};
use rusqlite::params;
use std::time::Instant;

/// How a commit changed a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) job: JobId,
    /// None: it is new.
    pub(crate) before: Option<Phase>,
    /// None: it is gone.
    pub(crate) after: Option<Phase>,
    /// Whether a stop was requested.
    pub(crate) stop: bool,
    /// What the scheduler needs, for a new job.
    pub(crate) new: Option<Box<New>>,
    /// The step that it made, if its phase is another one now.
    pub(crate) step: Option<PhaseChange>,
}

/// A job that was just submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct New {
    pub(crate) waiting: Waiting,
    pub(crate) times: TimeLimits,
    status: JobStatus,
}

impl New {
    /// Its deadlines, counted from a moment at which it was just submitted.
    pub(crate) fn deadlines(&self, instant: Instant) -> Deadlines<Instant> {
        Deadlines::of(&self.status, &self.times, now(), instant)
    }
}

/// A new job as its rows hold it.
///
/// It is made by the caller, because encoding takes longer than storing, and every other caller waits for the one thread
/// that stores.
#[derive(Debug)]
pub(crate) struct NewJob {
    status: JobStatus,
    keep_ms: i64,
    status_text: String,
    spec_text: String,
    documents: Documents,
    card_text: String,
    scheduling: Box<New>,
}

impl NewJob {
    /// Whether a stored job was written from the same specification.
    pub(crate) fn is_stored(&self, db: &rusqlite::Connection) -> Result<bool, DbError> {
        let sql = "SELECT 1 FROM job JOIN spec USING (seq) WHERE id = ?1 AND spec = ?2";
        Ok(db.prepare_cached(sql)?.exists(params![self.status.id.as_bytes(), self.spec_text])?)
    }

    pub(crate) fn of(spec: &JobSpec) -> Result<Self, DbError> {
        let status = JobStatus::queued(spec.id, spec.labels.clone(), spec.created);
        let (form, documents) = SpecForm::of(spec);
        Ok(Self {
            keep_ms: i64::try_from(spec.times.keep_ms).unwrap_or(i64::MAX),
            status_text: serde_json::to_string(&StatusForm::from(&status))?,
            spec_text: serde_json::to_string(&form)?,
            documents,
            card_text: serde_json::to_string(&CardForm::from(&spec.card()))?,
            scheduling: Box::new(New { waiting: Waiting::of(spec), times: spec.times, status: status.clone() }),
            status,
        })
    }
}

/// Stores a new job.
pub(crate) fn insert(write: &mut Write<'_>, new: NewJob) -> Result<JobStatus, DbError> {
    let NewJob { status, keep_ms, status_text, spec_text, documents, card_text, scheduling } = new;
    let (id, created) = (status.id.as_bytes(), ms(status.created));
    write
        .db
        .prepare_cached("INSERT INTO job (id, created, phase, keep_ms, status) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![id, created, status.phase.code(), keep_ms, status_text])?;
    let seq = write.db.last_insert_rowid();
    write.db.prepare_cached("INSERT INTO spec (seq, spec) VALUES (?1, ?2)")?.execute(params![seq, spec_text])?;
    write.db.prepare_cached("INSERT INTO card (seq, card) VALUES (?1, ?2)")?.execute(params![seq, card_text])?;
    documents::put(write, seq, &documents)?;
    let mut label =
        write.db.prepare_cached("INSERT INTO label (name, value, created, id, seq) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for (name, value) in status.labels.iter() {
        label.execute(params![name, value, created, id, seq])?;
    }
    write.tally.moved(None, Some(status.phase));
    write.changes.push(Change {
        job: status.id,
        before: None,
        after: Some(status.phase),
        stop: false,
        new: Some(scheduling),
        step: Some(PhaseChange { before: None, after: status.phase, ms: 0, since_submission_ms: 0, fault: None }),
    });
    Ok(status)
}

/// Stores the status of a job after a transition: phases change here only. The end of a job gives up its claims.
pub(crate) fn put_status(write: &mut Write<'_>, before: &JobStatus, after: &JobStatus) -> Result<(), DbError> {
    if after.phase.has_ended() {
        let sql = "DELETE FROM outgoing WHERE seq = (SELECT seq FROM job WHERE id = ?1)";
        write.db.prepare_cached(sql)?.execute([after.id.as_bytes()])?;
        claims::give_up_all(write, after.id)?;
    }
    put(write, before, after)
}

/// Stores the release of an ended job's log.
pub(crate) fn put_log_release(write: &mut Write<'_>, before: &JobStatus, after: &JobStatus) -> Result<(), DbError> {
    put(write, before, after)
}

pub(super) fn put(write: &mut Write<'_>, before: &JobStatus, after: &JobStatus) -> Result<(), DbError> {
    write.db.prepare_cached("UPDATE job SET phase = ?2, expires = ?3, status = ?4 WHERE id = ?1")?.execute(params![
        after.id.as_bytes(),
        after.phase.code(),
        after.expires.map(ms),
        serde_json::to_string(&StatusForm::from(after))?
    ])?;
    write.tally.moved(Some(before.phase), Some(after.phase));
    write.changes.push(Change {
        job: after.id,
        before: Some(before.phase),
        after: Some(after.phase),
        stop: after.stop_requested.is_some(),
        new: None,
        step: (before.phase != after.phase).then(|| step(before, after)),
    });
    Ok(())
}

fn step(before: &JobStatus, after: &JobStatus) -> PhaseChange {
    let ms = |from: Timestamp| after.changed.unix_ms().saturating_sub(from.unix_ms());
    PhaseChange {
        before: Some(before.phase),
        after: after.phase,
        ms: ms(before.changed),
        since_submission_ms: ms(before.created),
        fault: after.reason.as_ref().map(cloister_model::Reason::fault),
    }
}

/// Stores a request to stop a job; none for a job that has ended or was asked to stop before.
pub(crate) fn ask_to_stop(
    write: &mut Write<'_>,
    before: &JobStatus,
    at: Timestamp,
) -> Result<Option<JobStatus>, DbError> {
    if before.phase.has_ended() || before.stop_requested.is_some() {
        return Ok(None);
    }
    let after = JobStatus { stop_requested: Some(at), revision: before.revision + 1, ..before.clone() };
    put(write, before, &after)?;
    Ok(Some(after))
}

/// Stores a request to store results at once that wait for the result store; none if an attempt is under way.
pub(crate) fn ask_to_publish(
    write: &mut Write<'_>,
    before: &JobStatus,
    at: Timestamp,
) -> Result<Option<JobStatus>, DbError> {
    let Some(wait) = before.store_wait.clone().filter(|wait| wait.next > at) else { return Ok(None) };
    let store_wait = Some(StoreWait { next: at, ..wait });
    let after = JobStatus { store_wait, revision: before.revision + 1, ..before.clone() };
    put(write, before, &after)?;
    Ok(Some(after))
}

/// Stores how far the fetching is, unless it is over.
pub(crate) fn progress(write: &mut Write<'_>, job: JobId, progress: Progress) -> Result<(), DbError> {
    let Some(before) = status(write.db, job)? else { return Ok(()) };
    if before.phase != Phase::Configuring || before.progress == Some(progress) {
        return Ok(());
    }
    let after = JobStatus { progress: Some(progress), revision: before.revision + 1, ..before.clone() };
    put(write, &before, &after)
}

pub(crate) fn put_report(write: &mut Write<'_>, job: JobId, report: &Report) -> Result<(), DbError> {
    let sql = "INSERT OR REPLACE INTO report (seq, report) SELECT seq, ?2 FROM job WHERE id = ?1";
    write.db.prepare_cached(sql)?.execute(params![job.as_bytes(), serde_json::to_string(report)?])?;
    Ok(())
}

fn text_of(files: &[ResultFile]) -> Result<String, DbError> {
    Ok(serde_json::to_string(&files.iter().map(FileForm::from).collect::<Vec<_>>())?)
}

pub(crate) fn put_outgoing(write: &mut Write<'_>, job: JobId, files: &[ResultFile]) -> Result<(), DbError> {
    let sql = "INSERT OR REPLACE INTO outgoing (seq, files) SELECT seq, ?2 FROM job WHERE id = ?1";
    write.db.prepare_cached(sql)?.execute(params![job.as_bytes(), text_of(files)?])?;
    Ok(())
}

/// Stores which files were released, and the asset that needs them.
pub(crate) fn put_results(
    write: &mut Write<'_>,
    job: JobId,
    files: &[ResultFile],
    kept_for: Option<&Did>,
) -> Result<(), DbError> {
    let sql = "INSERT OR REPLACE INTO result (seq, files) SELECT seq, ?2 FROM job WHERE id = ?1";
    write.db.prepare_cached(sql)?.execute(params![job.as_bytes(), text_of(files)?])?;
    if let Some(card) = super::read::card(write.db, job)? {
        let bytes = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
        let sql = "INSERT OR REPLACE INTO stored (seq, owner, bytes) SELECT seq, ?2, ?3 FROM job WHERE id = ?1";
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        write.db.prepare_cached(sql)?.execute(params![job.as_bytes(), card.record.owner.key(), bytes])?;
    }
    if let Some(did) = kept_for {
        kept::keep(write.db, job, did)?;
    }
    Ok(())
}

/// The bytes of the released results of an account's jobs, and of those that an asset needs although their job was removed.
pub(crate) fn result_bytes(db: &rusqlite::Connection, owner: &Account) -> Result<u64, DbError> {
    let sql = "SELECT coalesce(sum(bytes), 0) FROM stored WHERE owner = ?1";
    Ok(db.prepare_cached(sql)?.query_row([owner.key()], |row| row.get(0))?)
}

/// Removes an ended job; false if it has not ended. Its files are deleted afterwards: see [`gone`].
pub(crate) fn remove(write: &mut Write<'_>, job: JobId) -> Result<Option<bool>, DbError> {
    let Some(status) = status(write.db, job)? else { return Ok(None) };
    if !status.phase.has_ended() {
        return Ok(Some(false));
    }
    let (id, created) = (job.as_bytes(), ms(status.created));
    let seq: i64 = write.db.prepare_cached("SELECT seq FROM job WHERE id = ?1")?.query_row([id], |row| row.get(0))?;
    for sql in [
        "DELETE FROM job WHERE seq = ?1",
        "DELETE FROM spec WHERE seq = ?1",
        "DELETE FROM card WHERE seq = ?1",
        "DELETE FROM outgoing WHERE seq = ?1",
        "DELETE FROM result WHERE seq = ?1",
        "DELETE FROM report WHERE seq = ?1",
    ] {
        write.db.prepare_cached(sql)?.execute([seq])?;
    }
    if kept::is_kept(write.db, job)? {
        write.db.prepare_cached("UPDATE stored SET seq = ?2 WHERE seq = ?1")?.execute([seq, number_when_gone(job)])?;
    } else {
        write.db.prepare_cached("DELETE FROM stored WHERE seq = ?1")?.execute([seq])?;
    }
    documents::remove(write, seq)?;
    let mut label =
        write.db.prepare_cached("DELETE FROM label WHERE name = ?1 AND value = ?2 AND created = ?3 AND id = ?4")?;
    for (name, value) in status.labels.iter() {
        label.execute(params![name, value, created, id])?;
    }
    write.db.prepare_cached("INSERT OR IGNORE INTO gone (job) VALUES (?1)")?.execute([id])?;
    write.tally.moved(Some(status.phase), None);
    write.changes.push(Change { job, before: Some(status.phase), after: None, stop: false, new: None, step: None });
    Ok(Some(true))
}

/// The number under which the size of the results of a removed job counts while an asset needs them. Numbers of jobs begin at 1.
pub(super) fn number_when_gone(job: JobId) -> i64 {
    let first = job.as_bytes().iter().take(8).fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
    -(first & i64::MAX) - 1
}

/// Jobs that were kept for their time, and until when, at most so many after a place.
pub(crate) fn expired(
    db: &rusqlite::Connection,
    now: Timestamp,
    after: Option<(i64, JobId)>,
    at_most: u32,
) -> Result<Vec<(i64, JobId)>, DbError> {
    let sql = "SELECT expires, id FROM job WHERE expires IS NOT NULL AND expires <= ?1 AND (expires, id) > (?2, ?3)
        ORDER BY expires, id LIMIT ?4";
    let (expires, id) = after.map_or((i64::MIN, Vec::new()), |(expires, job)| (expires, job.as_bytes().to_vec()));
    let mut statement = db.prepare_cached(sql)?;
    let found = statement.query_map(params![ms(now), expires, id, at_most], |row| {
        Ok((row.get(0)?, JobId::from_bytes(row.get::<_, [u8; 16]>(1)?)))
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Removed jobs whose files are still to be deleted, at most so many after one.
pub(crate) fn gone(db: &rusqlite::Connection, after: Option<JobId>, at_most: u32) -> Result<Vec<JobId>, DbError> {
    ids(db, "SELECT job FROM gone WHERE job > ?1 ORDER BY job LIMIT ?2", params![bytes_of(after), at_most])
}

fn bytes_of(job: Option<JobId>) -> Vec<u8> {
    job.map(|job| job.as_bytes().to_vec()).unwrap_or_default()
}

pub(crate) fn forget_gone(write: &mut Write<'_>, job: JobId) -> Result<(), DbError> {
    write.db.prepare_cached("DELETE FROM gone WHERE job = ?1")?.execute([job.as_bytes()])?;
    Ok(())
}

fn ids(db: &rusqlite::Connection, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Vec<JobId>, DbError> {
    let mut statement = db.prepare_cached(sql)?;
    let found = statement.query_map(parameters, |row| row.get::<_, [u8; 16]>(0).map(JobId::from_bytes))?;
    Ok(found.collect::<Result<_, _>>()?)
}
