use super::{Db, Fail, Write};
use cloister_model::{Account, Asset, AssetKind, AssetQuery, Did, StoreError};
use rusqlite::{Connection, OptionalExtension as _, params};

fn kind_number(kind: AssetKind) -> i64 {
    match kind {
        AssetKind::Dataset => 0,
        AssetKind::Algorithm => 1,
    }
}

/// Stores an asset whose revision is one above the stored one's.
pub(crate) fn put(write: &mut Write<'_>, asset: &Asset) -> Result<(), Fail<StoreError>> {
    let did = asset.ddo.id().to_string();
    let stored: Option<u64> = write
        .db
        .prepare_cached("SELECT revision FROM asset WHERE did = ?1")?
        .query_row([&did], |row| row.get(0))
        .optional()?;
    if asset.revision != stored.unwrap_or(0) + 1 {
        return Err(Fail::Said(StoreError::Conflict));
    }
    let kind = kind_number(asset.ddo.kind());
    let owner = asset.owner.key();
    let namesake: Option<String> = write
        .db
        .prepare_cached("SELECT did FROM asset WHERE owner = ?1 AND kind = ?2 AND name = ?3")?
        .query_row(params![owner, kind, asset.name], |row| row.get(0))
        .optional()?;
    if namesake.is_some_and(|other| other != did) {
        return Err(Fail::Said(StoreError::Conflict));
    }
    let withdrawn = asset.withdrawn.map(|at| i64::try_from(at.unix_ms()).unwrap_or(i64::MAX));
    write
        .db
        .prepare_cached(
            "INSERT INTO asset (did, kind, owner, name, revision, withdrawn, asset) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
            ON CONFLICT (did) DO UPDATE SET kind = ?2, owner = ?3, name = ?4, revision = ?5, withdrawn = ?6, asset = ?7",
        )?
        .execute(params![
            did,
            kind,
            owner,
            asset.name,
            i64::try_from(asset.revision).unwrap_or(i64::MAX),
            withdrawn,
            serde_json::to_string(asset)?
        ])?;
    Ok(())
}

fn one(db: &Connection, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Option<Asset>, Db> {
    let text: Option<String> = db.prepare_cached(sql)?.query_row(parameters, |row| row.get(0)).optional()?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

pub(crate) fn get(db: &Connection, did: &Did) -> Result<Option<Asset>, Db> {
    one(db, "SELECT asset FROM asset WHERE did = ?1", params![did.to_string()])
}

pub(crate) fn named(db: &Connection, owner: &Account, kind: AssetKind, name: &str) -> Result<Option<Asset>, Db> {
    let sql = "SELECT asset FROM asset WHERE owner = ?1 AND kind = ?2 AND name = ?3";
    one(db, sql, params![owner.key(), kind_number(kind), name])
}

pub(crate) fn list(db: &Connection, query: &AssetQuery) -> Result<Vec<Asset>, Db> {
    let AssetQuery { kind, owner, after, withdrawn, at_most } = query;
    let after = after.as_ref().map(Did::to_string).unwrap_or_default();
    let live = if *withdrawn { "" } else { "AND withdrawn IS NULL" };
    let owned = if owner.is_some() { "AND owner = ?4" } else { "" };
    let sql = format!("SELECT asset FROM asset WHERE kind = ?1 AND did > ?2 {live} {owned} ORDER BY did LIMIT ?3");
    let mut statement = db.prepare_cached(&sql)?;
    let kind = kind_number(*kind);
    let mut rows = match owner {
        Some(owner) => statement.query(params![kind, after, at_most, owner.key()])?,
        None => statement.query(params![kind, after, at_most])?,
    };
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(serde_json::from_str(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?);
    }
    Ok(found)
}
