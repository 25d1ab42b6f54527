use super::{CLAIM, has_ended};
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
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(10);
/// When to give up: a killed process that does not go is the kernel's.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends the run of a folder, whoever started it, and waits until it has ended. Its guest goes with it: the kernel kills
/// that when the supervisor ends.
///
/// # Errors
/// If it cannot be ended.
pub(crate) async fn stop(folder: &Path) -> io::Result<()> {
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
            // It has not begun yet, and does not begin once somebody else has its claim.
            None => forestall(folder)?,
        }
        if began.elapsed() > PATIENCE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the sandbox does not end"));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// The process that runs in a folder, if its claim says which and it goes on.
fn process(folder: &Path) -> io::Result<Option<OwnedFd>> {
    let text = match fs::read_to_string(folder.join(CLAIM)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
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
    // While the lock is held, the process that holds it is alive and its number is nobody else's.
    Ok((!has_ended(folder)?).then_some(process))
}

fn signal(process: &OwnedFd, signal: Signal) -> io::Result<()> {
    match pidfd_send_signal(process, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes the claim, so that a run that has not begun does not.
fn forestall(folder: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(folder.join(CLAIM)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}
