use bytes::Bytes;
use cloister_files::hash_reader;
use cloister_model::{FileDigest, Sha256};
use sha2::Digest as _;
use std::{
    fs::{self, File, Permissions},
    io::{self, Seek, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tokio::{sync::mpsc, task::JoinHandle};

/// Chunks that may wait for the disk. They are what the network gives, some hundred KiB at most.
const MOST_WAITING: usize = 8;

/// A file on its way into the cache: written and hashed on a thread of its own. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Partial {
    steps: mpsc::Sender<Step>,
    writer: JoinHandle<io::Result<Option<Fresh>>>,
}

#[derive(Debug)]
enum Step {
    Write(Bytes),
    StartOver,
    Finish,
}

/// A complete file that has no name in the cache yet. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Fresh {
    path: Option<PathBuf>,
    file: FileDigest,
}

/// Removes a file that is not finished.
struct Unfinished(Option<PathBuf>);

impl Partial {
    pub(super) fn begin(path: &Path) -> io::Result<Self> {
        let unfinished = Unfinished(Some(path.to_owned()));
        let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        let (steps, queue) = mpsc::channel(MOST_WAITING);
        Ok(Self { steps, writer: tokio::task::spawn_blocking(move || write(unfinished, file, queue)) })
    }

    /// Adds to it. An error of the disk can show at a later call.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        self.step(Step::Write(bytes)).await
    }

    /// Forgets what was written.
    pub(crate) async fn start_over(&mut self) -> io::Result<()> {
        self.step(Step::StartOver).await
    }

    /// All has been written: stores it for good.
    pub(crate) async fn finish(mut self) -> io::Result<Fresh> {
        self.step(Step::Finish).await?;
        match self.writer.await {
            Ok(result) => result?.ok_or_else(|| io::Error::other("the writer ended early")),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    async fn step(&mut self, step: Step) -> io::Result<()> {
        if self.steps.send(step).await.is_ok() {
            return Ok(());
        }
        match (&mut self.writer).await {
            Ok(Err(error)) => Err(error),
            _ => Err(io::Error::other("the writer ended early")),
        }
    }
}

fn write(mut unfinished: Unfinished, mut file: File, mut queue: mpsc::Receiver<Step>) -> io::Result<Option<Fresh>> {
    let (mut hash, mut bytes) = (sha2::Sha256::new(), 0_u64);
    while let Some(step) = queue.blocking_recv() {
        match step {
            Step::Write(chunk) => {
                file.write_all(&chunk)?;
                hash.update(&chunk);
                bytes += u64::try_from(chunk.len()).map_err(io::Error::other)?;
            }
            Step::StartOver => {
                file.set_len(0)?;
                file.rewind()?;
                hash = sha2::Sha256::new();
                bytes = 0;
            }
            Step::Finish => {
                file.set_permissions(Permissions::from_mode(0o444))?;
                // What is in the cache is believed after a crash, too.
                file.sync_data()?;
                let file = FileDigest { sha256: Sha256::from_bytes(hash.finalize().into()), bytes };
                return Ok(Some(Fresh { path: unfinished.0.take(), file }));
            }
        }
    }
    Ok(None)
}

impl Fresh {
    /// Another name for a file that exists and never changes. A copy, where there can be no other name.
    pub(super) fn linked(existing: &Path, path: PathBuf) -> io::Result<Self> {
        let mut unfinished = Unfinished(Some(path.clone()));
        if fs::hard_link(existing, &path).is_err() {
            fs::copy(existing, &path)?;
        }
        fs::set_permissions(&path, Permissions::from_mode(0o444))?;
        let mut opened = File::open(&path)?;
        if !opened.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let file = hash_reader(&mut opened)?;
        opened.sync_data()?;
        Ok(Self { path: unfinished.0.take(), file })
    }

    pub(crate) fn file(&self) -> FileDigest {
        self.file
    }

    /// Where it is, from now on for the caller to remove.
    pub(super) fn keep_path(mut self) -> io::Result<PathBuf> {
        self.path.take().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        drop(Unfinished(self.path.take()));
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}
