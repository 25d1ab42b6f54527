#![expect(clippy::disallowed_methods, reason = "looks for the file that the user names")]

use super::Usage;
use std::{io, path::Path, thread, time::Duration};

/// How often the file is looked for. A look is one system call.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until a file exists, however long that takes: ending the process ends the wait.
///
/// # Errors
/// [`Usage`] if the file cannot be looked for.
pub(super) fn wait_until_there(path: &Path) -> anyhow::Result<()> {
    loop {
        match std::fs::symlink_metadata(path) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => thread::sleep(PAUSE),
            Err(error) => return Err(Usage::file("--wait-for", path, error)),
        }
    }
}
