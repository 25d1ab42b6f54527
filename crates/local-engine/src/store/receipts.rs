//! The receipts of ended jobs. They outlive their jobs.

use super::{DbError, Write, forms::ReceiptForm};
use cloister_model::{JobId, StoredReceipt};
use rusqlite::{Connection, OptionalExtension as _, params};

/// Stores the receipt of a job, in the transaction that ends the job. A receipt that exists is not replaced: it is a fact.
#[cfg_attr(not(test), expect(dead_code, reason = "the step that ends a job does not make receipts yet"))]
pub(crate) fn put(write: &mut Write<'_>, job: JobId, receipt: &StoredReceipt) -> Result<(), DbError> {
    let sql = "INSERT INTO receipt (job, receipt) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    let text = serde_json::to_string(&ReceiptForm::from(receipt))?;
    write.db.prepare_cached(sql)?.execute(params![job.as_bytes(), text])?;
    Ok(())
}

pub(crate) fn get(db: &Connection, job: JobId) -> Result<Option<StoredReceipt>, DbError> {
    let sql = "SELECT receipt FROM receipt WHERE job = ?1";
    let text: Option<String> = db.prepare_cached(sql)?.query_row([job.as_bytes()], |row| row.get(0)).optional()?;
    Ok(text.map(|text| serde_json::from_str::<ReceiptForm>(&text)).transpose()?.map(StoredReceipt::from))
}
