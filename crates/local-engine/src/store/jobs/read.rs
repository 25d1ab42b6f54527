use super::{
    super::{
        DbError,
        forms::{CardForm, FileForm, SpecForm, StatusForm},
    },
    documents, ms,
};
use crate::store::Tally;
use cloister_model::{JobCard, JobId, JobSpec, JobStatus, Phase, Report, ResultFile, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};
use serde::de::DeserializeOwned;

/// A status as it stands in a row.
fn parse(text: &str) -> Result<JobStatus, DbError> {
    Ok(serde_json::from_str::<StatusForm>(text)?.into())
}

/// The status of a job. Asked for on every request: one row by its key.
pub(crate) fn status(db: &Connection, job: JobId) -> Result<Option<JobStatus>, DbError> {
    let mut statement = db.prepare_cached("SELECT status FROM job WHERE id = ?1")?;
    let mut rows = statement.query([job.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    parse(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?).map(Some)
}

/// A document of a job; the outer none: no such job.
fn document<T: DeserializeOwned>(db: &Connection, job: JobId, sql: &str) -> Result<Option<Option<T>>, DbError> {
    let text: Option<Option<String>> =
        db.prepare_cached(sql)?.query_row([job.as_bytes()], |row| row.get(0)).optional()?;
    let Some(text) = text else { return Ok(None) };
    Ok(Some(text.map(|text| serde_json::from_str(&text)).transpose()?))
}

/// A job as it was submitted, with every text that it refers to.
pub(crate) fn spec(db: &Connection, job: JobId) -> Result<Option<JobSpec>, DbError> {
    let form = spec_form(db, job)?;
    form.map(|form| form.with_documents(&mut |sha256| documents::text(db, sha256))).transpose()
}

/// The same without the texts that it refers to, which may have megabytes: what decisions and records need.
pub(crate) fn spec_without_documents(db: &Connection, job: JobId) -> Result<Option<JobSpec>, DbError> {
    spec_form(db, job)?.map(SpecForm::without_documents).transpose()
}

fn spec_form(db: &Connection, job: JobId) -> Result<Option<SpecForm>, DbError> {
    Ok(document(db, job, "SELECT spec FROM job LEFT JOIN spec USING (seq) WHERE id = ?1")?.flatten())
}

/// The part of a job that answers about it need: a small row of its own, without secrets.
pub(crate) fn card(db: &Connection, job: JobId) -> Result<Option<JobCard>, DbError> {
    let sql = "SELECT card FROM job LEFT JOIN card USING (seq) WHERE id = ?1";
    match document::<CardForm>(db, job, sql)? {
        None => Ok(None),
        Some(Some(card)) => Ok(Some(card.into())),
        Some(None) => Err(DbError::Damaged(format!("job {job} has no card"))),
    }
}

pub(crate) fn report(db: &Connection, job: JobId) -> Result<Option<Option<Report>>, DbError> {
    document(db, job, "SELECT report FROM job LEFT JOIN report USING (seq) WHERE id = ?1")
}

pub(crate) fn results(db: &Connection, job: JobId) -> Result<Option<Vec<ResultFile>>, DbError> {
    let sql = "SELECT files FROM job LEFT JOIN result USING (seq) WHERE id = ?1";
    Ok(document(db, job, sql)?.map(|found| files(found.unwrap_or_default())))
}

/// The files that may leave and are not stored for the consumer yet; the inner none: the outputs were not checked yet.
pub(crate) fn outgoing(db: &Connection, job: JobId) -> Result<Option<Option<Vec<ResultFile>>>, DbError> {
    let sql = "SELECT files FROM job LEFT JOIN outgoing USING (seq) WHERE id = ?1";
    Ok(document(db, job, sql)?.map(|found| found.map(files)))
}

fn files(forms: Vec<FileForm>) -> Vec<ResultFile> {
    forms.into_iter().map(ResultFile::from).collect()
}

/// Every job that has not ended, in the order of submission. None for one whose row is damaged.
pub(crate) fn unended(db: &Connection) -> Result<Vec<(JobId, Option<JobStatus>)>, DbError> {
    let phases: Vec<String> =
        Phase::ALL.iter().filter(|phase| !phase.has_ended()).map(|phase| phase.code().to_string()).collect();
    let sql = format!("SELECT id, status FROM job WHERE phase IN ({}) ORDER BY seq", phases.join(","));
    let mut statement = db.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id = JobId::from_bytes(row.get(0)?);
        match parse(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?) {
            Ok(status) => found.push((id, Some(status))),
            Err(DbError::Damaged(_)) => found.push((id, None)),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// How many jobs are in each phase: once, when the program starts.
pub(crate) fn tally(db: &Connection) -> Result<Tally, DbError> {
    let mut tally = Tally::default();
    let mut statement = db.prepare("SELECT phase, count(*) FROM job GROUP BY phase")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (code, jobs): (u16, u64) = (row.get(0)?, row.get(1)?);
        let phase =
            Phase::from_code(code).ok_or_else(|| DbError::Damaged(format!("a job in an unknown phase {code}")))?;
        tally.add(phase, jobs);
    }
    Ok(tally)
}

/// When the next job goes after this moment.
pub(crate) fn next_expiry(db: &Connection, after: Timestamp) -> Result<Option<Timestamp>, DbError> {
    let sql = "SELECT min(expires) FROM job WHERE expires > ?1";
    let next: Option<u64> = db.prepare_cached(sql)?.query_row([ms(after)], |row| row.get(0))?;
    Ok(next.map(Timestamp::from_unix_ms))
}

/// Whether something is left of a removed job with this id: files that are still to be deleted, results that an asset needs,
/// or its receipt.
pub(crate) fn lingers(db: &Connection, job: JobId) -> Result<bool, DbError> {
    let sql = "SELECT 1 FROM gone WHERE job = ?1 UNION ALL SELECT 1 FROM kept WHERE job = ?1
        UNION ALL SELECT 1 FROM receipt WHERE job = ?1";
    Ok(db.prepare_cached(sql)?.exists([job.as_bytes()])?)
}

/// Jobs of a page that starts after a place: rows of an index, newest first.
pub(super) fn page(
    db: &Connection,
    sql: &str,
    parameters: &[(&str, &dyn rusqlite::ToSql)],
    mut take: impl FnMut(JobStatus) -> bool,
) -> Result<(), DbError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        if !take(parse(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?) {
            break;
        }
    }
    Ok(())
}

/// The place of a cursor; after the newest of all if there is none.
pub(super) fn place(after: Option<cloister_model::JobCursor>) -> (i64, [u8; 16]) {
    after.map_or((i64::MAX, [0xff; 16]), |cursor| (ms(cursor.created), *cursor.job.as_bytes()))
}
