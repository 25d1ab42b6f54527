//! One process, from its start to its end: how long it took and how much memory it had.

#![expect(unsafe_code, reason = "wait4, the one call that also says what the process used")]

use anyhow::{Result, bail};
use std::{
    mem::MaybeUninit,
    process::Command,
    time::{Duration, Instant},
};

/// What a process used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    /// From before it was started until it was reaped.
    pub(crate) whole: Duration,
    /// The most memory that it, or any process that it started and waited for, had resident at once.
    pub(crate) peak_resident_bytes: u64,
}

/// Runs a command that must succeed.
pub(crate) fn time(command: &mut Command) -> Result<Used> {
    let started = Instant::now();
    let child = command.spawn().map_err(|error| anyhow::anyhow!("{command:?}: {error}"))?;
    let pid = child.id().cast_signed();
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: two places to write to, of the types that the call wants, that live through it. `child` is not waited
    // for in any other way.
    let reaped = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    let whole = started.elapsed();
    if reaped != pid {
        bail!("{command:?}: {}", std::io::Error::last_os_error());
    }
    if !(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0) {
        bail!("{command:?} ended with status {status:#x}");
    }
    // SAFETY: plain integers, all zero before the call and written by it.
    let usage = unsafe { usage.assume_init() };
    let peak_resident_bytes = u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024;
    Ok(Used { whole, peak_resident_bytes })
}
