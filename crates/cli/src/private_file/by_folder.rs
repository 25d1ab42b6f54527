//! Windows: a new file can be used by those whom its folder names. A user's own folder names the user, administrators and the system.

use std::{
    fs::{self, DirBuilder, Metadata, OpenOptions},
    io,
    path::Path,
};

/// Who can read a file that [`confine`] was used for.
pub(crate) const READERS: &str = "who can read its folder can read it";

/// The folder decides.
pub(super) fn confine(_: &mut OpenOptions) {}

/// The folder above decides.
pub(super) fn confine_folder(_: &mut DirBuilder) {}

/// There are no mode bits to warn of.
pub(crate) fn others_can_read(_: &Metadata) -> bool {
    false
}

/// Gives a file another name in the same folder, and waits until the disk has it. Replaces an existing file.
///
/// # Errors
/// If it cannot be renamed, or the disk does not take it.
pub(crate) fn rename_for_good(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    // The name is part of the file's record, which is flushed with the file.
    OpenOptions::new().write(true).open(to)?.sync_all()
}
