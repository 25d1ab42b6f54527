use super::{DbError, Fail, Write, forms::UploadForm};
use cloister_model::{
    Account, Quota, QuotaExceeded, Sha256, StoreError, StrangerLimit, Timestamp, Upload, UploadLimits, UploadQuery,
};
use rusqlite::{Connection, OptionalExtension as _, params};

/// Stores an upload, unless the limits do not permit it. One that its owner sent before counts as sent now.
pub(crate) fn put(write: &mut Write<'_>, upload: &Upload, limits: &UploadLimits) -> Result<Upload, Fail<StoreError>> {
    let owner = upload.owner.key();
    if get(write.db, &upload.file.sha256, &upload.owner)?.is_none() {
        let UploadLimits { account, strangers } = limits;
        let size = upload.file.bytes;
        refuse_if_over(Quota::UploadBytes, *account, bytes(write.db, &upload.owner)?, size)?;
        if let Some(limit) = strangers {
            let size = size.max(StrangerLimit::LEAST_FILE);
            refuse_if_over(Quota::StrangerUploadBytes, limit.bytes, bytes_of_strangers(write.db, limit)?, size)?;
        }
    }
    let size = i64::try_from(upload.file.bytes).unwrap_or(i64::MAX);
    let sql = "INSERT INTO upload (owner, sha256, bytes, created, upload) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (owner, sha256) DO UPDATE SET created = ?4, upload = ?5";
    write.db.prepare_cached(sql)?.execute(params![
        owner,
        upload.file.sha256.as_bytes(),
        size,
        ms(upload.created),
        serde_json::to_string(&UploadForm::from(upload))?
    ])?;
    Ok(upload.clone())
}

fn refuse_if_over(quota: Quota, limit: u64, used: u64, size: u64) -> Result<(), Fail<StoreError>> {
    match used.saturating_add(size) > limit {
        true => Err(Fail::Rejected(QuotaExceeded { quota, limit, used }.into())),
        false => Ok(()),
    }
}

/// The bytes of the uploads of all strangers. An Ethereum account is its address: `0x` and 40 digits.
fn bytes_of_strangers(db: &Connection, limit: &StrangerLimit) -> Result<u64, DbError> {
    let sql = "SELECT owner, sum(max(bytes, ?1)) FROM upload
        WHERE owner >= '0x' AND owner < '0y' AND length(owner) = 42 GROUP BY owner";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([i64::try_from(StrangerLimit::LEAST_FILE).unwrap_or(i64::MAX)])?;
    let mut sum = 0_u64;
    while let Some(row) = rows.next()? {
        if !limit.known.contains(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?) {
            sum = sum.saturating_add(row.get(1)?);
        }
    }
    Ok(sum)
}

fn ms(at: Timestamp) -> i64 {
    i64::try_from(at.unix_ms()).unwrap_or(i64::MAX)
}

fn parse(text: &str) -> Result<Upload, DbError> {
    Ok(serde_json::from_str::<UploadForm>(text)?.into())
}

pub(crate) fn get(db: &Connection, sha256: &Sha256, owner: &Account) -> Result<Option<Upload>, DbError> {
    let sql = "SELECT upload FROM upload WHERE owner = ?1 AND sha256 = ?2";
    let found = db.prepare_cached(sql)?.query_row(params![owner.key(), sha256.as_bytes()], |row| row.get(0));
    let text: Option<String> = found.optional()?;
    text.as_deref().map(parse).transpose()
}

/// Whether any account sent that file.
pub(crate) fn exists(db: &Connection, sha256: &Sha256) -> Result<bool, DbError> {
    Ok(db.prepare_cached("SELECT 1 FROM upload WHERE sha256 = ?1")?.exists([sha256.as_bytes()])?)
}

/// The bytes of all uploads of an account.
pub(crate) fn bytes(db: &Connection, owner: &Account) -> Result<u64, DbError> {
    let sql = "SELECT coalesce(sum(bytes), 0) FROM upload WHERE owner = ?1";
    Ok(db.prepare_cached(sql)?.query_row([owner.key()], |row| row.get(0))?)
}

/// Uploads, sorted by owner and digest.
pub(crate) fn list(db: &Connection, query: &UploadQuery) -> Result<Vec<Upload>, DbError> {
    let UploadQuery { owner, sent_before, after, at_most } = query;
    let owned = if owner.is_some() { "AND owner = ?5" } else { "" };
    let sql = format!(
        "SELECT upload FROM upload WHERE (owner, sha256) > (?1, ?2) AND created < ?3 {owned} ORDER BY owner, sha256 LIMIT ?4"
    );
    let (after_owner, after_file) = match after {
        Some((owner, sha256)) => (owner.key(), sha256.as_bytes().as_slice()),
        None => ("", [].as_slice()),
    };
    let before = sent_before.map_or(i64::MAX, ms);
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = match owner {
        Some(owner) => statement.query(params![after_owner, after_file, before, at_most, owner.key()])?,
        None => statement.query(params![after_owner, after_file, before, at_most])?,
    };
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(parse(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?);
    }
    Ok(found)
}

/// Deletes an account's upload; false if there is none, or it was sent since `sent_before`.
pub(crate) fn remove(
    write: &mut Write<'_>,
    sha256: &Sha256,
    owner: &Account,
    sent_before: Option<Timestamp>,
) -> Result<bool, DbError> {
    let sql = "DELETE FROM upload WHERE owner = ?1 AND sha256 = ?2 AND created < ?3";
    let before = sent_before.map_or(i64::MAX, ms);
    Ok(write.db.prepare_cached(sql)?.execute(params![owner.key(), sha256.as_bytes(), before])? > 0)
}
