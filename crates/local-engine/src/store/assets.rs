use super::{
    DbError, Fail, Write, claims,
    claims::Holder,
    forms::{AssetForm, CardForm, SummaryForm},
    jobs,
    parsed::ParsedAssets,
};
use crate::clock::now;
use cloister_model::{
    Account, Asset, AssetKind, AssetLimit, AssetList, AssetQuery, AssetSummary, Claim, ClaimKind, Did, JobId,
    LastCheck, Quota, QuotaExceeded, StoreError,
};
use rusqlite::{Connection, OptionalExtension as _, params};

/// Bytes of the summaries of one list.
const MOST_LIST_BYTES: usize = 1024 * 1024;

fn kind_number(kind: AssetKind) -> i64 {
    match kind {
        AssetKind::Dataset => 0,
        AssetKind::Algorithm => 1,
    }
}

pub(super) fn kind_of(number: i64) -> Option<AssetKind> {
    [AssetKind::Dataset, AssetKind::Algorithm].into_iter().find(|kind| kind_number(*kind) == number)
}

/// Refuses a new asset if its owner has as many.
pub(crate) fn refuse_if_too_many(write: &Write<'_>, asset: &Asset, most: u64) -> Result<(), Fail<StoreError>> {
    match over(write.db, &AssetLimit { owner: asset.owner.clone(), most })? {
        Some(exceeded) if get(write.db, asset.ddo.id())?.is_none() => Err(Fail::Rejected(exceeded.into())),
        _ => Ok(()),
    }
}

/// Why an account may not have one more asset; none: it may.
pub(crate) fn over(db: &Connection, limit: &AssetLimit) -> Result<Option<QuotaExceeded>, DbError> {
    let used = count(db, &limit.owner)?;
    Ok((used >= limit.most).then_some(QuotaExceeded { quota: Quota::Assets, limit: limit.most, used }))
}

/// Stores an asset whose revision is one above the stored one's. Its name is claimed: a name that another asset has, or
/// that a job has claimed for what it will register, is a conflict, except for the job that registers this asset.
pub(crate) fn put(write: &mut Write<'_>, asset: &Asset, by: Option<JobId>) -> Result<(), Fail<StoreError>> {
    let stored = get(write.db, asset.ddo.id())?;
    if asset.revision != stored.as_ref().map_or(0, |stored| stored.revision) + 1 {
        return Err(Fail::Rejected(StoreError::Conflict));
    }
    let claim = name_claim(asset);
    let before = stored.as_ref().map(name_claim);
    if before.as_ref() != Some(&claim) {
        if let Some(before) = before {
            claims::give_up(write, &before)?;
        }
        match (claims::holder(write, &claim)?, by) {
            (None, _) => drop(claims::take(write, &claim, Holder::Other)?),
            (Some(Holder::Job(holder)), Some(job)) if holder == job => claims::hand_over(write, &claim, job)?,
            (Some(_), _) => return Err(Fail::Rejected(StoreError::Conflict)),
        }
    }
    keep_results(write, stored.as_ref(), asset)?;
    let did = asset.ddo.id().to_string();
    let kind = kind_number(asset.ddo.kind());
    let owner = asset.owner.key();
    let withdrawn = asset.withdrawn.map(|at| i64::try_from(at.unix_ms()).unwrap_or(i64::MAX));
    write
        .db
        .prepare_cached(
            "INSERT INTO asset (did, kind, owner, name, revision, withdrawn, asset, summary)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (did) DO UPDATE SET
            kind = ?2, owner = ?3, name = ?4, revision = ?5, withdrawn = ?6, asset = ?7, summary = ?8",
        )?
        .execute(params![
            did,
            kind,
            owner,
            asset.name,
            i64::try_from(asset.revision).unwrap_or(i64::MAX),
            withdrawn,
            serde_json::to_string(&AssetForm::from(asset))?,
            summary_text(asset)?
        ])?;
    Ok(())
}

/// Takes note of the jobs whose results an asset needs from now on. What a withdrawn one needed is let go afterwards, by whoever
/// sweeps. Results that have gone since the service looked for them are a conflict.
fn keep_results(write: &mut Write<'_>, stored: Option<&Asset>, asset: &Asset) -> Result<(), Fail<StoreError>> {
    if asset.withdrawn.is_some() {
        return Ok(());
    }
    let (did, needed) = (asset.ddo.id(), asset.ddo.result_jobs());
    let stored = stored.filter(|stored| stored.withdrawn.is_none());
    let before = stored.map(|stored| stored.ddo.result_jobs()).unwrap_or_default();
    for job in &needed {
        // A dataset that lost its bytes under an earlier version can still be changed.
        if !jobs::keep(write.db, *job, did)? && !before.contains(job) {
            return Err(Fail::Rejected(StoreError::Conflict));
        }
    }
    for job in before.difference(&needed) {
        jobs::unkeep(write, *job, &did.to_string(), now())?;
    }
    Ok(())
}

/// The claim of an asset on its name.
pub(crate) fn name_claim(asset: &Asset) -> Claim {
    Claim::asset_name(&asset.owner, asset.ddo.kind(), &asset.name)
}

fn parse(text: &str) -> Result<Asset, DbError> {
    Ok(serde_json::from_str::<AssetForm>(text)?.into())
}

fn one(db: &Connection, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Option<Asset>, DbError> {
    let text: Option<String> = db.prepare_cached(sql)?.query_row(parameters, |row| row.get(0)).optional()?;
    text.as_deref().map(parse).transpose()
}

const BY_DID: &str = "SELECT asset FROM asset WHERE did = ?1";

pub(crate) fn get(db: &Connection, did: &Did) -> Result<Option<Asset>, DbError> {
    one(db, BY_DID, params![did.to_string()])
}

/// The same, parsed only if it has changed since it was parsed last.
pub(super) fn get_unless_parsed(db: &Connection, did: &Did, parsed: &ParsedAssets) -> Result<Option<Asset>, DbError> {
    let mut statement = db.prepare_cached(BY_DID)?;
    let mut rows = statement.query([did.to_string()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let text = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
    if let Some(asset) = parsed.get(did, text) {
        return Ok(Some(asset));
    }
    let asset = parse(text)?;
    parsed.put(text.to_owned(), &asset);
    Ok(Some(asset))
}

/// Keeps what the sources of a dataset gave.
pub(crate) fn put_check(write: &Write<'_>, dataset: &Did, check: &LastCheck) -> Result<(), Fail<StoreError>> {
    let text = serde_json::to_string(check)?;
    let sql = "UPDATE asset SET last_check = ?3 WHERE did = ?1 AND kind = ?2";
    let kind = kind_number(AssetKind::Dataset);
    match write.db.prepare_cached(sql)?.execute(params![dataset.to_string(), kind, text])? {
        0 => Err(Fail::Rejected(StoreError::Missing)),
        _ => Ok(()),
    }
}

/// What its sources gave last. One that a later version wrote in another form is as good as none.
pub(crate) fn last_check(db: &Connection, dataset: &Did) -> Result<Option<LastCheck>, DbError> {
    let sql = "SELECT last_check FROM asset WHERE did = ?1";
    let found: Option<Option<String>> =
        db.prepare_cached(sql)?.query_row([dataset.to_string()], |row| row.get(0)).optional()?;
    Ok(found.flatten().and_then(|text| serde_json::from_str(&text).ok()))
}

/// The revision of an asset; none if there is no such asset. Reads no description.
pub(crate) fn revision(db: &Connection, did: &Did) -> Result<Option<u64>, DbError> {
    let sql = "SELECT revision FROM asset WHERE did = ?1";
    let found: Option<i64> = db.prepare_cached(sql)?.query_row([did.to_string()], |row| row.get(0)).optional()?;
    Ok(found.map(|revision| u64::try_from(revision).unwrap_or_default()))
}

pub(crate) fn named(db: &Connection, owner: &Account, kind: AssetKind, name: &str) -> Result<Option<Asset>, DbError> {
    let sql = "SELECT asset FROM asset WHERE owner = ?1 AND kind = ?2 AND name = ?3";
    one(db, sql, params![owner.key(), kind_number(kind), name])
}

/// How many assets an account has, withdrawn ones and those included that its unfinished jobs will register.
pub(crate) fn count(db: &Connection, owner: &Account) -> Result<u64, DbError> {
    let stored = "SELECT count(*) FROM asset WHERE owner = ?1";
    let stored: u64 = db.prepare_cached(stored)?.query_row([owner.key()], |row| row.get(0))?;
    let to_come = "SELECT card FROM claim JOIN job ON job.id = claim.job JOIN card ON card.seq = job.seq
        WHERE claim.kind = ?1 AND claim.job IS NOT NULL";
    let mut to_come = db.prepare_cached(to_come)?;
    let mut jobs = to_come.query([claims::number(ClaimKind::AssetName)])?;
    let mut count = stored;
    while let Some(job) = jobs.next()? {
        // One that cannot be read belongs to no account: it must not keep others from publishing.
        count += u64::from(CardForm::owner(&job.get::<_, String>(0)?).is_some_and(|account| account == *owner));
    }
    Ok(count)
}

/// The summary of an asset, as its row holds it.
pub(super) fn summary_text(asset: &Asset) -> Result<String, DbError> {
    Ok(serde_json::to_string(&SummaryForm::from(&asset.summary()))?)
}

/// A part of a list. It reads summaries only, and ends early rather than with more than [`MOST_LIST_BYTES`] of them.
pub(crate) fn list(db: &Connection, query: &AssetQuery) -> Result<AssetList, DbError> {
    let AssetQuery { kind, owner, after, withdrawn, at_most } = query;
    let after = after.as_ref().map(Did::to_string).unwrap_or_default();
    let live = if *withdrawn { "" } else { "AND withdrawn IS NULL" };
    let owned = if owner.is_some() { "AND owner = ?3" } else { "" };
    let sql = format!(
        "SELECT summary FROM asset WHERE kind = ?1 AND did > ?2 AND summary IS NOT NULL {live} {owned} ORDER BY did"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let kind = kind_number(*kind);
    let mut rows = match owner {
        Some(owner) => statement.query(params![kind, after, owner.key()])?,
        None => statement.query(params![kind, after])?,
    };
    let (mut list, mut bytes) = (AssetList::default(), 0_usize);
    while let Some(row) = rows.next()? {
        let text = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        bytes = bytes.saturating_add(text.len());
        let full = list.assets.len() as u64 >= u64::from(*at_most);
        if full || (bytes > MOST_LIST_BYTES && !list.assets.is_empty()) {
            list.next = list.assets.last().map(|last: &AssetSummary| last.did.clone());
            break;
        }
        list.assets.push(serde_json::from_str::<SummaryForm>(text)?.into());
    }
    Ok(list)
}
