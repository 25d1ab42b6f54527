use crate::{CLAIM, RunnerError, has_ended};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::{
    fs::{self, OpenOptions},
    io,
    os::fd::OwnedFd,
    path::Path,
    time::{Duration, Instant},
};

/// How long a run may take to end by itself once it was asked to.
const GRACE: Duration = Duration::from_millis(300);
/// Poll interval while it ends.
const POLL: Duration = Duration::from_millis(10);
/// When to give up: a killed process that does not end is the kernel's problem.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the run of a folder, whichever process started it, and waits until it has ended. Its guest ends with it: the kernel
/// kills the guest's process when the supervisor ends. A sandbox that was started and has not begun does not begin any more.
///
/// # Errors
/// [`RunnerError::StillRunning`] after a minute; [`RunnerError::Folder`].
pub async fn stop(folder: &Path) -> Result<(), RunnerError> {
    let began = Instant::now();
    let mut asked = None;
    let mut killed = false;
    while !has_ended(folder)? {
        match process(folder)? {
            Some(process) if asked.is_none() => {
                signal(&process, Signal::TERM)?;
                asked = Some(Instant::now());
            }
            Some(process) if !killed && asked.is_some_and(|asked| asked.elapsed() >= GRACE) => {
                signal(&process, Signal::KILL)?;
                killed = true;
            }
            Some(_) => {}
            // It has not begun yet, and it does not begin if its claim is taken.
            None => forestall(folder)?,
        }
        if began.elapsed() > PATIENCE {
            return Err(RunnerError::StillRunning);
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The process that runs in a folder, if its claim names it and it still runs.
fn process(folder: &Path) -> Result<Option<OwnedFd>, RunnerError> {
    let text = match fs::read_to_string(folder.join(CLAIM)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Without the line's end the number is not complete yet.
    let Some(pid) = text.strip_suffix('\n').and_then(|text| text.parse().ok()).and_then(Pid::from_raw) else {
        return Ok(None);
    };
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // While the lock is held, the process that holds it is alive, and no other process can have its id.
    Ok((!has_ended(folder)?).then_some(process))
}

fn signal(process: &OwnedFd, signal: Signal) -> Result<(), RunnerError> {
    match pidfd_send_signal(process, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes the claim, so that a run that has not begun does not begin.
fn forestall(folder: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(folder.join(CLAIM)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
