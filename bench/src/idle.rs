//! Threads that take no processor from what is measured.
#![expect(unsafe_code, reason = "sched_setscheduler has no safe form in the crates of this workspace")]

use anyhow::{Result, ensure};

/// From now on, this thread runs only while a processor has nothing else to do: anything else that wakes up goes first.
pub(crate) fn only_when_idle() -> Result<()> {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters are there for the time of the call, and 0 means this thread.
    let outcome = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const none) };
    ensure!(outcome == 0, "sched_setscheduler: {}", std::io::Error::last_os_error());
    Ok(())
}
