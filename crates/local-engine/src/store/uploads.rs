use super::{DbError, Fail, Write, forms::UploadForm};
use cloister_model::{Account, Sha256, StoreError, Upload};
use rusqlite::{Connection, OptionalExtension as _, params};

/// Stores an upload, unless its owner sent that file before, or has used up the bytes of one account.
pub(crate) fn put(write: &mut Write<'_>, upload: &Upload, most_bytes: u64) -> Result<Upload, Fail<StoreError>> {
    if let Some(before) = get(write.db, &upload.file.sha256, &upload.owner)? {
        return Ok(before);
    }
    let owner = upload.owner.key();
    let sql = "SELECT coalesce(sum(bytes), 0) FROM upload WHERE owner = ?1";
    let used: u64 = write.db.prepare_cached(sql)?.query_row([owner], |row| row.get(0))?;
    if used.saturating_add(upload.file.bytes) > most_bytes {
        let text = format!("one account may upload {most_bytes} bytes, and {used} are used");
        return Err(Fail::Rejected(StoreError::Full(text)));
    }
    let bytes = i64::try_from(upload.file.bytes).unwrap_or(i64::MAX);
    write.db.prepare_cached("INSERT INTO upload (owner, sha256, bytes, upload) VALUES (?1, ?2, ?3, ?4)")?.execute(
        params![owner, upload.file.sha256.as_bytes(), bytes, serde_json::to_string(&UploadForm::from(upload))?],
    )?;
    Ok(upload.clone())
}

pub(crate) fn get(db: &Connection, sha256: &Sha256, owner: &Account) -> Result<Option<Upload>, DbError> {
    let sql = "SELECT upload FROM upload WHERE owner = ?1 AND sha256 = ?2";
    let found = db.prepare_cached(sql)?.query_row(params![owner.key(), sha256.as_bytes()], |row| row.get(0));
    let text: Option<String> = found.optional()?;
    Ok(text.map(|text| serde_json::from_str::<UploadForm>(&text)).transpose()?.map(Upload::from))
}

/// Whether any account sent that file.
pub(crate) fn exists(db: &Connection, sha256: &Sha256) -> Result<bool, DbError> {
    Ok(db.prepare_cached("SELECT 1 FROM upload WHERE sha256 = ?1")?.exists([sha256.as_bytes()])?)
}
