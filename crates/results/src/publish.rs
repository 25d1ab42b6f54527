use super::{
    Outgoing, PublishError, ResultStore,
    backend::{Key, Shipment},
    manifest::Manifest,
    part::Part,
};
use age::x25519::Recipient;
use cloister_files::{ProgressCounter, Watch, hash_reader};
use cloister_model::{
    AgeRecipient, FileDigest, JobId, Progress, PublishOrder, ResultFile, Sha256, StepName, StepReport, StepResult,
};
use futures_util::future::BoxFuture;
use std::{path::Path, sync::Arc};
use tokio::sync::OwnedMutexGuard;

/// Bytes of a file from which on it is noted that it is stored. Sending a smaller one again costs less than its note: a note is two
/// changes of the store, each of them on the disk before the next step.
const NOTED_BYTES: u64 = 1024 * 1024;

/// The results of a job that leave.
#[derive(Clone, Copy, Debug)]
struct Leaving<'a> {
    job: JobId,
    files: &'a [Outgoing],
    encrypt_to: Option<&'a AgeRecipient>,
}

impl ResultStore {
    /// Carries an order out: outputs are below `outputs`, by their names, and the log is `log`.
    pub async fn carry_out(&self, order: &PublishOrder, outputs: &Path, log: &Path, watch: &Watch) -> StepReport {
        let PublishOrder { version: _, job, files, encrypt_to } = order;
        let files: Vec<Outgoing> = files.iter().map(|file| Outgoing::of(file, outputs, log)).collect();
        let bytes = files.iter().map(|file| file.expected.bytes).sum();
        let published = self.publish(*job, &files, encrypt_to.as_ref(), watch).await;
        let progress = published.is_ok().then_some(Progress { done_bytes: bytes, total_bytes: Some(bytes) });
        let result = published.map_or_else(StepResult::from, |files| StepResult::Published { files });
        StepReport { progress, ..StepReport::new(*job, StepName::Publish, result) }
    }

    /// Keeps a job's results, encrypted to an age recipient if there is one: then names end in `.age`, and
    /// sizes and digests are those of the encrypted files. Cut short at any point, the same call again completes it;
    /// once done, it changes nothing, or encrypts them anew in another process. Nothing can be read before everything is there. A list that
    /// another program has left in the store counts for nothing.
    ///
    /// # Errors
    /// If a file cannot be read or is not what was checked, the store fails, or it is cancelled. After [`PublishError::Away`], [`PublishError::Refused`]
    /// and [`PublishError::Foreign`], the caller tries again later: the outputs wait where they are.
    pub fn publish<'a>(
        &'a self,
        job: JobId,
        files: &'a [Outgoing],
        encrypt_to: Option<&'a AgeRecipient>,
        watch: &'a Watch,
    ) -> BoxFuture<'a, Result<Vec<ResultFile>, PublishError>> {
        // Boxed, so that it is compiled here, and not again in each program.
        Box::pin(self.publish_once(Leaving { job, files, encrypt_to }, watch))
    }

    async fn publish_once(&self, leaving: Leaving<'_>, watch: &Watch) -> Result<Vec<ResultFile>, PublishError> {
        let alone = tokio::select! {
            biased;
            () = watch.cancel.cancelled() => return Err(PublishError::Cancelled),
            alone = self.alone(leaving.job).lock_owned() => Arc::new(alone),
        };
        // If the caller drops this, the thread that reads and writes must end, too. Until then it holds the job's lock.
        let watch = Watch { cancel: watch.cancel.child_token(), progress: watch.progress.clone() };
        let _ended = watch.cancel.clone().drop_guard();
        self.publish_alone(leaving, &watch, alone).await
    }

    async fn publish_alone(
        &self,
        leaving: Leaving<'_>,
        watch: &Watch,
        alone: Arc<OwnedMutexGuard<()>>,
    ) -> Result<Vec<ResultFile>, PublishError> {
        let Leaving { job, files, encrypt_to } = leaving;
        let recipient: Option<Recipient> =
            encrypt_to.map(|recipient| recipient.as_str().parse()).transpose().map_err(|_| PublishError::Recipient)?;
        if let Some(published) = until(watch, self.published(leaving)).await? {
            return Ok(published);
        }
        let progress = Arc::new(ProgressCounter::new(watch));
        progress.expect(files.iter().map(|file| file.bytes().ok()));
        let mut published = Vec::with_capacity(files.len());
        for (index, file) in files.iter().enumerate() {
            let index =
                u32::try_from(index).map_err(|_| PublishError::Store("a job has too many results".to_owned()))?;
            let version = file.version(encrypt_to)?;
            let stored = match until(watch, self.kept(job, index, file, version, recipient.is_some())).await? {
                Some(stored) => {
                    progress.add(file.bytes()?);
                    stored
                }
                None => {
                    let (recipient, cancel) = (recipient.clone(), watch.cancel.clone());
                    let (progress, alone) = (progress.clone(), alone.clone());
                    let shipment = Shipment { file: file.clone(), recipient, progress, cancel, alone };
                    self.send(job, index, version, shipment).await?
                }
            };
            let FileDigest { sha256, bytes } = stored;
            let ending = if recipient.is_some() { ".age" } else { "" };
            published.push(ResultFile { name: format!("{}{ending}", file.name), kind: file.kind, bytes, sha256 });
        }
        let manifest = Manifest::new(recipient.is_some(), published.clone()).write()?;
        until(watch, self.backend.put(job, Key::Manifest, manifest)).await?;
        self.has_written(job, &published);
        progress.report();
        // What is left of the notes does no harm, and goes with the job.
        for (index, _) in (0..).zip(&published).filter(|(_, file)| file.bytes >= NOTED_BYTES) {
            if self.backend.remove(job, Key::Part(index)).await.is_err() {
                break;
            }
        }
        Ok(published)
    }

    /// What was published of these files, completely; none: nothing, or something else.
    ///
    /// Every program that publishes can write to the store, and a list that one of them left there would become the list of this job.
    /// Where files leave as they are, it has to say what was checked. What is encrypted cannot be compared with that, so that only a
    /// list counts that this process has written.
    async fn published(&self, leaving: Leaving<'_>) -> Result<Option<Vec<ResultFile>>, PublishError> {
        let Leaving { job, files, encrypt_to } = leaving;
        let found = match self.manifest(job).await {
            Ok(Some(found)) => found,
            Ok(None) | Err(PublishError::Foreign) => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_it = match encrypt_to {
            None => found == files.iter().map(Outgoing::described).collect::<Vec<_>>(),
            Some(_) => self.wrote(job, &found),
        };
        Ok(Some(found).filter(|_| is_it))
    }

    /// What an earlier attempt stored of this file, completely.
    async fn kept(
        &self,
        job: JobId,
        index: u32,
        file: &Outgoing,
        version: Sha256,
        encrypted: bool,
    ) -> Result<Option<FileDigest>, PublishError> {
        let note = match self.backend.get(job, Key::Part(index)).await {
            // Whatever is in its place, it is no note.
            Err(PublishError::Foreign) => None,
            note => note?,
        };
        let Some(part) = note.and_then(|note| Part::read(&note)).filter(|part| part.encrypted == encrypted) else {
            return Ok(None);
        };
        if self.backend.size(job, Key::File(index)).await? != Some(part.stored.bytes) {
            return Ok(None);
        }
        // The version covers what was checked. Another version of the file may still hold the same bytes.
        let same = part.version == version
            || (!encrypted && part.stored == file.expected && digest(file.clone()).await? == part.stored);
        Ok(same.then_some(part.stored))
    }

    async fn send(
        &self,
        job: JobId,
        index: u32,
        version: Sha256,
        shipment: Shipment,
    ) -> Result<FileDigest, PublishError> {
        let encrypted = shipment.recipient.is_some();
        // A note must never stand beside a file that it was not written for.
        self.backend.remove(job, Key::Part(index)).await?;
        let stored = self.backend.send(job, Key::File(index), shipment).await?;
        if self.backend.size(job, Key::File(index)).await? != Some(stored.bytes) {
            return Err(PublishError::Refused("it holds another size than was sent".to_owned()));
        }
        if stored.bytes >= NOTED_BYTES {
            let part = Part { stored, version, encrypted };
            self.backend.put(job, Key::Part(index), part.write()).await?;
        }
        Ok(stored)
    }
}

/// The digest and the size of what leaves of a file.
pub(super) async fn digest(file: Outgoing) -> Result<FileDigest, PublishError> {
    let read = move || hash_reader(&mut file.open()?).map_err(|error| PublishError::file(&file.name, &error));
    let broken = |_| Err(PublishError::Store("a step of publishing broke".to_owned()));
    tokio::task::spawn_blocking(read).await.unwrap_or_else(broken)
}

async fn until<T>(watch: &Watch, work: impl Future<Output = Result<T, PublishError>>) -> Result<T, PublishError> {
    tokio::select! {
        biased;
        () = watch.cancel.cancelled() => Err(PublishError::Cancelled),
        done = work => done,
    }
}
