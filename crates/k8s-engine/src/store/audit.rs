mod segments;

pub(crate) use segments::{Form, Listed, Segment, sealed_through};

use super::{MANAGED_BY, group::Group};
use crate::{
    clock::now,
    cluster::{CallError, Cluster, call},
};
use cloister_model::{AuditEvent, AuditRecord, Sha256};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{ListParams, ObjectMeta, PostParams},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::Mutex;

/// The label of every piece of the log, and of what is sealed.
const LABEL: &str = "cloister.dev/audit";

/// The value of the label of pieces.
const RECORDS: &str = "records";

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

/// How often the chain is read again whose last piece is gone.
const ATTEMPTS: u32 = 3;

/// An event to be put on record. With an id, it is put on record once however often it is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) event: AuditEvent,
    /// 32 hexadecimal digits; none: the caller tries once.
    pub(crate) id: Option<String>,
}

/// The audit log: immutable ConfigMaps, each named after the number of its first record. That a name can be created once is
/// the lock: of two writers, one continues the chain, and the other reads what that one wrote and goes on after it. Pieces are removed
/// only from the beginning, when their records were archived, or are in the store of results; the last one never is.
///
/// A name that was removed could be created again by a writer that is far behind. So a process whose knowledge of the chain is older
/// than a quarter of the age at which pieces go reads it anew before it writes.
#[derive(Clone)]
pub(crate) struct Audit {
    api: Api<ConfigMap>,
    /// How old a piece is at least that goes to the store of results.
    sealed_after: Duration,
    chain: Arc<Mutex<Chain>>,
    group: Arc<Group<Vec<Entry>, Result<(), CallError>>>,
}

/// What this process knows of the chain. It only falls behind.
#[derive(Debug, Default)]
struct Chain {
    /// The last record; none: there is none, or nothing was read yet.
    head: Option<(u64, Sha256)>,
    /// The first record of every piece that is in no segment.
    pieces: BTreeSet<u64>,
    /// What is in the store of results, the first one first.
    segments: Vec<Segment>,
    /// When there was nothing after the head; none: nothing was read yet.
    read: Option<Moment>,
}

/// A moment by two clocks: one stands still while a machine does, and the other can be set.
#[derive(Clone, Copy, Debug)]
struct Moment(Instant, SystemTime);

impl Moment {
    fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    fn is_older_than(self, age: Duration) -> bool {
        self.0.elapsed() > age || self.1.elapsed().is_ok_and(|elapsed| elapsed > age)
    }
}

/// Where records are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the store of results.
    Sealed(Segment),
    /// In a piece that begins with this record.
    Piece(u64),
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit").finish_non_exhaustive()
    }
}

impl Audit {
    /// `sealed_after`: how old a piece is at least that goes to the store of results. It is the same for all programs of an
    /// installation.
    pub(crate) fn new(cluster: &Cluster, sealed_after: Duration) -> Self {
        Self { api: cluster.system(), sealed_after, chain: Arc::default(), group: Arc::default() }
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

    /// Where the records after a place are, in their order. What is at the first of them may begin before that place.
    pub(crate) async fn places(&self, after: u64) -> Result<Vec<Place>, CallError> {
        let mut chain = self.chain.lock().await;
        self.catch_up(&mut chain).await?;
        Ok(chain.places(after))
    }

    /// Forgets what this process knows of the chain: pieces or segments that it knows of are gone.
    pub(crate) async fn forget(&self) {
        *self.chain.lock().await = Chain::default();
    }

    /// Removes the pieces that hold no later records than this one, the first one first: whenever this is cut off, what is left is a
    /// chain.
    pub(crate) async fn remove_pieces(&self, through: u64) -> Result<(), CallError> {
        let pieces = {
            let mut chain = self.chain.lock().await;
            self.catch_up(&mut chain).await?;
            archived_pieces(&chain.pieces, through)
        };
        for first in pieces {
            self.remove_piece(first).await?;
            self.chain.lock().await.pieces.remove(&first);
        }
        Ok(())
    }

    /// Whether an entry of an outbox is on record.
    async fn is_on_record(&self, id: &str, event: &AuditEvent) -> Result<bool, CallError> {
        let wanted = ListParams::default().labels(&format!("{ENTRY_LABEL}{id}")).limit(1);
        let found = call("list records", || async { self.api.list_metadata(&wanted).await }).await?;
        // What happened a moment ago is in no segment: clocks do not differ by as much as this.
        let age = Duration::from_millis(now().unix_ms().saturating_sub(event.at.unix_ms()));
        if !found.items.is_empty() || age < self.sealed_after / 2 {
            return Ok(!found.items.is_empty());
        }
        self.is_sealed(id, event.at).await
    }

    /// After which age what this process knows of the chain is not gone by.
    fn patience(&self) -> Duration {
        self.sealed_after / 4
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
                Some(id) => self.is_on_record(id, &entry.event).await?,
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
                    // A process that was halted since it looked may have taken a name that was removed meanwhile.
                    let is_late = chain.read.is_none_or(|read| read.is_older_than(self.patience()));
                    if is_late && sealed_through(&self.segments().await?) >= first {
                        self.remove_piece(first).await?;
                        *chain = Chain::default();
                        let words = "this process was halted for a while; try again".to_owned();
                        return Err(CallError::Unreachable { what: "store the record", words });
                    }
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
        if chain.read.is_none_or(|read| read.is_older_than(self.patience())) {
            *chain = self.read_chain().await?;
        }
        loop {
            let next = chain.head.map_or(1, |(sequence, _)| sequence + 1);
            let read = Moment::now();
            match self.piece(next).await? {
                Some(piece) => chain.take_in(next, &piece),
                None => {
                    chain.read = Some(read);
                    return Ok(());
                }
            }
        }
    }

    /// Reads what there is, and the last record that is listed.
    async fn read_chain(&self) -> Result<Chain, CallError> {
        for _ in 0..ATTEMPTS {
            let mut chain = Chain::default();
            let mut page = ListParams::default().labels(&format!("{LABEL}={RECORDS}")).limit(PAGE);
            loop {
                let listed = call("list records", || async { self.api.list_metadata(&page).await }).await?;
                chain.pieces.extend(listed.items.iter().filter_map(|piece| number(piece.metadata.name.as_deref()?)));
                match listed.metadata.continue_.filter(|next| !next.is_empty()) {
                    Some(next) => page = page.continue_token(&next),
                    None => break,
                }
            }
            // After the pieces: a piece that goes in between is in both, and not in neither.
            chain.segments = self.segments().await?;
            chain.segments.retain(Segment::counts);
            let through = sealed_through(&chain.segments);
            chain.pieces.retain(|first| *first > through);
            let Some(last) = chain.pieces.last().copied() else {
                chain.head = chain.segments.last().map(|segment| (segment.form.through, segment.form.hash));
                return Ok(chain);
            };
            if let Some(piece) = self.piece(last).await? {
                chain.take_in(last, &piece);
                return Ok(chain);
            }
            // Records came after it, and it went.
        }
        Err(CallError::Missing)
    }

    /// The records of a piece; none: it is not there.
    pub(crate) async fn piece(&self, first: u64) -> Result<Option<Vec<AuditRecord>>, CallError> {
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
    fn places(&self, after: u64) -> Vec<Place> {
        if after >= self.head.map_or(0, |(sequence, _)| sequence) {
            return Vec::new();
        }
        let sealed = self.segments.iter().filter(|segment| segment.form.through > after).cloned();
        let start = after.max(sealed_through(&self.segments)).saturating_add(1);
        let from = self.pieces.range(..=start).next_back().copied().unwrap_or(1);
        let pieces = self.pieces.range(from..).copied();
        sealed.map(Place::Sealed).chain(pieces.map(Place::Piece)).collect()
    }

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
        [(LABEL, RECORDS), MANAGED_BY].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
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
    fn records_are_where_they_were_put() {
        let segment = |first, through| Segment {
            first,
            form: Form {
                through,
                hash: Sha256::of(b"a"),
                from: Timestamp::from_unix_ms(1),
                to: Timestamp::from_unix_ms(2),
                stored: String::new(),
                sha256: Some(Sha256::of(b"b")),
            },
            created: Timestamp::from_unix_ms(3),
            uid: None,
            version: 4,
        };
        let segments = vec![segment(1, 10), segment(11, 30)];
        let head = Some((45, Sha256::of(b"c")));
        let chain = Chain { head, pieces: [31, 33, 40].into(), segments: segments.clone(), read: None };
        let [one, two] = [0, 1].map(|which| Place::Sealed(segments[which].clone()));
        let pieces = [31, 33, 40].map(Place::Piece);
        let all: Vec<Place> = [one, two].into_iter().chain(pieces).collect();
        for (after, begins) in [(0, 0), (9, 0), (10, 1), (29, 1), (30, 2), (31, 2), (32, 3), (39, 4), (44, 4), (45, 5)]
        {
            assert_eq!(chain.places(after), all[begins..], "{after}");
        }
        let unsealed = Chain { segments: Vec::new(), pieces: [5, 9].into(), ..chain };
        // What came before was taken out.
        for (after, begins) in [(0, 5), (3, 5), (7, 5), (8, 9)] {
            assert_eq!(unsealed.places(after).first(), Some(&Place::Piece(begins)), "{after}");
        }
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
