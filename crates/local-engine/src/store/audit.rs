use super::{Db, Write};
use cloister_model::{AuditEvent, AuditRecord, Sha256};
use rusqlite::{Connection, OptionalExtension as _, params};

/// The last record's place and hash.
pub(super) fn head(db: &Connection) -> Result<Option<(u64, Sha256)>, Db> {
    let sql = "SELECT record FROM audit ORDER BY sequence DESC LIMIT 1";
    let text: Option<String> = db.prepare(sql)?.query_row([], |row| row.get(0)).optional()?;
    let record: Option<AuditRecord> = text.map(|text| serde_json::from_str(&text)).transpose()?;
    Ok(record.map(|record| (record.sequence, record.hash)))
}

/// Puts an event on record, chained to the one before it: in the one thread that writes, so that there is one order.
pub(crate) fn record(write: &mut Write<'_>, event: AuditEvent) -> Result<(), Db> {
    let record = AuditRecord::next(*write.audit_head, event);
    write
        .db
        .prepare_cached("INSERT INTO audit (sequence, record) VALUES (?1, ?2)")?
        .execute(params![i64::try_from(record.sequence).unwrap_or(i64::MAX), serde_json::to_string(&record)?])?;
    *write.audit_head = Some((record.sequence, record.hash));
    Ok(())
}

pub(crate) fn records(db: &Connection, after: u64, at_most: u32) -> Result<Vec<AuditRecord>, Db> {
    let sql = "SELECT record FROM audit WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params![i64::try_from(after).unwrap_or(i64::MAX), at_most])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(serde_json::from_str(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?);
    }
    Ok(found)
}
