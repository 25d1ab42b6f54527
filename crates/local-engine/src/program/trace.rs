use super::{CLAIM, COMPLAINTS, LOCK, REPORT};
use cloister_model::{REPORT_VERSION, Report};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// The most bytes of a report: a hundred thousand files have room.
const MOST_REPORT_BYTES: u64 = 64 * 1024 * 1024;

/// What a run has left in its folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trace {
    /// The sandbox has begun.
    pub(crate) claimed: bool,
    /// It goes on.
    pub(crate) locked: bool,
    /// What it reported, once it does not go on.
    pub(crate) report: Option<Box<Report>>,
}

/// Looks at the folder of a run. Blocking.
pub(crate) fn look(folder: &Path) -> io::Result<Trace> {
    // In this order: a run that ends meanwhile has left its claim and its report.
    let locked = !has_ended(folder)?;
    let claimed = folder.join(CLAIM).try_exists()?;
    let report = if locked || !claimed { None } else { report(folder)? };
    Ok(Trace { claimed, locked, report })
}

/// Whether no run goes on in a folder.
pub(crate) fn has_ended(folder: &Path) -> io::Result<bool> {
    let lock = match File::open(folder.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    // Shared, so that two who look do not take each other for a run. Given back when the file is closed.
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The report, if it is whole: it is written at the end, and a run that was killed has none or a part.
fn report(folder: &Path) -> io::Result<Option<Box<Report>>> {
    let Some(bytes) = bounded(&folder.join(REPORT), MOST_REPORT_BYTES)? else { return Ok(None) };
    let report: Option<Report> = serde_json::from_slice(&bytes).ok();
    Ok(report.filter(|report| report.version == REPORT_VERSION).map(Box::new))
}

/// What the sandbox said when it could not run: its last words.
pub(crate) fn said(folder: &Path) -> String {
    let bytes = bounded(&folder.join(COMPLAINTS), 64 * 1024).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.strip_prefix("sandbox: ").unwrap_or(line).to_owned()
}

/// A plain file's bytes; none if it is not there or larger.
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
