//! What brings a database from each version to the next. A migration runs once, in the transaction that raises the version.

use super::{
    DbError, assets, claims,
    forms::{AssetForm, CardForm},
    jobs,
};
use cloister_model::{Account, Asset, Claim, JobId, Phase, Timestamp};
use rusqlite::{Connection, Transaction, params};
use serde_json::{Value, json};

/// What a migration does that needs more than statements.
type Conversion = fn(&Connection) -> Result<(), DbError>;

/// One step: statements, then a conversion of rows.
pub(super) struct Migration {
    pub(super) sql: &'static str,
    conversion: Option<Conversion>,
}

/// The version of a database is the number of migrations that it has had.
pub(super) const MIGRATIONS: [Migration; 6] = [
    Migration { sql: include_str!("version1.sql"), conversion: None },
    Migration { sql: include_str!("version2.sql"), conversion: Some(version2) },
    Migration { sql: include_str!("version3.sql"), conversion: Some(version3) },
    Migration { sql: include_str!("version4.sql"), conversion: Some(version4) },
    Migration { sql: include_str!("version5.sql"), conversion: None },
    Migration { sql: include_str!("version6.sql"), conversion: Some(version6) },
];

/// The label under which version 1 kept the agreement of a job.
const AGREEMENT: &str = "agreement";

/// The label under which version 1 kept the Ocean Provider that started a job.
const PROVIDER: &str = "provider";

/// The tables that a database of a version has at least.
pub(super) fn tables(version: usize) -> Vec<&'static str> {
    let mut tables =
        vec!["job", "spec", "label", "outgoing", "result", "report", "kept", "gone", "asset", "key", "upload", "audit"];
    match version {
        0 => tables.clear(),
        1 => tables.push("nonce"),
        2 => tables.extend(["card", "claim", "receipt"]),
        3 => tables.extend(["card", "claim", "receipt", "document", "job_document"]),
        _ => tables.extend(["card", "claim", "receipt", "document", "job_document", "stored", "archived"]),
    }
    tables
}

/// Brings a database of a version up to date.
pub(super) fn migrate(transaction: &Transaction<'_>, version: usize) -> Result<(), DbError> {
    for Migration { sql, conversion } in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(sql)?;
        if let Some(convert) = conversion {
            convert(transaction)?;
        }
    }
    if version < MIGRATIONS.len() {
        transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    }
    Ok(())
}

/// Cards and claims, which version 1 did not have, from what it had.
///
/// It reads the JSON of version 1 rather than the present forms, so that it stays the same when those change, and so that a
/// job with something that this version cannot carry out still has its card.
fn version2(db: &Connection) -> Result<(), DbError> {
    each_row(db, "SELECT owner, kind, name FROM asset", |row| {
        let (owner, kind, name): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (Ok(owner), Some(kind)) = (owner.parse(), assets::kind_of(kind)) else {
            return Err(DbError::Damaged("an asset has no owner or no kind".to_owned()));
        };
        claim(db, &Claim::asset_name(&owner, kind, &name), None)
    })?;
    each_row(db, "SELECT seq, id, phase, spec FROM job JOIN spec USING (seq) ORDER BY seq", |row| {
        let (seq, id, code): (i64, [u8; 16], u16) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let id = JobId::from_bytes(id);
        let spec: Result<Value, _> = serde_json::from_str(&row.get::<_, String>(3)?);
        let unfinished = Phase::from_code(code).is_none_or(|phase| !phase.has_ended());
        match spec.and_then(|spec| Ok((card(&spec)?, spec))) {
            Ok((card, spec)) => {
                let sql = "INSERT INTO card (seq, card) VALUES (?1, ?2)";
                db.prepare_cached(sql)?.execute(params![seq, serde_json::to_string(&card)?])?;
                if unfinished { claims_of(db, id, &spec) } else { Ok(()) }
            }
            // One row that cannot be read does not keep the others from the next version.
            Err(error) => {
                tracing::error!(job = %id, %error, "a job cannot be read; restore it from a backup if it is needed");
                Ok(())
            }
        }
    })?;
    each_row(db, "SELECT account, nonce, until FROM nonce", |row| {
        let (account, nonce, until): (String, String, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let Ok(account) = account.parse::<Account>() else { return Ok(()) };
        claim(db, &Claim::nonce(&account, &nonce, Timestamp::from_unix_ms(until)), None)
    })?;
    db.execute_batch("DROP TABLE nonce")?;
    Ok(())
}

/// The summaries of assets. Specifications of jobs keep the texts that they hold.
fn version3(db: &Connection) -> Result<(), DbError> {
    each_row(db, "SELECT did, asset FROM asset", |row| {
        let (did, text): (String, String) = (row.get(0)?, row.get(1)?);
        match serde_json::from_str::<AssetForm>(&text) {
            Ok(asset) => {
                let summary = assets::summary_text(&Asset::from(asset))?;
                db.prepare_cached("UPDATE asset SET summary = ?2 WHERE did = ?1")?.execute(params![did, summary])?;
            }
            Err(error) => {
                tracing::error!(did, %error, "an asset cannot be read; restore it from a backup if it is needed");
            }
        }
        Ok(())
    })
}

/// What the results of each owner take, and when uploads were sent. What cannot be read counts as nothing.
fn version4(db: &Connection) -> Result<(), DbError> {
    each_row(db, "SELECT seq, card, files FROM card JOIN result USING (seq)", |row| {
        let (seq, card, files): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (card, files): (Value, Value) =
            (serde_json::from_str(&card).unwrap_or_default(), serde_json::from_str(&files).unwrap_or_default());
        let Some(owner) = card["record"]["owner"].as_str().and_then(|owner| owner.parse::<Account>().ok()) else {
            return Ok(());
        };
        let sizes = files.as_array().into_iter().flatten().filter_map(|file| file["bytes"].as_u64());
        let bytes = i64::try_from(sizes.fold(0, u64::saturating_add)).unwrap_or(i64::MAX);
        let sql = "INSERT INTO stored (seq, owner, bytes) VALUES (?1, ?2, ?3)";
        db.prepare_cached(sql)?.execute(params![seq, owner.key(), bytes])?;
        Ok(())
    })?;
    each_row(db, "SELECT owner, sha256, upload FROM upload", |row| {
        let (owner, sha256, text): (String, Vec<u8>, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let upload: Value = serde_json::from_str(&text).unwrap_or_default();
        let created = upload["created"].as_i64().unwrap_or_default();
        let sql = "UPDATE upload SET created = ?3 WHERE owner = ?1 AND sha256 = ?2";
        db.prepare_cached(sql)?.execute(params![owner, sha256, created])?;
        Ok(())
    })
}

/// The datasets that were published with results of jobs, which are kept for them from now on as far as they are there.
fn version6(db: &Connection) -> Result<(), DbError> {
    each_row(db, "SELECT asset FROM asset WHERE withdrawn IS NULL", |row| {
        // No job can use one that cannot be read.
        let Ok(form) = serde_json::from_str::<AssetForm>(&row.get::<_, String>(0)?) else { return Ok(()) };
        let asset = Asset::from(form);
        for job in asset.ddo.result_jobs() {
            jobs::keep(db, job, asset.ddo.id())?;
        }
        Ok(())
    })
}

fn card(spec: &Value) -> Result<CardForm, serde_json::Error> {
    let inputs: Vec<&Value> = spec["inputs"].as_array().into_iter().flatten().map(|input| &input["did"]).collect();
    serde_json::from_value(json!({
        "id": spec["id"], "created": spec["created"], "record": spec["record"], "terms": spec["terms"], "inputs": inputs,
    }))
}

/// What an unfinished job holds from now on: its agreement, and the name that it will register.
fn claims_of(db: &Connection, job: JobId, spec: &Value) -> Result<(), DbError> {
    if let Some(agreement) = spec["labels"][AGREEMENT].as_str() {
        let provider = spec["labels"][PROVIDER].as_str().and_then(|provider| provider.parse().ok());
        claim(db, &Claim::agreement_of(provider.as_ref(), agreement), Some(job))?;
    }
    // A job whose asset cannot be read cannot be continued either.
    match serde_json::from_value::<Option<AssetForm>>(spec["delivery"]["register"].clone()) {
        Ok(Some(asset)) => claim(db, &assets::name_claim(&Asset::from(asset)), Some(job)),
        Ok(None) | Err(_) => Ok(()),
    }
}

/// A claim for what version 1 let in. It checked less, so two may have wanted the same: the first one has it.
fn claim(db: &Connection, claim: &Claim, job: Option<JobId>) -> Result<(), DbError> {
    let (kind, key) = (claims::number(claim.kind()), claim.key());
    let until = claim.until().map(|at| i64::try_from(at.unix_ms()).unwrap_or(i64::MAX));
    let sql = "INSERT INTO claim (kind, key, job, until) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    let job = job.as_ref().map(JobId::as_bytes);
    db.prepare_cached(sql)?.execute(params![kind, key.as_bytes(), job, until])?;
    Ok(())
}

fn each_row(
    db: &Connection,
    sql: &str,
    mut each: impl FnMut(&rusqlite::Row<'_>) -> Result<(), DbError>,
) -> Result<(), DbError> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(row)?;
    }
    Ok(())
}
