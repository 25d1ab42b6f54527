//! What this process gives up before it starts the algorithm, for itself and everything that it starts. None of it needs a
//! right, so that it is there in every container.

use crate::Run;
use cloister_isolation::{
    Rlimits, Status, close_rest, drop_capabilities, no_new_privs, refuse_ways_out, restrict_writes, undumpable,
};
use rustix::{
    fd::{AsFd as _, OwnedFd},
    fs::{Mode, OFlags, open},
};
use std::path::Path;

/// Devices without effect, and what a process says of itself.
const HARMLESS: [&str; 10] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/shm",
    "/proc",
];

/// Descriptors of each process.
const OPEN_FILES: u64 = 4096;

/// Puts up the walls. Call it before there is a second thread, with everything open that this process needs.
///
/// # Errors
/// The first wall that has to be there and cannot be: then nothing may be started.
pub(crate) fn put_up(run: &Run) -> Result<(), String> {
    undumpable().map_err(|error| format!("this process cannot be made unreadable: {error}"))?;
    close_rest();
    required(no_new_privs())?;
    required(drop_capabilities())?;
    let limit = |number: u64| (number > 0).then_some(number);
    let limits = Rlimits {
        cpu_seconds: limit(run.cpu_seconds),
        // This process writes the log, and is bound by them, too.
        file_bytes: limit(run.file_bytes).map(|bytes| bytes.max(run.log_bytes)),
        open_files: OPEN_FILES,
        processes: limit(run.processes),
        ..Rlimits::default()
    };
    limits.set_here().map_err(|error| format!("a limit cannot be set: {error}"))?;
    // Not every kernel has it, and nothing that is believed depends on it.
    restrict(run);
    required(refuse_ways_out())
}

fn required(status: Status) -> Result<(), String> {
    match status {
        Status::Enforced(_) => Ok(()),
        Status::Partial(why) | Status::Absent(why) => Err(why),
    }
}

/// Keeps the algorithm from changing anything but its outputs and its temporary files: the log, and the file that the kubelet
/// shows to others, stay as this process leaves them.
fn restrict(run: &Run) -> Status {
    let places = run.writable.iter().map(std::path::PathBuf::as_path).chain(HARMLESS.map(Path::new));
    let open = |path: &Path| open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
    let open: Vec<OwnedFd> = places.filter_map(open).collect();
    let borrowed: Vec<_> = open.iter().map(OwnedFd::as_fd).collect();
    restrict_writes(&borrowed)
}
