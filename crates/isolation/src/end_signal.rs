//! Whether this process got a signal to end from a sender that may end it.

#![expect(unsafe_code, reason = "signal handlers")]

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static RECEIVED: AtomicBool = AtomicBool::new(false);

/// Takes note of `SIGTERM`, `SIGINT` and `SIGHUP` instead of ending by them.
///
/// Process 1 of a container believes signals from outside the container only: what it runs could otherwise end it, and make
/// its own failure look like the machine's. `SIGKILL` from inside does not reach process 1 at all.
#[derive(Debug)]
pub struct EndSignal(());

impl EndSignal {
    /// From now on, signals are taken note of.
    ///
    /// # Errors
    /// If the kernel refuses a handler.
    pub fn listen() -> io::Result<Self> {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            // SAFETY: an all-zero `sigaction` is valid: no flags, an empty mask, the default action.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = note;
            action.sa_sigaction = handler as *const () as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            // SAFETY: `action` is initialised, and `note` does nothing that a signal handler may not.
            if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self(()))
    }

    /// Whether a signal to end was received.
    #[must_use]
    pub fn is_received(&self) -> bool {
        RECEIVED.load(Relaxed)
    }
}

extern "C" fn note(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid structure to a handler with `SA_SIGINFO`. Whatever the code, the number of the sender is
    // where `si_pid` looks, or was written there by the sender.
    let (code, sender) = unsafe { info.as_ref().map_or((libc::SI_USER, 0), |info| (info.si_code, info.si_pid())) };
    // SAFETY: takes nothing and cannot fail.
    let is_first = unsafe { libc::getpid() } == 1;
    // The number of a sender outside this pid namespace is 0. `sigqueue` lets the sender choose the number, and cannot choose
    // this code.
    if !is_first || (code == libc::SI_USER && sender == 0) {
        RECEIVED.store(true, Relaxed);
    }
}
