//! What brings a database from each version to the next. A migration runs once, in the transaction that raises the version.

use super::{
    DbError, assets, claims,
    forms::{AssetForm, SpecForm, StatusForm},
    jobs,
};
use cloister_model::{Account, Asset, Claim, JobSpec, JobStatus, Timestamp};
use rusqlite::{Connection, Transaction, params};

/// What a migration does that needs more than statements.
type Conversion = fn(&Connection) -> Result<(), DbError>;

/// One step: statements, then a conversion of rows.
pub(super) struct Migration {
    pub(super) sql: &'static str,
    conversion: Option<Conversion>,
}

/// The version of a database is the number of migrations that it has had.
pub(super) const MIGRATIONS: [Migration; 2] = [
    Migration { sql: include_str!("version1.sql"), conversion: None },
    Migration { sql: include_str!("version2.sql"), conversion: Some(version2) },
];

/// The label under which version 1 kept the agreement of a job.
const AGREEMENT: &str = "agreement";

/// The tables that a database of a version has at least.
pub(super) fn tables(version: usize) -> Vec<&'static str> {
    let mut tables =
        vec!["job", "spec", "label", "outgoing", "result", "report", "kept", "gone", "asset", "key", "upload", "audit"];
    match version {
        0 => tables.clear(),
        1 => tables.push("nonce"),
        _ => tables.extend(["card", "claim", "receipt"]),
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
fn version2(db: &Connection) -> Result<(), DbError> {
    each(db, "SELECT asset FROM asset", |text: String| {
        let asset = Asset::from(serde_json::from_str::<AssetForm>(&text)?);
        claim(db, &assets::name_claim(&asset), None)
    })?;
    each(db, "SELECT seq FROM job ORDER BY seq", |seq: i64| {
        let sql = "SELECT status, spec FROM job JOIN spec USING (seq) WHERE seq = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (status, spec): (String, String) = db.prepare_cached(sql)?.query_row([seq], read)?;
        let status = JobStatus::from(serde_json::from_str::<StatusForm>(&status)?);
        // One row that cannot be read does not keep the others from the next version.
        match serde_json::from_str::<SpecForm>(&spec) {
            Ok(spec) => job(db, seq, &status, &spec.into()),
            Err(error) => {
                tracing::error!(job = %status.id, %error, "a job cannot be read; restore it from a backup if it is needed");
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

fn job(db: &Connection, seq: i64, status: &JobStatus, spec: &JobSpec) -> Result<(), DbError> {
    jobs::put_card(db, seq, &spec.card())?;
    if status.phase.has_ended() {
        return Ok(());
    }
    if let Some(asset) = &spec.delivery.register {
        claim(db, &assets::name_claim(asset), Some(spec))?;
    }
    if let Some(agreement) = spec.labels.get(AGREEMENT) {
        claim(db, &Claim::agreement(agreement), Some(spec))?;
    }
    Ok(())
}

/// Claims for what version 1 let in. It checked less, so some may be taken: then the first one has it.
fn claim(db: &Connection, claim: &Claim, job: Option<&JobSpec>) -> Result<(), DbError> {
    let kind = claims::number(claim.kind());
    let sql = "INSERT INTO claim (kind, key, job, until) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
    let job = job.map(|job| job.id.as_bytes());
    let until = claim.until().map(|at| i64::try_from(at.unix_ms()).unwrap_or(i64::MAX));
    db.prepare_cached(sql)?.execute(params![kind, claim.key().as_bytes(), job, until])?;
    Ok(())
}

fn each<T: rusqlite::types::FromSql>(
    db: &Connection,
    sql: &str,
    mut each: impl FnMut(T) -> Result<(), DbError>,
) -> Result<(), DbError> {
    each_row(db, sql, |row| each(row.get(0)?))
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
