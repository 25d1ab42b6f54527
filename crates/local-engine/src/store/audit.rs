use super::{DatabaseError, DbError, Fail, Write, schema};
use cloister_model::{Archived, AuditEvent, AuditRecord, Sha256, StoreError};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use std::path::Path;

/// Records that are read at a time.
const PAGE: u32 = 1000;

/// The sequence number and the hash of the last record.
pub(super) fn head(db: &Connection) -> Result<Option<(u64, Sha256)>, DbError> {
    let sql = "SELECT record FROM audit ORDER BY sequence DESC LIMIT 1";
    let text: Option<String> = db.prepare(sql)?.query_row([], |row| row.get(0)).optional()?;
    let record: Option<AuditRecord> = text.map(|text| serde_json::from_str(&text)).transpose()?;
    Ok(record.map(|record| (record.sequence, record.hash)))
}

/// Records an event, chained to the record before it. A record is stored letter for letter, because its hash covers the
/// letters.
pub(crate) fn record(write: &mut Write<'_>, event: AuditEvent) -> Result<(), DbError> {
    let record = AuditRecord::next(*write.audit_head, event);
    write
        .db
        .prepare_cached("INSERT INTO audit (sequence, record) VALUES (?1, ?2)")?
        .execute(params![i64::try_from(record.sequence).unwrap_or(i64::MAX), serde_json::to_string(&record)?])?;
    *write.audit_head = Some((record.sequence, record.hash));
    Ok(())
}

/// The record of a place.
pub(super) fn one(db: &Connection, sequence: u64) -> Result<Option<AuditRecord>, DbError> {
    let sql = "SELECT record FROM audit WHERE sequence = ?1";
    let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
    let text: Option<String> = db.prepare(sql)?.query_row([sequence], |row| row.get(0)).optional()?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// Puts on record that the records up to a place were archived, and takes them out.
pub(crate) fn archive(write: &mut Write<'_>, archived: Archived, event: AuditEvent) -> Result<(), Fail<StoreError>> {
    let Archived { through, hash } = archived;
    if one(write.db, through)?.is_none_or(|found| found.hash != hash) {
        return Err(Fail::Rejected(StoreError::Missing));
    }
    record(write, event)?;
    let through = i64::try_from(through).unwrap_or(i64::MAX);
    write.db.prepare_cached("UPDATE archived SET through = max(through, ?1)")?.execute([through])?;
    write.db.prepare_cached("DELETE FROM audit WHERE sequence <= ?1")?.execute([through])?;
    Ok(())
}

/// Up to which record the log is archived; 0: it is whole.
pub(super) fn archived_through(db: &Connection) -> Result<u64, DbError> {
    Ok(db.query_row("SELECT max(through) FROM archived", [], |row| row.get(0))?)
}

pub(crate) fn records(db: &Connection, after: u64, at_most: u32) -> Result<Vec<AuditRecord>, DbError> {
    let sql = "SELECT record FROM audit WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![i64::try_from(after).unwrap_or(i64::MAX), at_most])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(serde_json::from_str(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?);
    }
    Ok(found)
}

/// Reads the audit log from the database in a service's folder, whether the service runs or not. Calls `each` with every
/// record in order, until it returns false.
///
/// # Errors
/// If the folder has no database of ours, or it is damaged.
pub fn read_audit(home: &Path, each: &mut dyn FnMut(AuditRecord) -> bool) -> Result<(), DatabaseError> {
    let path = home.join(crate::home::DATABASE);
    schema::check(&path)?;
    let mut read = || -> Result<(), DbError> {
        let db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.busy_timeout(schema::PATIENCE)?;
        let mut after = 0;
        loop {
            let page = records(&db, after, PAGE)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.sequence;
            for record in page {
                if !each(record) {
                    return Ok(());
                }
            }
        }
    };
    read().map_err(|error| DatabaseError::new(&path, error))
}
