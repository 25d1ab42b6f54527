use crate::{CLAIM, LOCK, REPORT, RunnerError, STDERR};
use cloister_lifecycle::RunTrace;
use cloister_model::{REPORT_VERSION, Report};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    time::Duration,
};

/// The most bytes of a report: a hundred thousand files have room.
const MOST_REPORT_BYTES: u64 = 64 * 1024 * 1024;

/// The most bytes of the sandbox's stderr that are read.
const MOST_STDERR_BYTES: u64 = 64 * 1024;

/// Poll interval while waiting for a run that another process started: a lock gives no notice.
const POLL: Duration = Duration::from_millis(20);

/// Observes the run of a folder. Blocking.
///
/// # Errors
/// [`RunnerError::Folder`].
pub fn look(folder: &Path) -> Result<RunTrace, RunnerError> {
    // The lock first: a run that ends while this function reads has left its claim and its report by then.
    let locked = !has_ended(folder)?;
    let claimed = folder.join(CLAIM).try_exists()?;
    let report = if locked || !claimed { None } else { report(folder)? };
    let last_words = if locked || report.is_some() { String::new() } else { last_words(folder) };
    Ok(RunTrace { claimed, locked, report, last_words })
}

/// Whether no run goes on in a folder. Blocking, for as long as opening a file takes.
///
/// # Errors
/// [`RunnerError::Folder`].
pub fn has_ended(folder: &Path) -> Result<bool, RunnerError> {
    let lock = match File::open(folder.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    // Shared, so that two observers do not take each other for a run. Released when the file is closed.
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Waits until no run goes on in a folder. Without a time limit: the caller has one, and drops the future when it passes.
///
/// # Errors
/// [`RunnerError::Folder`].
pub async fn wait_for_end(folder: &Path) -> Result<(), RunnerError> {
    while !has_ended(folder)? {
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The report, if it is whole: it is written at the end, and a run that was killed has none, or a part of one.
fn report(folder: &Path) -> io::Result<Option<Box<Report>>> {
    let Some(bytes) = bounded(&folder.join(REPORT), MOST_REPORT_BYTES)? else { return Ok(None) };
    let report: Option<Report> = serde_json::from_slice(&bytes).ok();
    Ok(report.filter(|report| report.version == REPORT_VERSION).map(Box::new))
}

/// What the sandbox wrote last to stderr, when it could not run. Empty if that cannot be read: it is for people.
fn last_words(folder: &Path) -> String {
    let bytes = bounded(&folder.join(STDERR), MOST_STDERR_BYTES).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.strip_prefix("sandbox: ").unwrap_or(line).to_owned()
}

/// The bytes of a plain file; none if it is not there, or larger.
fn bounded(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}
