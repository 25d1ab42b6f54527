//! Unix: mode bits say who can read a file.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Who can read a file that [`confine`] was used for.
pub(crate) const READERS: &str = "only you can read it";

/// New files are for their owner only.
pub(super) fn confine(options: &mut OpenOptions) {
    options.mode(0o600);
}

/// New folders are for their owner only.
pub(super) fn confine_folder(builder: &mut DirBuilder) {
    builder.mode(0o700);
}

/// Whether accounts of this machine other than the owner can read a file, as far as mode bits tell.
pub(crate) fn others_can_read(metadata: &Metadata) -> bool {
    metadata.mode() & 0o044 != 0
}

/// Gives a file another name in the same folder, and waits until the disk has it. Replaces an existing file.
///
/// # Errors
/// If it cannot be renamed, or the disk does not take it.
pub(crate) fn rename_for_good(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    // The name is part of the folder.
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
