use super::{super::Db, key, ms};
use crate::store::Tally;
use cloister_model::{Did, JobId, JobSpec, JobStatus, Phase, Report, ResultFile, ResultKind, Sha256, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A file that filtering let pass, until it is stored for the consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Outgoing {
    pub(crate) name: String,
    pub(crate) kind: ResultKind,
    pub(crate) bytes: u64,
    pub(crate) sha256: Sha256,
}

/// How a job is doing. Asked for on every request: one row by its key.
pub(crate) fn status(db: &Connection, job: JobId) -> Result<Option<JobStatus>, Db> {
    let mut statement = db.prepare_cached("SELECT status FROM job WHERE id = ?1")?;
    let mut rows = statement.query([key(job)])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(serde_json::from_str(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?))
}

/// A document of a job; the outer none: no such job.
fn document<T: DeserializeOwned>(db: &Connection, job: JobId, sql: &str) -> Result<Option<Option<T>>, Db> {
    let text: Option<Option<String>> = db.prepare_cached(sql)?.query_row([key(job)], |row| row.get(0)).optional()?;
    let Some(text) = text else { return Ok(None) };
    Ok(Some(text.map(|text| serde_json::from_str(&text)).transpose()?))
}

pub(crate) fn spec(db: &Connection, job: JobId) -> Result<Option<JobSpec>, Db> {
    let sql = "SELECT spec FROM job LEFT JOIN spec USING (seq) WHERE id = ?1";
    Ok(document(db, job, sql)?.flatten())
}

pub(crate) fn report(db: &Connection, job: JobId) -> Result<Option<Option<Report>>, Db> {
    document(db, job, "SELECT report FROM job LEFT JOIN report USING (seq) WHERE id = ?1")
}

pub(crate) fn results(db: &Connection, job: JobId) -> Result<Option<Vec<ResultFile>>, Db> {
    let sql = "SELECT files FROM job LEFT JOIN result USING (seq) WHERE id = ?1";
    Ok(document(db, job, sql)?.map(Option::unwrap_or_default))
}

pub(crate) fn outgoing(db: &Connection, job: JobId) -> Result<Option<Option<Vec<Outgoing>>>, Db> {
    document(db, job, "SELECT files FROM job LEFT JOIN outgoing USING (seq) WHERE id = ?1")
}

/// Every job that has not ended, in the order of submission.
pub(crate) fn unended(db: &Connection) -> Result<Vec<JobStatus>, Db> {
    let phases: Vec<String> =
        Phase::ALL.iter().filter(|phase| !phase.has_ended()).map(|phase| phase.code().to_string()).collect();
    let sql = format!("SELECT status FROM job WHERE phase IN ({}) ORDER BY seq", phases.join(","));
    let mut statement = db.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(serde_json::from_str(&row.get::<_, String>(0)?)?);
    }
    Ok(found)
}

/// How many jobs are in each phase: once, when the program starts.
pub(crate) fn tally(db: &Connection) -> Result<Tally, Db> {
    let mut tally = Tally::default();
    let mut statement = db.prepare("SELECT phase, count(*) FROM job GROUP BY phase")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (code, jobs): (u16, u64) = (row.get(0)?, row.get(1)?);
        let phase = Phase::from_code(code).ok_or_else(|| Db::Damaged(format!("a job in an unknown phase {code}")))?;
        tally.add(phase, jobs);
    }
    Ok(tally)
}

/// When the next job goes.
pub(crate) fn next_expiry(db: &Connection) -> Result<Option<Timestamp>, Db> {
    let sql = "SELECT min(expires) FROM job WHERE expires IS NOT NULL";
    let next: Option<u64> = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(next.map(Timestamp::from_unix_ms))
}

/// The asset that needs a job's results.
pub(crate) fn kept_job(db: &Connection, job: JobId) -> Result<Option<Did>, Db> {
    let mut statement = db.prepare_cached("SELECT did FROM kept WHERE job = ?1")?;
    let did: Option<String> = statement.query_row([key(job)], |row| row.get(0)).optional()?;
    did.map(|did| did.parse().map_err(|error| Db::Damaged(format!("a DID: {error}")))).transpose()
}

/// Whether something is left of a removed job of this name: files that are still to go, or results that an asset needs.
pub(crate) fn lingers(db: &Connection, job: JobId) -> Result<bool, Db> {
    let sql = "SELECT 1 FROM gone WHERE job = ?1 UNION ALL SELECT 1 FROM kept WHERE job = ?1";
    Ok(db.prepare_cached(sql)?.exists([key(job)])?)
}

/// Jobs of a page that starts after a place: rows of an index, newest first.
pub(super) fn page(
    db: &Connection,
    sql: &str,
    parameters: &[(&str, &dyn rusqlite::ToSql)],
    mut take: impl FnMut(JobStatus) -> bool,
) -> Result<(), Db> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        let text = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if !take(serde_json::from_str(text)?) {
            break;
        }
    }
    Ok(())
}

/// The place of a cursor; after the newest of all if there is none.
pub(super) fn place(after: Option<cloister_model::JobCursor>) -> (i64, [u8; 16]) {
    after.map_or((i64::MAX, [0xff; 16]), |cursor| (ms(cursor.created), key(cursor.job)))
}
