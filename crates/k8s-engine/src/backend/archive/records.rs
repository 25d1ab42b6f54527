//! Old records of the audit log go from the API server to the store of results, in segments. The log stays one chain: a segment
//! counts once it is whole and in its place, and the pieces that it was made of go after that.

use super::{
    ArchiveOptions,
    moving::{AT_ONCE, MOST_BYTES, is_given_up, is_time, new_name},
};
use crate::{
    backend::Inner,
    clock::now,
    cluster::CallError,
    store::{Form, Listed, Segment, sealed_through},
};
use cloister_model::{AuditRecord, Sha256, StoreError, Timestamp};
use cloister_results::PublishError;
use futures_util::{StreamExt as _, stream};
use std::{collections::BTreeSet, sync::Arc};
use tokio::time::Instant;

/// Records of one segment.
const MOST_RECORDS: usize = 10_000;

/// The segment that was read last. Readers go through the log from one end to the other.
pub(super) type Opened = Option<(Sha256, Arc<Vec<AuditRecord>>)>;

/// Segments whose ids are about to be forgotten, and what was found before.
#[derive(Debug)]
pub(super) struct Forgetting {
    /// When: by then, no process still has what it read before of an object that is gone.
    at: Instant,
    segments: Vec<Segment>,
    /// The events that objects had. Their ids stay.
    wanted: BTreeSet<String>,
}

/// What goes into one segment.
#[derive(Debug)]
struct Gathered {
    first: u64,
    records: Vec<AuditRecord>,
    /// The first record of each piece.
    pieces: Vec<u64>,
    ids: BTreeSet<String>,
}

/// Which of the first pieces of the log go now: those that are old enough, once they are many. Never the last one, by which writers
/// find the end of the chain.
fn old_pieces(listed: &[Listed], through: u64, present: Timestamp, options: &ArchiveOptions) -> Vec<Listed> {
    let after = u64::try_from(options.records_after.as_millis()).unwrap_or(u64::MAX);
    let is_old = |piece: &&Listed| present.unix_ms().saturating_sub(piece.created.unix_ms()) >= after;
    let unsealed =
        listed.split_last().map_or(&[][..], |(_, before)| before).iter().filter(|piece| piece.first > through);
    let old: Vec<Listed> = unsealed.take_while(is_old).cloned().collect();
    if old.len() < options.pieces { Vec::new() } else { old }
}

/// Which segments are so old that no process still brings an event of theirs that no object has.
fn old_segments(mut segments: Vec<Segment>, present: Timestamp, options: &ArchiveOptions) -> Vec<Segment> {
    let after = u64::try_from(options.ids_after.as_millis()).unwrap_or(u64::MAX);
    let age = |segment: &Segment| present.unix_ms().saturating_sub(segment.created.unix_ms());
    segments.retain(|segment| segment.counts() && age(segment) >= after);
    segments
}

impl Inner {
    /// Moves old records to the store of results, if it is time to look for some.
    pub(super) async fn look_at_records(&self) -> Result<(), StoreError> {
        // Several times while they become old.
        let is_due = is_time(&mut self.archive.index_mut().records_at, self.archive.options.records_after / 8);
        if is_due {
            while self.seal_old_records().await? {}
        }
        let ids_are_due = is_time(&mut self.archive.index_mut().ids_at, self.archive.options.ids_after);
        if ids_are_due {
            self.look_for_events().await?;
        }
        self.forget_ids().await
    }

    /// Looks for the events of old segments that no object has, so that their ids are forgotten later.
    ///
    /// What is on record, and in no object, comes into none later. But a process that read an object just before it went, or whose watch is
    /// behind, may still bring its events: they are known for as long as records wait before they are moved.
    async fn look_for_events(&self) -> Result<(), StoreError> {
        // What was found before is not put off.
        if self.archive.index().forgetting.is_some() {
            return Ok(());
        }
        // Before the look at the objects: what is on record by then, and in none of them, is in none later.
        let segments = old_segments(self.audit.segments().await?, now(), &self.archive.options);
        if segments.is_empty() {
            return Ok(());
        }
        let wanted = self.events_of_objects().await?;
        let at = Instant::now() + self.archive.options.records_after;
        self.archive.index_mut().forgetting = Some(Forgetting { at, segments, wanted });
        Ok(())
    }

    /// Takes the ids of events out of the objects of old segments, if it is time, except those that an object had at the last look: those may
    /// be brought again, and are on record. Others are brought by none, and would stay for ever.
    async fn forget_ids(&self) -> Result<(), StoreError> {
        let present = Instant::now();
        let forgetting = self.archive.index_mut().forgetting.take_if(|forgetting| forgetting.at <= present);
        let Some(Forgetting { segments, wanted, .. }) = forgetting else { return Ok(()) };
        for segment in segments {
            if self.audit.keep_ids(&segment, &wanted).await? {
                tracing::info!(first = segment.first, "events of old records cannot be brought again");
            }
        }
        Ok(())
    }

    /// Seals the first records as one segment, if they are old enough; whether it did.
    async fn seal_old_records(&self) -> Result<bool, StoreError> {
        let listed = self.audit.first_pieces(self.archive.options.pieces.saturating_add(1)).await?;
        // After the pieces: those that another replica seals in between are known to be sealed.
        let segments = self.audit.segments().await?;
        let is_given_up = |segment: &Segment| is_given_up(segment.created, &self.archive.options);
        for segment in segments.iter().filter(|segment| !segment.counts() && is_given_up(segment)) {
            // The object first: a process that is slow and not dead may still make it count.
            if self.audit.remove_segment(segment, Some(segment.version)).await? {
                self.results.remove_archived(&segment.form.stored).await.map_err(lost)?;
            }
        }
        let through = sealed_through(&segments);
        // What is sealed and was left by a process that was killed comes first, and makes room.
        let sealed: Vec<u64> = listed.iter().map(|piece| piece.first).filter(|first| *first <= through).collect();
        for segment in segments.iter().filter(|segment| segment.counts()) {
            if sealed.iter().any(|first| (segment.first..=segment.form.through).contains(first)) {
                self.is_sealed(&segment.form).await?;
            }
        }
        self.remove_pieces(sealed).await?;
        let old = old_pieces(&listed, through, now(), &self.archive.options);
        let before = segments.iter().rfind(|segment| segment.counts());
        match self.gather(before, old).await? {
            Some(gathered) => self.seal_records(gathered).await,
            None => Ok(false),
        }
    }

    /// Reads what goes into one segment; none if there is nothing, or it is going already.
    async fn gather(&self, before: Option<&Segment>, old: Vec<Listed>) -> Result<Option<Gathered>, StoreError> {
        let Some(first) = old.first().map(|piece| piece.first) else { return Ok(None) };
        let mut last = before.map(|segment| (segment.form.through, segment.form.hash));
        let (mut gathered, mut bytes) =
            (Gathered { first, records: Vec::new(), pieces: Vec::new(), ids: BTreeSet::new() }, 0);
        let firsts: Vec<u64> = old.iter().map(|piece| piece.first).collect();
        let mut reading = std::pin::pin!(stream::iter(firsts).map(|first| self.audit.piece(first)).buffered(AT_ONCE));
        for piece in old {
            let Some(read) = reading.next().await else { break };
            let Some(records) = read? else { return Ok(None) };
            for record in &records {
                // The first record that there is follows from one that was taken out.
                let previous = last.unwrap_or((record.sequence.saturating_sub(1), record.previous));
                let previous = Some(previous).filter(|_| record.sequence > 1);
                if let Err(broken) = record.verify(previous) {
                    let text = format!("the audit log is not a chain, and stays where it is: {broken}");
                    return Err(StoreError::Unavailable(text));
                }
                last = Some((record.sequence, record.hash));
                bytes += record.event.detail.len() + record.event.subject.len() + 512;
            }
            let is_full = gathered.records.len() + records.len() > MOST_RECORDS || bytes > MOST_BYTES;
            if is_full && !gathered.records.is_empty() {
                break;
            }
            gathered.records.extend(records);
            gathered.pieces.push(piece.first);
            gathered.ids.extend(piece.ids);
        }
        Ok(Some(gathered))
    }

    /// Seals records as one segment, and removes the pieces that they were in. False: another replica seals them.
    async fn seal_records(&self, gathered: Gathered) -> Result<bool, StoreError> {
        let Gathered { first, records, pieces, ids } = gathered;
        let Some(last) = records.last() else { return Ok(false) };
        let times = || records.iter().map(|record| record.event.at);
        let unusable = |error: &dyn std::fmt::Display| StoreError::Unavailable(error.to_string());
        let form = Form {
            through: last.sequence,
            hash: last.hash,
            from: times().min().unwrap_or(last.event.at),
            to: times().max().unwrap_or(last.event.at),
            stored: new_name("audit").map_err(|error| unusable(&error))?,
            sha256: None,
        };
        let mut lines = Vec::new();
        for record in &records {
            serde_json::to_writer(&mut lines, record).map_err(|error| unusable(&error))?;
            lines.push(b'\n');
        }
        // Another replica is sealing them, or was killed while it did.
        let Some(announced) = self.audit.announce(first, &form, &ids).await? else { return Ok(false) };
        let sha256 = self.results.archive(&form.stored, lines, self.archive_key().await?).await.map_err(lost)?;
        let form = Form { sha256: Some(sha256), ..form };
        if !self.audit.count(announced, &form).await? {
            self.results.remove_archived(&form.stored).await.map_err(lost)?;
            return Ok(false);
        }
        tracing::info!(first, through = form.through, "records of the audit log are sealed");
        self.is_sealed(&form).await?;
        self.remove_pieces(pieces).await?;
        self.audit.forget().await;
        Ok(true)
    }

    /// Fails unless what was sealed is in the store. It is about to be the only copy.
    async fn is_sealed(&self, form: &Form) -> Result<(), StoreError> {
        let found = match form.sha256 {
            Some(sha256) => {
                self.results.archived(&form.stored, sha256, self.archive_key().await?).await.map_err(lost)?
            }
            None => None,
        };
        let missing =
            || StoreError::Unavailable(format!("the result store does not have what was sealed as {}", form.stored));
        found.map(drop).ok_or_else(missing)
    }

    async fn remove_pieces(&self, pieces: Vec<u64>) -> Result<(), CallError> {
        let removing = stream::iter(pieces).map(|first| self.audit.remove_piece(first)).buffered(AT_ONCE);
        let removed: Vec<Result<(), CallError>> = removing.collect().await;
        removed.into_iter().collect()
    }

    /// The records of a segment; none: the store does not have them, or has something else in their place.
    pub(in crate::backend) async fn sealed_records(
        &self,
        segment: &Segment,
    ) -> Result<Option<Arc<Vec<AuditRecord>>>, StoreError> {
        let Some(sha256) = segment.form.sha256 else { return Ok(None) };
        let mut opened = self.archive.opened.lock().await;
        if let Some((of, records)) = &*opened
            && *of == sha256
        {
            return Ok(Some(Arc::clone(records)));
        }
        let key = self.archive_key().await?;
        let lines = self.results.archived(&segment.form.stored, sha256, key).await.map_err(lost)?;
        let Some(lines) = lines else { return Ok(None) };
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let read = lines.map(serde_json::from_slice).collect::<Result<Vec<AuditRecord>, _>>();
        let records = Arc::new(read.map_err(|error| StoreError::Unavailable(error.to_string()))?);
        *opened = Some((sha256, Arc::clone(&records)));
        Ok(Some(records))
    }

    /// Takes a segment out of the log. A process that is killed in between leaves one that does not count, and goes later.
    pub(in crate::backend) async fn remove_segment(&self, segment: &Segment) -> Result<(), StoreError> {
        if self.audit.end(segment).await? {
            self.results.remove_archived(&segment.form.stored).await.map_err(lost)?;
            self.audit.remove_segment(segment, None).await?;
        }
        Ok(())
    }
}

/// The store of results failed.
fn lost(error: PublishError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ids_stay_while_a_process_may_bring_an_event_again() {
        let options = ArchiveOptions { ids_after: Duration::from_secs(100), ..ArchiveOptions::default() };
        let segment = |first: u64, age: u64, sha256| Segment {
            first,
            form: Form {
                through: first + 9,
                hash: Sha256::of(b"a"),
                from: Timestamp::from_unix_ms(1),
                to: Timestamp::from_unix_ms(2),
                stored: String::new(),
                sha256,
            },
            created: Timestamp::from_unix_ms(1_000_000 - age * 1000),
            uid: None,
            version: 4,
        };
        let counts = Some(Sha256::of(b"b"));
        let segments =
            vec![segment(1, 900, counts), segment(11, 100, counts), segment(21, 99, counts), segment(31, 900, None)];
        let old = old_segments(segments, Timestamp::from_unix_ms(1_000_000), &options);
        assert_eq!(old.iter().map(|segment| segment.first).collect::<Vec<_>>(), [1, 11]);
    }

    #[test]
    fn pieces_wait_until_many_are_old_and_the_last_one_stays() {
        let options =
            ArchiveOptions { records_after: Duration::from_secs(100), pieces: 3, ..ArchiveOptions::default() };
        let present = Timestamp::from_unix_ms(1_000_000);
        let piece = |(first, age): (u64, u64)| Listed {
            first,
            created: Timestamp::from_unix_ms(1_000_000 - age * 1000),
            ids: BTreeSet::new(),
        };
        for (what, pieces, through, expected) in [
            ("none", vec![], 0, vec![]),
            ("one", vec![(1, 900)], 0, vec![]),
            ("too few beside the last one", vec![(1, 900), (2, 900), (3, 900)], 0, vec![]),
            ("enough", vec![(1, 900), (2, 900), (5, 900), (6, 900)], 0, vec![1, 2, 5]),
            ("too few old ones", vec![(1, 900), (2, 900), (5, 99), (6, 98)], 0, vec![]),
            ("the young ones stay", vec![(1, 900), (2, 900), (5, 100), (6, 99), (7, 98)], 0, vec![1, 2, 5]),
            (
                "one after a young one stays",
                vec![(1, 900), (2, 900), (5, 900), (6, 99), (7, 900), (8, 1)],
                0,
                vec![1, 2, 5],
            ),
            ("sealed ones do not count", vec![(1, 900), (2, 900), (5, 900), (6, 900)], 4, vec![]),
            ("sealed ones do not go again", vec![(2, 900), (5, 900), (6, 900), (7, 900), (8, 9)], 4, vec![5, 6, 7]),
        ] {
            let listed: Vec<Listed> = pieces.into_iter().map(piece).collect();
            let old = old_pieces(&listed, through, present, &options);
            assert_eq!(old.iter().map(|piece| piece.first).collect::<Vec<_>>(), expected, "{what}");
        }
    }
}
