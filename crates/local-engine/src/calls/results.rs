use crate::{
    engine::core::{Core, blocking},
    program::OUTPUTS,
    store::{Db, jobs},
};
use cloister_model::{ByteRange, EngineError, JobId, Phase, ResultFile, ResultKind, Shelf};
use cloister_results::PublishError;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// A part of the log, unless it waits with the outputs for somebody's word.
pub(super) async fn log(core: &Core, job: JobId, range: ByteRange) -> Result<Vec<u8>, EngineError> {
    let status = core.store.read(|db| jobs::status(db, job))?.ok_or(EngineError::NoSuchJob(job))?;
    let spec = core.store.read(|db| jobs::spec(db, job))?.ok_or(EngineError::NoSuchJob(job))?;
    if spec.terms.release.holds_log() && status.phase != Phase::Finished {
        return Ok(Vec::new());
    }
    let most = spec.terms.output_contract.max_log_bytes;
    let left = u32::try_from(most.saturating_sub(range.offset)).unwrap_or(u32::MAX);
    let range = ByteRange { at_most: range.at_most.min(left), ..range };
    let path = core.log_file(job);
    Ok(blocking(move || match File::open(path) {
        Ok(file) => part(&file, range),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    })
    .await?)
}

/// The files on a shelf.
pub(super) async fn list(core: &Core, job: JobId, shelf: Shelf) -> Result<Vec<ResultFile>, EngineError> {
    match shelf {
        Shelf::Released => {
            core.store.read_long(move |db| jobs::results(db, job)).await?.ok_or(EngineError::NoSuchJob(job))
        }
        Shelf::Held => {
            let status = core.store.read(|db| jobs::status(db, job))?.ok_or(EngineError::NoSuchJob(job))?;
            if status.phase != Phase::InReview {
                return Ok(Vec::new());
            }
            let held = core.store.read_long(move |db| jobs::outgoing(db, job)).await?;
            let held = held.ok_or(EngineError::NoSuchJob(job))?.unwrap_or_default();
            let file = |jobs::Outgoing { name, kind, bytes, sha256 }| ResultFile { name, kind, bytes, sha256 };
            Ok(held.into_iter().map(file).collect())
        }
    }
}

/// A part of one file.
pub(super) async fn read(
    core: &Core,
    job: JobId,
    shelf: Shelf,
    index: u32,
    range: ByteRange,
) -> Result<Vec<u8>, EngineError> {
    let files = list(core, job, shelf).await?;
    let missing = EngineError::NoSuchResult { job, index };
    let file = usize::try_from(index).ok().and_then(|index| files.get(index)).ok_or(missing.clone())?;
    match shelf {
        Shelf::Released => core.results.read(job, index, range).await.map_err(|error| match error {
            PublishError::Missing(_) => missing,
            other => EngineError::Unavailable(other.to_string()),
        }),
        Shelf::Held => {
            let (root, name) = match file.kind {
                ResultKind::Output => (core.home.job(job).join(OUTPUTS), PathBuf::from(&file.name)),
                _ => (core.home.job(job), PathBuf::from(crate::program::LOG)),
            };
            Ok(blocking(move || part(&below(&root, &name)?, range)).await.map_err(|error| match error {
                Db::Other(text) => EngineError::Unavailable(format!("a held result cannot be read: {text}")),
                other => other.into(),
            })?)
        }
    }
}

/// Opens a plain file below a folder; its name is a stranger's. No link is followed.
fn below(root: &Path, name: &Path) -> io::Result<File> {
    let root = rustix::fs::openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file =
        File::from(openat2(root, name, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// A part of a file, shorter than asked for only at its end.
pub(super) fn part(file: &File, range: ByteRange) -> io::Result<Vec<u8>> {
    let left = file.metadata()?.len().saturating_sub(range.offset).min(u64::from(range.at_most));
    let mut bytes = vec![0; usize::try_from(left).unwrap_or_default()];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, range.offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}
