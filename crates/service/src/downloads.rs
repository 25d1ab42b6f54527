//! Files that are sent to readers: results of jobs, outputs under review, files of assets. Which of them may be read is
//! decided by the use case that gives a [`ReadableFile`]; its bytes can be read once the download is on record.

use crate::{
    Actor, Principal, UseCases,
    jobs::{JobAccess, JobError},
};
use cloister_model::{
    AuditAction, AuditEvent, ByteRange, EngineError, FileDigest, JobId, ResultFile, ResultSet, Sha256, StoreError,
};
use serde_json::json;
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// A day in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Downloads that are remembered as recorded: beyond that, a download may be recorded once more.
const MOST_REMEMBERED: usize = 16 * 1024;

/// A file that the caller may read.
#[derive(Clone, Debug)]
pub struct ReadableFile {
    use_cases: UseCases,
    name: String,
    file: FileDigest,
    content: Content,
    record: AuditEvent,
}

/// A file that is being read: its download is on record.
#[derive(Clone, Debug)]
pub struct OpenFile {
    use_cases: UseCases,
    content: Content,
}

#[derive(Clone, Copy, Debug)]
enum Content {
    Result { job: JobId, set: ResultSet, index: u32 },
    Inspected(Sha256),
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// The file does not exist (any more), or the caller may not see it.
    #[error("there is no such file that you may see")]
    NotFound,
    /// It is still being fetched from where it is.
    #[error("the file is still being fetched from its source; asking again continues")]
    Pending,
    /// Its source could not be read, and why: for the publisher of the file and operators.
    #[error("the file could not be fetched from where it is kept: {0}")]
    Source(String),
    /// The same, for every other reader: not where the file is kept.
    #[error("the file could not be fetched from where its publisher keeps it; ask its publisher")]
    Unavailable,
    /// The engine.
    #[error(transparent)]
    Engine(EngineError),
    /// The store.
    #[error(transparent)]
    Store(StoreError),
}

impl From<EngineError> for DownloadError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NoSuchJob(_) | EngineError::NoSuchResult { .. } => Self::NotFound,
            other => Self::Engine(other),
        }
    }
}

impl From<StoreError> for DownloadError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing => Self::NotFound,
            other => Self::Store(other),
        }
    }
}

impl ReadableFile {
    /// A file that an inspection fetched.
    pub(crate) fn inspected(use_cases: &UseCases, name: String, file: FileDigest, record: AuditEvent) -> Self {
        Self { use_cases: use_cases.clone(), name, file, content: Content::Inspected(file.sha256), record }
    }

    /// Its name: a stranger's text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its digest and its size.
    #[must_use]
    pub fn file(&self) -> FileDigest {
        self.file
    }

    /// Puts the download on record. A record stands for all reads of the file by the same reader on the same day (UTC),
    /// so that a client that reads a file in a thousand parts does not make a thousand records.
    ///
    /// # Errors
    /// If it cannot be recorded.
    pub async fn open(self) -> Result<OpenFile, DownloadError> {
        let Self { use_cases, content, record, .. } = self;
        use_cases.record_download(record).await?;
        Ok(OpenFile { use_cases, content })
    }
}

impl OpenFile {
    /// A part of the file. Shorter than asked for only at its end.
    ///
    /// # Errors
    /// [`DownloadError::NotFound`] if the file is gone; [`DownloadError::Engine`]; [`DownloadError::Store`].
    pub async fn read(&self, range: ByteRange) -> Result<Vec<u8>, DownloadError> {
        let backend = self.use_cases.backend();
        match self.content {
            Content::Result { job, set, index } => Ok(backend.read_result(job, set, index, range).await?),
            Content::Inspected(sha256) => Ok(backend.read_inspected(sha256, range).await?),
        }
    }
}

impl UseCases {
    /// Puts a download on record, unless the same reader's download of the same file is on record for this day.
    pub(crate) async fn record_download(&self, record: AuditEvent) -> Result<(), StoreError> {
        let key = RecordedDownloads::key(&record);
        if !self.downloads().contains(&key) {
            self.record(record).await?;
            self.downloads().insert(key);
        }
        Ok(())
    }

    /// A released file of a job, by its place.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn result_file(&self, actor: &Actor, job: JobId, index: u32) -> Result<ReadableFile, JobError> {
        self.find_job(actor, job, JobAccess::Results).await?;
        self.file_of_job(actor, job, ResultSet::Released, index).await
    }

    /// An output that waits for this reviewer's decision, by its place.
    ///
    /// # Errors
    /// [`JobError::NotInReview`], [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn output_under_review(&self, who: &Principal, job: JobId, index: u32) -> Result<ReadableFile, JobError> {
        self.find_in_review(who, job, JobAccess::ReadHeld).await?;
        self.file_of_job(&who.clone().into(), job, ResultSet::UnderReview, index).await
    }

    async fn file_of_job(
        &self,
        actor: &Actor,
        job: JobId,
        set: ResultSet,
        index: u32,
    ) -> Result<ReadableFile, JobError> {
        let files = self.backend().results(job, set).await?;
        let file = usize::try_from(index).ok().and_then(|index| files.into_iter().nth(index));
        let ResultFile { name, kind, bytes, sha256 } = file.ok_or(JobError::NotFound)?;
        let held = set == ResultSet::UnderReview;
        let detail = json!({"index": index, "kind": kind, "bytes": bytes, "sha256": sha256, "held": held});
        let status = self.backend().status(job).await?;
        let record = actor.event(self.now(), AuditAction::ResultDownloaded, &status, detail);
        let (file, content) = (FileDigest { sha256, bytes }, Content::Result { job, set, index });
        Ok(ReadableFile { use_cases: self.clone(), name, file, content, record })
    }
}

/// Downloads that are on record, in memory: after a restart, they are recorded once more.
#[derive(Debug, Default)]
pub(crate) struct RecordedDownloads(Mutex<HashSet<Sha256>>);

impl RecordedDownloads {
    /// What a record stands for: everything in it but the time of day.
    fn key(event: &AuditEvent) -> Sha256 {
        let AuditEvent { at, actor, action, subject, detail } = event;
        let day = at.unix_ms() / DAY_MS;
        Sha256::of(json!([day, actor, action, subject, detail]).to_string().as_bytes())
    }

    fn contains(&self, key: &Sha256) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    fn insert(&self, key: Sha256) {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.len() >= MOST_REMEMBERED {
            recorded.clear();
        }
        recorded.insert(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::Timestamp;

    #[test]
    fn a_record_stands_for_one_reader_file_and_day() {
        let event = |at, actor: &str, detail: &str| AuditEvent {
            at: Timestamp::from_unix_ms(at),
            actor: actor.to_owned(),
            action: AuditAction::ResultDownloaded,
            subject: "job".to_owned(),
            detail: detail.to_owned(),
        };
        let key = |event| RecordedDownloads::key(&event);
        let first = key(event(5, "bob", "0"));
        assert_eq!(first, key(event(DAY_MS - 1, "bob", "0")));
        for other in [event(DAY_MS, "bob", "0"), event(5, "carol", "0"), event(5, "bob", "1")] {
            assert_ne!(first, key(other));
        }
        let recorded = RecordedDownloads::default();
        assert!(!recorded.contains(&first));
        recorded.insert(first);
        assert!(recorded.contains(&first));
        for n in 0..=MOST_REMEMBERED {
            recorded.insert(Sha256::of(&n.to_be_bytes()));
        }
        assert!(recorded.0.lock().expect("the set").len() <= MOST_REMEMBERED);
    }
}
