//! What an engine without a place of its own keeps here beside the results: the report and the log of the run, and outputs that
//! wait for a reviewer. Who may read it, the engine decides.

use super::{
    Outgoing, PublishError, ResultStore,
    backend::{Key, Shipment},
    manifest::Manifest,
};
use cloister_files::{ProgressCounter, Watch};
use cloister_model::{ByteRange, FileDigest, JobId, ResultFile, ResultKind, Sha256};
use std::{path::Path, sync::Arc};

impl ResultStore {
    /// Keeps the report of a job's run.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn keep_report(&self, job: JobId, report: Vec<u8>) -> Result<(), PublishError> {
        self.backend.put(job, Key::Report, report).await
    }

    /// The report that was kept; none if none was.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn report(&self, job: JobId) -> Result<Option<Vec<u8>>, PublishError> {
        self.backend.get(job, Key::Report).await
    }

    /// Keeps at most so many bytes of the beginning of a log. A log that is missing is no error: the run did not begin to write it.
    ///
    /// # Errors
    /// If it cannot be read, or is changed meanwhile; if the store fails, or it is cancelled.
    pub async fn keep_log(&self, job: JobId, log: &Path, most_bytes: u64, watch: &Watch) -> Result<(), PublishError> {
        let whole = FileDigest { sha256: Sha256::from_bytes([0; 32]), bytes: most_bytes };
        let log =
            Outgoing { name: "log".to_owned(), kind: ResultKind::AlgorithmLog, path: log.to_owned(), expected: whole };
        // A container may have put a link or a pipe in its place.
        if !std::fs::symlink_metadata(&log.path).is_ok_and(|found| found.is_file()) {
            return Ok(());
        }
        let read = log.clone();
        let found = super::publish::digest(read).await?;
        self.ship(job, Key::Log, Outgoing { expected: found, ..log }, watch).await?;
        Ok(())
    }

    /// How many bytes of a log were kept; none if none was.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn log_bytes(&self, job: JobId) -> Result<Option<u64>, PublishError> {
        self.backend.size(job, Key::Log).await
    }

    /// A part of a log that was kept, of which `bytes` may be read. Shorter than asked for only at its end.
    ///
    /// # Errors
    /// If it was not kept, or the store fails.
    pub async fn read_log(&self, job: JobId, bytes: u64, range: ByteRange) -> Result<Vec<u8>, PublishError> {
        self.part(job, Key::Log, bytes, range).await
    }

    /// Keeps what was checked for a reviewer, as it is. Nothing of it can be read before everything is there.
    ///
    /// # Errors
    /// As [`ResultStore::publish`].
    pub async fn hold(&self, job: JobId, files: &[Outgoing], watch: &Watch) -> Result<(), PublishError> {
        let mut held = Vec::with_capacity(files.len());
        for (index, file) in (0_u32..).zip(files) {
            let FileDigest { sha256, bytes } = self.ship(job, Key::Held(index), file.clone(), watch).await?;
            held.push(ResultFile { name: file.name.clone(), kind: file.kind, bytes, sha256 });
        }
        self.backend.put(job, Key::HeldManifest, Manifest::new(false, held).write()?).await
    }

    /// What a reviewer may look at, in its order; none if it was not kept, or not completely.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn held(&self, job: JobId) -> Result<Option<Vec<ResultFile>>, PublishError> {
        let text = self.backend.get(job, Key::HeldManifest).await?;
        text.map(|text| Ok(Manifest::read(&text)?.files)).transpose()
    }

    /// A part of one file that a reviewer may look at. Shorter than asked for only at its end. None if nothing was kept, or not
    /// completely.
    ///
    /// # Errors
    /// [`PublishError::Missing`] if there is no such file, or if the store fails.
    pub async fn read_held(&self, job: JobId, index: u32, range: ByteRange) -> Result<Option<Vec<u8>>, PublishError> {
        let Some(files) = self.held(job).await? else { return Ok(None) };
        let file = usize::try_from(index).ok().and_then(|index| files.get(index)).ok_or(PublishError::Missing(job))?;
        self.part(job, Key::Held(index), file.bytes, range).await.map(Some)
    }

    /// Removes what a reviewer could read. It is not an error if there is nothing.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn remove_held(&self, job: JobId) -> Result<(), PublishError> {
        self.backend.remove(job, Key::HeldManifest).await?;
        self.backend.remove_below(job, "held").await
    }

    /// Removes a log that was kept. It is not an error if there is none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn remove_log(&self, job: JobId) -> Result<(), PublishError> {
        self.backend.remove(job, Key::Log).await
    }

    /// Removes outputs of a job that ended without a release, those that a reviewer could read included. Its report and its log
    /// stay. It is not an error if there are none.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn remove_outputs(&self, job: JobId) -> Result<(), PublishError> {
        let alone = self.alone(job);
        let _alone = alone.lock().await;
        self.backend.remove(job, Key::Manifest).await?;
        self.forget(job);
        self.remove_held(job).await?;
        for folder in ["files", "parts"] {
            self.backend.remove_below(job, folder).await?;
        }
        Ok(())
    }

    async fn ship(&self, job: JobId, key: Key, file: Outgoing, watch: &Watch) -> Result<FileDigest, PublishError> {
        let alone = Arc::new(self.alone(job).lock_owned().await);
        let watch = Watch { cancel: watch.cancel.child_token(), progress: watch.progress.clone() };
        // If the caller drops this, the thread that reads and writes must end, too.
        let _ended = watch.cancel.clone().drop_guard();
        let (progress, cancel) = (Arc::new(ProgressCounter::new(&watch)), watch.cancel.clone());
        let sent = self.backend.send(job, key, Shipment { file, recipient: None, progress, cancel, alone }).await?;
        if self.backend.size(job, key).await? != Some(sent.bytes) {
            return Err(PublishError::Refused("it holds another size than was sent".to_owned()));
        }
        Ok(sent)
    }
}
