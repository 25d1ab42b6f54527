//! Whether records are one chain: nothing changed, nothing missing in between, and what is missing at the beginning was archived.

use crate::exit::{Ended, FAILED};
use cloister_model::{Archived, AuditRecord, Sha256};

/// A hash chain, as far as it has been read.
#[derive(Debug, Default)]
pub(super) struct Chain {
    last: Option<(u64, Sha256)>,
    /// A hash that must still appear.
    wanted: Option<Sha256>,
    unseen: Option<Unseen>,
    /// The last record of the archives, if the log itself is read now and has not come to it.
    archives: Option<(u64, Sha256)>,
    read: u64,
}

/// Records before the first one that was read.
#[derive(Debug)]
struct Unseen {
    /// The last of them, and its hash as the record after it has it.
    through: u64,
    hash: Sha256,
    /// The hashes of the records after them, until one says that they were archived.
    after: Vec<Sha256>,
    is_archived: bool,
}

/// What is known of a chain at its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// How many records were read.
    pub(super) records: u64,
    /// The hash of the last record.
    pub(super) head: Option<Sha256>,
    /// The last record that was archived and not read.
    pub(super) unseen: Option<u64>,
}

fn broken(problem: impl std::fmt::Display) -> anyhow::Error {
    Ended::error(FAILED, format!("the audit log was changed: {problem}"))
}

impl Chain {
    /// A chain that must contain this hash.
    pub(super) fn new(wanted: Option<Sha256>) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// The last record that was read.
    pub(super) fn last(&self) -> Option<(u64, Sha256)> {
        self.last
    }

    /// Adds the next record.
    ///
    /// # Errors
    /// If it does not follow from the one before it.
    pub(super) fn add(&mut self, record: &AuditRecord) -> anyhow::Result<()> {
        if record.sequence == u64::MAX {
            return Err(broken("no record can follow one with its number"));
        }
        if self.archives.is_some() {
            return self.add_beside_archives(record);
        }
        self.follow(record)
    }

    /// From here on, records of the log itself are added, after those of its archives. The log may still have the last ones of
    /// those that were archived.
    pub(super) fn continue_with_log(&mut self) {
        self.archives = self.last;
    }

    /// Adds a record of the log whose archives were read. Up to their end, the log is compared with them by the hash of one record,
    /// which covers all before it.
    fn add_beside_archives(&mut self, record: &AuditRecord) -> anyhow::Result<()> {
        let Some((end, hash)) = self.archives else { return self.follow(record) };
        let before = record.sequence.saturating_sub(1);
        if before > end {
            let gap = format!("records {} to {before} are neither in the log nor in the archives", end + 1);
            return Err(broken(gap));
        }
        if before == end {
            // The log begins after the archives, or comes to their end.
            self.archives = None;
            self.last = Some((end, hash));
            return self.follow(record);
        }
        if self.last == self.archives {
            // The first record that both have.
            self.last = (before > 0).then_some((before, record.previous));
        }
        record.verify(self.last).map_err(broken)?;
        self.last = Some((record.sequence, record.hash));
        if record.sequence == end {
            if record.hash != hash {
                return Err(broken(format!("record {end} is another one than in the archives")));
            }
            self.archives = None;
        }
        Ok(())
    }

    fn follow(&mut self, record: &AuditRecord) -> anyhow::Result<()> {
        if self.last.is_none() && record.sequence > 1 {
            let (through, hash) = (record.sequence - 1, record.previous);
            self.unseen = Some(Unseen { through, hash, after: Vec::new(), is_archived: false });
            self.last = Some((through, hash));
        }
        record.verify(self.last).map_err(broken)?;
        self.last = Some((record.sequence, record.hash));
        self.read += 1;
        if self.wanted == Some(record.hash) {
            self.wanted = None;
        }
        if let Some(unseen) = &mut self.unseen {
            unseen.learn(record);
        }
        Ok(())
    }

    /// The end of the chain.
    ///
    /// # Errors
    /// If something is missing.
    pub(super) fn conclude(self) -> anyhow::Result<Verified> {
        if let Some((end, _)) = self.archives {
            // That records were archived is itself on record, after them.
            let next = if self.last == self.archives { end + 1 } else { end };
            return Err(broken(format!("the log ends before record {next}")));
        }
        let unseen = match self.unseen {
            Some(Unseen { through, is_archived: false, .. }) => {
                return Err(broken(format!(
                    "records 1 to {through} are missing, and no record says that they were archived"
                )));
            }
            unseen => unseen.map(|unseen| unseen.through),
        };
        if let Some(wanted) = self.wanted {
            let but = match unseen {
                Some(through) => {
                    format!(", it is among the records 1 to {through}, which are archived and were not read,")
                }
                None => String::new(),
            };
            let text = format!(
                "the chain is consistent but does not contain {wanted}: its newest records were deleted{but} or it is \
                 another service's"
            );
            return Err(Ended::error(FAILED, text));
        }
        Ok(Verified { records: self.read, head: self.last.map(|(_, hash)| hash), unseen })
    }
}

impl Unseen {
    /// Checks whether a record says that the missing ones were archived.
    fn learn(&mut self, record: &AuditRecord) {
        if self.is_archived {
            return;
        }
        self.after.push(record.hash);
        let Some(Archived { through, hash }) = Archived::of(record) else { return };
        let said = match through.checked_sub(self.through) {
            None => None,
            Some(0) => Some(self.hash),
            // It may name a later one: an engine may keep some that were archived.
            Some(later) => usize::try_from(later - 1).ok().and_then(|at| self.after.get(at).copied()),
        };
        if said == Some(hash) {
            self.is_archived = true;
            self.after = Vec::new();
        }
    }
}
