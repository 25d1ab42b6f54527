use super::{MANAGED_BY, group::Group};
use crate::cluster::{CallError, Cluster, call};
use cloister_model::{Archived, AuditEvent, AuditRecord, Sha256};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};
use tokio::sync::Mutex;

/// The label of every piece of the log.
const LABEL: &str = "cloister.dev/audit";

/// What the label of an entry of an outbox begins with: that it is on record.
const ENTRY_LABEL: &str = "outbox.cloister.dev/";

/// The key in a piece.
const KEY: &str = "records";

/// Bytes of one piece: a ConfigMap holds a mebibyte.
const MOST_BYTES: usize = 700 * 1024;

/// Records of one piece.
const MOST_RECORDS: usize = 500;

/// Names of pieces in one answer.
const PAGE: u32 = 500;

/// An event to be put on record. With an id, it is put on record once however often it is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) event: AuditEvent,
    /// 32 hexadecimal digits; none: the caller tries once.
    pub(crate) id: Option<String>,
}

/// The audit log: immutable ConfigMaps, each named after the number of its first record. They are removed only from the beginning,
/// when their records were archived. That a name can be created once is
/// the lock: of two writers, one continues the chain, and the other reads what that one wrote and goes on after it.
#[derive(Clone)]
pub(crate) struct Audit {
    api: Api<ConfigMap>,
    chain: Arc<Mutex<Chain>>,
    group: Arc<Group<Vec<Entry>, Result<(), CallError>>>,
}

/// What this process knows of the chain. It only falls behind.
#[derive(Debug, Default)]
struct Chain {
    /// The last record; none: there is none, or nothing was read yet.
    head: Option<(u64, Sha256)>,
    /// The first record of every piece.
    pieces: BTreeSet<u64>,
    read: bool,
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").finish_non_exhaustive()
    }
}

impl Audit {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        Self { api: cluster.system(), chain: Arc::default(), group: Arc::default() }
    }

    /// Puts entries on record, in their order.
    pub(crate) async fn append(&self, entries: Vec<Entry>) -> Result<(), CallError> {
        if entries.is_empty() {
            return Ok(());
        }
        let log = self.clone();
        let written = self.group.write(entries, |calls| async move {
            let mut answers = Vec::new();
            for answer in log.append_all(&calls).await {
                answers.push(answer);
            }
            answers
        });
        let lost = || CallError::Unreachable { what: "store the record", words: "the writer was ended".to_owned() };
        written.await.unwrap_or_else(|| Err(lost()))
    }

    /// The records after a place.
    pub(crate) async fn records(&self, after: u64, at_most: usize) -> Result<Vec<AuditRecord>, CallError> {
        let mut chain = self.chain.lock().await;
        self.catch_up(&mut chain).await?;
        let head = chain.head.map_or(0, |(sequence, _)| sequence);
        if after >= head || at_most == 0 {
            return Ok(Vec::new());
        }
        let from = chain.pieces.range(..=after + 1).next_back().copied().unwrap_or(1);
        let pieces: Vec<u64> = chain.pieces.range(from..).copied().collect();
        drop(chain);
        let mut records = Vec::new();
        for first in pieces {
            let Some(piece) = self.piece(first).await? else {
                // It was archived meanwhile, by another process perhaps.
                self.chain.lock().await.pieces.remove(&first);
                continue;
            };
            records.extend(piece.into_iter().filter(|record| record.sequence > after));
            if records.len() >= at_most {
                records.truncate(at_most);
                break;
            }
        }
        Ok(records)
    }

    /// Puts on record that the records up to a place were archived, and removes the pieces that hold no later ones, the first one
    /// first: whenever this is cut off, what is left is a chain, and the next call goes on.
    pub(crate) async fn archive(&self, archived: Archived, event: AuditEvent) -> Result<(), CallError> {
        let Archived { through, hash } = archived;
        let found = self.records(through.saturating_sub(1), 1).await?;
        if found.first().is_none_or(|found| (found.sequence, found.hash) != (through, hash)) {
            return Err(CallError::Missing);
        }
        self.append(vec![Entry { event, id: None }]).await?;
        let pieces = {
            let mut chain = self.chain.lock().await;
            self.catch_up(&mut chain).await?;
            archived_pieces(&chain.pieces, through)
        };
        for first in pieces {
            let name = name(first);
            match call("remove records", || async { self.api.delete(&name, &DeleteParams::default()).await }).await {
                Ok(_) | Err(CallError::Missing) => drop(self.chain.lock().await.pieces.remove(&first)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether an entry of an outbox is on record.
    async fn is_on_record(&self, id: &str) -> Result<bool, CallError> {
        let wanted = ListParams::default().labels(&format!("{ENTRY_LABEL}{id}")).limit(1);
        let found = call("list records", || async { self.api.list_metadata(&wanted).await }).await?;
        Ok(!found.items.is_empty())
    }

    /// Each call is on record as a whole or not at all.
    async fn append_all(&self, calls: &[Vec<Entry>]) -> Vec<Result<(), CallError>> {
        let mut answers = Vec::new();
        let mut chain = self.chain.lock().await;
        let mut start = 0;
        while start < calls.len() {
            let end = (start + 1..=calls.len()).rev().find(|end| fits(&calls[start..*end])).unwrap_or(start + 1);
            let entries: Vec<Entry> = calls[start..end].iter().flatten().cloned().collect();
            let answer = self.append_piece(&mut chain, entries).await;
            answers.extend(calls[start..end].iter().map(|_| answer.clone()));
            start = end;
        }
        answers
    }

    async fn append_piece(&self, chain: &mut Chain, mut entries: Vec<Entry>) -> Result<(), CallError> {
        // First the place where the next piece goes. What other writers append before it, the look below finds; what they
        // append after it takes this place, and the name of the piece below is refused. The other order let an entry
        // through that was appended between the look and the reading of the chain. It is read every time, because a place that
        // another writer has taken would cost a write that is refused.
        self.catch_up(chain).await?;
        // Another process may have put an entry of an outbox on record.
        for entry in once(std::mem::take(&mut entries)) {
            let known = match &entry.id {
                Some(id) => self.is_on_record(id).await?,
                None => false,
            };
            if !known {
                entries.push(entry);
            }
        }
        while !entries.is_empty() {
            let mut head = chain.head;
            let mut records = Vec::new();
            for entry in &entries {
                let record = AuditRecord::next(head, entry.event.clone());
                head = Some((record.sequence, record.hash));
                records.push(record);
            }
            let first = records.first().map_or(1, |record| record.sequence);
            let piece = write_piece(first, &records, &entries)?;
            match call("store the record", || async { self.api.create(&PostParams::default(), &piece).await }).await {
                Ok(_) => {
                    chain.head = head;
                    chain.pieces.insert(first);
                    return Ok(());
                }
                Err(CallError::Exists) => {
                    let found = self.piece(first).await?.ok_or(CallError::Conflict)?;
                    let ours = found == records;
                    chain.take_in(first, &found);
                    if ours {
                        return Ok(());
                    }
                    // Another writer was first, and may have written an entry of ours.
                    let events: Vec<&AuditEvent> = found.iter().map(|record| &record.event).collect();
                    entries.retain(|entry| entry.id.is_none() || !events.contains(&&entry.event));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what other writers have appended.
    async fn catch_up(&self, chain: &mut Chain) -> Result<(), CallError> {
        if !chain.read {
            let mut page = ListParams::default().labels(LABEL).limit(PAGE);
            loop {
                let listed = call("list records", || async { self.api.list_metadata(&page).await }).await?;
                chain.pieces.extend(listed.items.iter().filter_map(|piece| number(piece.metadata.name.as_deref()?)));
                match listed.metadata.continue_.filter(|next| !next.is_empty()) {
                    Some(next) => page = page.continue_token(&next),
                    None => break,
                }
            }
            if let Some(last) = chain.pieces.last().copied() {
                let piece = self.piece(last).await?.ok_or(CallError::Missing)?;
                chain.take_in(last, &piece);
            }
            chain.read = true;
        }
        loop {
            let next = chain.head.map_or(1, |(sequence, _)| sequence + 1);
            match self.piece(next).await? {
                Some(piece) => chain.take_in(next, &piece),
                None => return Ok(()),
            }
        }
    }

    async fn piece(&self, first: u64) -> Result<Option<Vec<AuditRecord>>, CallError> {
        let name = name(first);
        let Some(piece) = call("read the records", || async { self.api.get_opt(&name).await }).await? else {
            return Ok(None);
        };
        let text = piece.data.unwrap_or_default().remove(KEY).unwrap_or_default();
        let records: Result<Vec<AuditRecord>, _> = text.lines().map(serde_json::from_str).collect();
        match records {
            Ok(records) if !records.is_empty() => Ok(Some(records)),
            _ => {
                let words = format!("the ConfigMap {name} does not hold records of the audit log; it was changed");
                Err(CallError::Unreachable { what: "read the records", words })
            }
        }
    }
}

impl Chain {
    fn take_in(&mut self, first: u64, piece: &[AuditRecord]) {
        self.pieces.insert(first);
        if let Some(last) = piece.last() {
            self.head = Some((last.sequence, last.hash));
        }
    }
}

/// The pieces all of whose records come no later than this one. A piece ends where the next one begins.
fn archived_pieces(pieces: &BTreeSet<u64>, through: u64) -> Vec<u64> {
    let next = pieces.iter().skip(1);
    pieces.iter().zip(next).filter(|(_, next)| **next <= through.saturating_add(1)).map(|(first, _)| *first).collect()
}

fn name(first: u64) -> String {
    format!("audit-{first:020}")
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix("audit-")?.parse().ok()
}

/// The entries, those with an id once: several calls that wait for the same write may bring the same one.
fn once(entries: Vec<Entry>) -> Vec<Entry> {
    let mut seen = BTreeSet::new();
    entries.into_iter().filter(|entry| entry.id.as_ref().is_none_or(|id| seen.insert(id.clone()))).collect()
}

/// Whether calls fit into one piece. One call always does: what it records is bounded by what a request may hold.
fn fits(calls: &[Vec<Entry>]) -> bool {
    let entries = || calls.iter().flatten();
    // What JSON and the chain add to an event, with room to spare.
    let bytes: usize = entries().map(|Entry { event, .. }| 2 * event.detail.len() + event.subject.len() + 512).sum();
    calls.len() == 1 || (entries().count() <= MOST_RECORDS && bytes <= MOST_BYTES)
}

fn write_piece(first: u64, records: &[AuditRecord], entries: &[Entry]) -> Result<ConfigMap, CallError> {
    let mut text = String::new();
    for record in records {
        let line = serde_json::to_string(record)
            .map_err(|error| CallError::Refused { what: "store the record", words: error.to_string() })?;
        text.push_str(&line);
        text.push('\n');
    }
    let mut labels: BTreeMap<String, String> =
        [(LABEL, "records"), MANAGED_BY].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    labels.extend(
        entries.iter().filter_map(|entry| Some((format!("{ENTRY_LABEL}{}", entry.id.as_ref()?), String::new()))),
    );
    Ok(ConfigMap {
        metadata: ObjectMeta { name: Some(name(first)), labels: Some(labels), ..ObjectMeta::default() },
        data: Some([(KEY.to_owned(), text)].into()),
        immutable: Some(true),
        ..ConfigMap::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{AuditAction, Timestamp};

    #[test]
    fn a_piece_with_later_records_stays() {
        let pieces: BTreeSet<u64> = [4, 9, 10, 20].into();
        for (through, expected) in [
            (0, vec![]),
            (7, vec![]),
            (8, vec![4]),
            (9, vec![4, 9]),
            (18, vec![4, 9]),
            (19, vec![4, 9, 10]),
            (u64::MAX, vec![4, 9, 10]),
        ] {
            assert_eq!(archived_pieces(&pieces, through), expected, "{through}");
        }
        assert_eq!(archived_pieces(&BTreeSet::new(), 5), Vec::<u64>::new());
    }

    #[test]
    fn an_entry_that_two_calls_bring_at_once_is_written_once() {
        let entry = |ms, id: Option<&str>| Entry {
            event: cloister_testkit::event(AuditAction::JobStopped, Timestamp::from_unix_ms(ms)),
            id: id.map(str::to_owned),
        };
        let entries =
            vec![entry(1, Some("a")), entry(2, None), entry(1, Some("a")), entry(2, None), entry(3, Some("b"))];
        let expected = vec![entry(1, Some("a")), entry(2, None), entry(2, None), entry(3, Some("b"))];
        assert_eq!(once(entries), expected);
    }
}
