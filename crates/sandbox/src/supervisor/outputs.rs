//! The directory for results: made, empty, writable, and apart from everything that can be read.

use super::JobError;
use cap_std::{ambient_authority, fs::Dir};
use cloister_model::Inputs;
use rustix::fs::{Access, AtFlags};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Opens the outputs directory: made if it is not there, refused if it holds anything.
///
/// # Errors
/// [`JobError::Outputs`], before anything is made unless making it is what fails.
pub(super) fn open_outputs(path: &Path, inputs: &Inputs) -> Result<Dir, JobError> {
    let wrong = |problem: String| JobError::Outputs { path: path.to_owned(), problem };
    if let Some(readable) = overlap(path, inputs) {
        return Err(wrong(format!(
            "one of it and the input directory `{}` lies inside the other, so the algorithm could read its results or \
             write to the data. Give a directory elsewhere",
            readable.display()
        )));
    }
    match std::fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(wrong(format!("cannot be made: {error}"))),
    }
    let directory = Dir::open_ambient_dir(path, ambient_authority()).map_err(|error| wrong(error.to_string()))?;
    let mut entries = directory.entries().map_err(|error| wrong(error.to_string()))?;
    if entries.next().is_some() {
        return Err(wrong("not empty; results of different runs are never mixed. Give an empty directory".to_owned()));
    }
    rustix::fs::accessat(&directory, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())
        .map_err(|error| wrong(format!("cannot be written: {error}")))?;
    Ok(directory)
}

/// The input directory, if any, that holds the outputs or lies in them. The kernel's rights add up along a path: what
/// may be read and what may be written must be apart. Single files are handed over open, and no path leads to them.
fn overlap(outputs: &Path, inputs: &Inputs) -> Option<PathBuf> {
    let Inputs::Tree { root, .. } = inputs else { return None };
    let outputs = resolve(outputs)?;
    // Not the root itself: Ocean's layout has the outputs beside the inputs.
    ["inputs", "ddos", "transformations"].iter().map(|name| root.join(name)).find(|given| {
        resolve(given).is_some_and(|readable| outputs.starts_with(&readable) || readable.starts_with(&outputs))
    })
}

/// The path without links and dots, of something that need not be there yet.
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
    fn outputs_and_inputs_lie_apart() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("data");
        fs::create_dir_all(root.join("inputs/d")).expect("made");
        fs::create_dir(root.join("outputs")).expect("made");
        std::os::unix::fs::symlink(root.join("inputs"), directory.path().join("link")).expect("a link");
        let inputs = Inputs::Tree { root: root.clone(), dids: vec![] };
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
        assert!(!root.join("inputs/new").exists(), "refused, but made");
    }
}
