//! Texts that jobs refer to: each stands once, whatever the number of jobs.

use super::super::{DbError, Write, forms::Documents};
use cloister_model::Sha256;
use rusqlite::{Connection, OptionalExtension as _, params};

/// Stores the texts of a new job. A text that is here already is not written again: many jobs name the same large ones, and
/// every caller waits for the one thread that writes.
pub(super) fn put(write: &mut Write<'_>, seq: i64, documents: &Documents) -> Result<(), DbError> {
    for (sha256, text) in documents.iter() {
        let known = write.db.prepare_cached("SELECT 1 FROM document WHERE sha256 = ?1")?.exists([sha256.as_bytes()])?;
        if !known {
            let sql = "INSERT INTO document (sha256, text) VALUES (?1, ?2)";
            write.db.prepare_cached(sql)?.execute(params![sha256.as_bytes(), text])?;
        }
        let sql = "INSERT INTO job_document (seq, sha256) VALUES (?1, ?2)";
        write.db.prepare_cached(sql)?.execute(params![seq, sha256.as_bytes()])?;
    }
    Ok(())
}

/// Removes the texts that only this job refers to.
pub(super) fn remove(write: &mut Write<'_>, seq: i64) -> Result<(), DbError> {
    let sql = "DELETE FROM document WHERE sha256 IN (SELECT sha256 FROM job_document WHERE seq = ?1) AND NOT EXISTS
        (SELECT 1 FROM job_document AS other WHERE other.sha256 = document.sha256 AND other.seq <> ?1)";
    write.db.prepare_cached(sql)?.execute([seq])?;
    write.db.prepare_cached("DELETE FROM job_document WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// The text of a digest.
pub(super) fn text(db: &Connection, sha256: Sha256) -> Result<String, DbError> {
    let mut statement = db.prepare_cached("SELECT text FROM document WHERE sha256 = ?1")?;
    let text: Option<String> = statement.query_row([sha256.as_bytes()], |row| row.get(0)).optional()?;
    text.ok_or_else(|| DbError::Damaged(format!("the text {sha256} of a job is missing")))
}
