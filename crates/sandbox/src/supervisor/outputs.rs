//! The directory for results. It must be empty, writable, and separate from everything that the guest can read.

#![expect(
    clippy::disallowed_methods,
    reason = "opens the directory that the user names; after that, only its descriptor is used"
)]

use super::JobError;
use cap_std::{ambient_authority, fs::Dir};
use cloister_model::Inputs;
use rustix::fs::{Access, AtFlags};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Opens the outputs directory, and creates it if it does not exist. Refuses a directory that is not empty.
///
/// # Errors
/// [`JobError::Outputs`]. A directory that overlaps the inputs is refused before anything is created.
pub(super) fn open_outputs(path: &Path, inputs: &Inputs) -> Result<Dir, JobError> {
    let wrong = |problem: String| JobError::Outputs { path: path.to_owned(), problem };
    if let Some(readable) = overlap(path, inputs) {
        return Err(wrong(format!(
            "overlaps the input directory `{}`, so the algorithm could read its results or write to the data. Give a \
             directory elsewhere",
            readable.display()
        )));
    }
    match std::fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(wrong(format!("cannot be created: {error}"))),
    }
    let directory = Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| wrong(error.to_string()))?;
    let mut entries = directory.entries().map_err(|error| wrong(error.to_string()))?;
    if entries.next().is_some() {
        return Err(wrong(
            "not empty. Give an empty or new directory, so that results of different runs are never mixed".to_owned(),
        ));
    }
    rustix::fs::accessat(&directory, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())
        .map_err(|error| wrong(format!("cannot be written: {error}")))?;
    if rustix::process::geteuid().is_root() && !root_may_write(&directory).map_err(|error| wrong(error.to_string()))? {
        return Err(wrong(
            "belongs to another user. The algorithm's process gives up what root may do with the files of others: let root own the \
             directory, or run this as its owner"
                .to_owned(),
        ));
    }
    Ok(directory)
}

/// Whether root may write there as any other user may who has its ids: without capabilities.
fn root_may_write(directory: &Dir) -> io::Result<bool> {
    use cap_std::fs::MetadataExt as _;
    let metadata = directory.dir_metadata()?;
    let bits = match (metadata.uid(), metadata.gid()) {
        (0, _) => metadata.mode() >> 6,
        (_, 0) => metadata.mode() >> 3,
        _ => metadata.mode(),
    };
    Ok(bits & 0o3 == 0o3)
}

/// The input directory, if any, that contains the outputs or lies inside them. Landlock's rights add up along a path, so
/// readable and writable directories must be separate. Single files do not matter: the worker gets them as open
/// descriptors, not by path.
fn overlap(outputs: &Path, inputs: &Inputs) -> Option<PathBuf> {
    let Inputs::Tree { root, .. } = inputs else { return None };
    let outputs = resolve(outputs)?;
    // Not the root itself: in Ocean's layout, it contains both the inputs and the outputs.
    ["inputs", "ddos", "transformations"].iter().map(|name| root.join(name)).find(|given| {
        resolve(given).is_some_and(|readable| outputs.starts_with(&readable) || readable.starts_with(&outputs))
    })
}

/// The canonical path of a file or directory that need not exist yet.
fn resolve(path: &Path) -> Option<PathBuf> {
    if let Ok(path) = path.canonicalize() {
        return Some(path);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(parent.canonicalize().ok()?.join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn root_without_capabilities_writes_where_its_ids_may() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let owner = rustix::process::geteuid();
        for (mode, of_root, of_others) in [(0o700, true, false), (0o707, true, true), (0o577, false, true)] {
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).expect("a mode");
            let opened = Dir::open_ambient_dir(directory.path(), ambient_authority()).expect("opened");
            let expected = if owner.is_root() { of_root } else { of_others };
            assert_eq!(root_may_write(&opened).expect("metadata"), expected, "{mode:o}");
        }
    }

    #[test]
    fn overlapping_outputs_and_inputs_are_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("data");
        fs::create_dir_all(root.join("inputs/d")).expect("made");
        fs::create_dir(root.join("outputs")).expect("made");
        std::os::unix::fs::symlink(root.join("inputs"), directory.path().join("link")).expect("a link");
        let inputs = Inputs::Tree { root: root.clone(), dids: vec![], mounted: vec![] };
        for (path, apart) in [
            ("elsewhere", true),
            ("data/outputs", true),
            ("data/new", true),
            ("data/inputs-of-mine", true),
            ("data", false),
            ("data/outputs/..", false),
            ("", false),
            ("data/inputs", false),
            ("data/inputs/d", false),
            ("data/inputs/new", false),
            ("link/d", false),
            ("link/new", false),
        ] {
            let outputs = directory.path().join(path);
            assert_eq!(overlap(&outputs, &inputs).is_none(), apart, "{path}");
            assert!(apart || open_outputs(&outputs, &inputs).is_err(), "{path}");
        }
        assert!(!root.join("inputs/new").exists(), "refused, but created");
    }
}
