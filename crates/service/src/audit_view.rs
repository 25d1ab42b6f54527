//! The audit log as a publisher sees it: what happened to the publisher's own assets, and nothing of others.

use crate::{AuditError, Principal, UseCases, submission::MANY};
use cloister_model::{
    Account, AuditAction, AuditEvent, AuditRecord, Did, EngineError, JobId, JobRecord, Role, StoreError, Timestamp,
};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// Records that are read for one answer. The next answer goes on after them.
const MOST_SCANNED: usize = 2000;

/// Records that are read at once.
const PAGE: u32 = 500;

/// Which records are asked for.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Those about this dataset or algorithm, and about jobs on this dataset.
    pub asset: Option<Did>,
    /// Those of what this account did.
    pub actor: Option<Account>,
    /// Those of this moment and later.
    pub since: Option<Timestamp>,
    /// Those after this place.
    pub after: u64,
    /// At most so many.
    pub at_most: u32,
}

/// Records that fit a filter.
#[derive(Clone, Debug, Default)]
pub struct AuditSelection {
    /// The records, the oldest first. For readers who are not operators, without what is about assets of others in their
    /// particulars.
    pub records: Vec<AuditEntry>,
    /// The place after which the rest begins; none: this is the end. There may be no record before it.
    pub next: Option<u64>,
}

/// A record of a selection. It is no link of a chain, because the records between are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place in the log.
    pub sequence: u64,
    /// What happened.
    pub event: AuditEvent,
}

impl UseCases {
    /// The records that fit a filter: for operators any, for publishers those about their own assets and about jobs on their
    /// own datasets.
    ///
    /// # Errors
    /// If the caller is no publisher, or the store or the engine cannot be reached.
    pub async fn audit_selection(&self, who: &Principal, filter: &AuditFilter) -> Result<AuditSelection, AuditError> {
        who.must_be(Role::Publisher)?;
        let _share = self.shares().take(&who.account, MANY).await;
        let counted = self.denials().flush();
        if !counted.is_empty() {
            self.backend().record(counted).await?;
        }
        let mut after = match filter.since {
            Some(since) => filter.after.max(self.place_before(since).await?),
            None => filter.after,
        };
        let mut owners = Owners::default();
        let mut selected = Vec::new();
        let mut scanned = 0;
        while scanned < MOST_SCANNED {
            let page = self.backend().records(after, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            for record in page {
                let AuditRecord { sequence, event, previous: _, hash: _ } = record;
                (after, scanned) = (sequence, scanned + 1);
                if let Some(event) = self.selected(who, filter, event, &mut owners).await? {
                    selected.push(AuditEntry { sequence, event });
                }
                if selected.len() >= filter.at_most as usize {
                    return Ok(AuditSelection { records: selected, next: Some(after) });
                }
            }
            if is_last {
                return Ok(AuditSelection { records: selected, next: None });
            }
        }
        Ok(AuditSelection { records: selected, next: Some(after) })
    }

    /// The event as the reader may see it; none if it does not fit.
    async fn selected(
        &self,
        who: &Principal,
        filter: &AuditFilter,
        event: AuditEvent,
        owners: &mut Owners,
    ) -> Result<Option<AuditEvent>, AuditError> {
        let is_early = filter.since.is_some_and(|since| event.at < since);
        if is_early || filter.actor.as_ref().is_some_and(|actor| actor.key() != event.actor) {
            return Ok(None);
        }
        let operates = who.is(Role::Operator);
        if operates && filter.asset.is_none() {
            return Ok(Some(event));
        }
        let about = self.about(&event, owners).await?;
        let own: BTreeSet<&Did> =
            about.iter().filter(|(_, owner)| *owner == who.account).map(|(asset, _)| asset).collect();
        let fits = match &filter.asset {
            Some(asset) => about.iter().any(|(found, _)| found == asset) && (operates || own.contains(asset)),
            None => !own.is_empty(),
        };
        if !fits {
            return Ok(None);
        }
        let are_all_own = own.len() == about.len();
        Ok(Some(if operates { event } else { only_about(event, &own, are_all_own) }))
    }

    /// The assets that an event is about, with their owners.
    async fn about(&self, event: &AuditEvent, owners: &mut Owners) -> Result<Vec<(Did, Account)>, AuditError> {
        match event.action {
            AuditAction::KeyCreated | AuditAction::KeyRevoked | AuditAction::AuditArchived => Ok(Vec::new()),
            AuditAction::AssetPublished
            | AuditAction::PermissionsChanged
            | AuditAction::AssetWithdrawn
            | AuditAction::FileDownloaded => {
                let did: Option<Did> = event.subject.parse().ok();
                self.owned(did.into_iter(), owners).await
            }
            AuditAction::JobAllowed
            | AuditAction::JobDenied
            | AuditAction::JobStopped
            | AuditAction::PublishingAsked
            | AuditAction::JobRemoved
            | AuditAction::Released
            | AuditAction::ReleaseRefused
            | AuditAction::Reviewed
            | AuditAction::ResultDownloaded
            | AuditAction::LogReleased => match event.subject.parse::<JobId>() {
                Ok(job) => self.datasets_with_owners(job, owners).await,
                // A submission that was denied: there is no job.
                Err(_) => self.owned(denied_datasets(&event.detail).into_iter(), owners).await,
            },
        }
    }

    async fn owned(
        &self,
        assets: impl Iterator<Item = Did>,
        owners: &mut Owners,
    ) -> Result<Vec<(Did, Account)>, AuditError> {
        let mut found = Vec::new();
        for did in assets {
            if !owners.assets.contains_key(&did) {
                let owner = self.backend().asset(did.clone()).await?.map(|asset| asset.owner);
                owners.assets.insert(did.clone(), owner);
            }
            if let Some(Some(owner)) = owners.assets.get(&did) {
                found.push((did, owner.clone()));
            }
        }
        Ok(found)
    }

    /// The datasets of a job with their publishers, also of a job that was removed, if it has a receipt.
    async fn datasets_with_owners(&self, job: JobId, owners: &mut Owners) -> Result<Vec<(Did, Account)>, AuditError> {
        if let Some(found) = owners.jobs.get(&job) {
            return Ok(found.clone());
        }
        let record: Option<JobRecord> = match self.backend().card(job).await {
            Ok(card) => Some(card.record),
            Err(EngineError::NoSuchJob(_)) => match self.backend().receipt(job).await {
                Ok(receipt) => receipt.map(|receipt| receipt.record),
                Err(EngineError::NoSuchJob(_)) => None,
                Err(error) => return Err(error.into()),
            },
            Err(error) => return Err(error.into()),
        };
        let datasets = record.into_iter().flat_map(|record| record.datasets);
        let found: Vec<_> = datasets.map(|dataset| (dataset.asset.did, dataset.asset.publisher)).collect();
        owners.jobs.insert(job, found.clone());
        Ok(found)
    }

    /// The place of the last record before a moment: found by halving, because records are in the order of their times but for
    /// a few that were made at the same moment.
    async fn place_before(&self, since: Timestamp) -> Result<u64, StoreError> {
        // Clocks of several machines differ a little.
        const SLACK_MS: u64 = 60_000;
        let since = since.unix_ms().saturating_sub(SLACK_MS);
        let (mut low, mut high) = (0_u64, 1_u64);
        // Is the record after this place an early one? None: there is no such record.
        let mut probes = 0;
        loop {
            match self.backend().records(high, 1).await?.first() {
                Some(record) if record.event.at.unix_ms() < since && probes < 62 => {
                    (low, high, probes) = (record.sequence, record.sequence.saturating_mul(2), probes + 1);
                }
                _ => break,
            }
        }
        while high.saturating_sub(low) > 1 {
            let middle = low + (high - low) / 2;
            match self.backend().records(middle, 1).await?.first() {
                Some(record) if record.event.at.unix_ms() < since => low = middle,
                _ => high = middle,
            }
        }
        Ok(low)
    }
}

/// Whose assets are, as they were found for one answer.
#[derive(Debug, Default)]
struct Owners {
    assets: HashMap<Did, Option<Account>>,
    jobs: HashMap<JobId, Vec<(Did, Account)>>,
}

/// The datasets of a submission that was denied.
fn denied_datasets(detail: &str) -> BTreeSet<Did> {
    let detail: Value = serde_json::from_str(detail).unwrap_or_default();
    // Denials that were counted hold the first one.
    let detail = detail.get("like").unwrap_or(&detail);
    let datasets = detail.pointer("/what/datasets").and_then(Value::as_array).into_iter().flatten();
    datasets.filter_map(|dataset| dataset["did"].as_str()?.parse().ok()).collect()
}

/// What the record of a download says of the file.
const OF_FILE: [&str; 4] = ["index", "kind", "bytes", "sha256"];

/// The event without the rules of others in its particulars: which checksums they trust, and by which rule they refuse. And without
/// what outputs are that a reviewer has looked at before they left, unless all datasets of their job are the reader's own.
fn only_about(event: AuditEvent, own: &BTreeSet<&Did>, are_all_own: bool) -> AuditEvent {
    let mut detail: Value = serde_json::from_str(&event.detail).unwrap_or_default();
    let is_own =
        |did: &Value| did.as_str().and_then(|did| did.parse::<Did>().ok()).is_some_and(|did| own.contains(&did));
    for place in ["", "/like"] {
        let Some(part) = detail.pointer_mut(place) else { continue };
        if let Some(admitted) = part.get_mut("admitted").and_then(Value::as_array_mut) {
            admitted.retain(|entry| is_own(&entry["did"]));
        }
        if let Some(rules) = part.get_mut("rules").and_then(Value::as_array_mut) {
            rules.retain(|rule| rule["subject"].is_null() || is_own(&rule["subject"]));
        }
    }
    if detail["held"] == true
        && !are_all_own
        && let Some(fields) = detail.as_object_mut()
    {
        fields.retain(|name, _| !OF_FILE.contains(&name.as_str()));
    }
    AuditEvent { detail: detail.to_string(), ..event }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn did(text: &str) -> Did {
        text.parse().expect("a DID")
    }

    #[test]
    fn a_publisher_reads_nothing_of_the_rules_of_others() {
        let (mine, theirs) = (did("mine"), did("theirs"));
        let event = |detail: Value| AuditEvent {
            at: Timestamp::from_unix_ms(1),
            actor: "bob".to_owned(),
            action: AuditAction::JobAllowed,
            subject: "x".to_owned(),
            detail: detail.to_string(),
        };
        let own = BTreeSet::from([&mine]);
        let read = |detail: Value| -> Value {
            serde_json::from_str(&only_about(event(detail), &own, false).detail).expect("JSON")
        };
        let entry = |did: &Did| json!({"did": did, "filesChecksums": ["ab"]});
        let rule = |subject: Option<&Did>| json!({"rule": "r", "subject": subject});
        let whole = json!({"admitted": [entry(&mine), entry(&theirs)],
            "rules": [rule(Some(&theirs)), rule(Some(&mine)), rule(None)], "what": 1});
        let part = json!({"admitted": [entry(&mine)], "rules": [rule(Some(&mine)), rule(None)], "what": 1});
        assert_eq!(read(whole.clone()), part);
        assert_eq!(read(json!({"more": 3, "like": whole})), json!({"more": 3, "like": part}));
        assert_eq!(read(json!("text")), json!("text"));
    }

    #[test]
    fn a_publisher_reads_nothing_of_outputs_that_others_review() {
        let mine = did("mine");
        let own = BTreeSet::from([&mine]);
        let read = |detail: &Value, are_all_own| -> Value {
            let event = AuditEvent {
                at: Timestamp::from_unix_ms(1),
                actor: "alice".to_owned(),
                action: AuditAction::ResultDownloaded,
                subject: "x".to_owned(),
                detail: detail.to_string(),
            };
            serde_json::from_str(&only_about(event, &own, are_all_own).detail).expect("JSON")
        };
        let download = |held: bool| json!({"index": 0, "kind": "output", "bytes": 5, "sha256": "ab", "held": held});
        assert_eq!(read(&download(true), false), json!({"held": true}));
        assert_eq!(read(&download(true), true), download(true));
        assert_eq!(read(&download(false), false), download(false), "it has left");
    }

    #[test]
    fn the_datasets_of_a_denial_are_found() {
        let what = json!({"what": {"datasets": [{"did": "did:op:a"}, {"did": "did:op:b"}]}, "rules": []});
        let both = BTreeSet::from([did("a"), did("b")]);
        assert_eq!(denied_datasets(&what.to_string()), both);
        assert_eq!(denied_datasets(&json!({"more": 2, "like": what}).to_string()), both);
        assert_eq!(denied_datasets("nothing"), BTreeSet::new());
    }
}
