//! Files that an installed interpreter has already. Manifests of one wheel name the same files by their digests, and the wheel is not
//! kept: the files are copied within the home, and not downloaded again.

#![expect(
    clippy::disallowed_methods,
    reason = "copies between directories of the home, and digests what it has copied"
)]

use super::{
    Manifest, Runtime,
    manifest::{MODULE, file_name},
};
use crate::{hash::sha256, home::Home, host_file::open_regular};
use cloister_model::Sha256;
use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// One file of the draft, and the file of an installed interpreter that its manifest says is the same.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    from: String,
    to: String,
    sha256: Sha256,
}

/// Copies the module and the files of a manifest into its draft, from an interpreter that is installed and has all of them. Returns
/// the name of that interpreter. If there is none, the draft is left as it was.
pub(super) fn copy_installed(home: &Home, draft: &Path, manifest: &Manifest) -> Option<String> {
    let runtimes = home.runtimes().ok()?;
    let names = fs::read_dir(&runtimes).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    for name in names {
        let from = runtimes.join(&name);
        // A damaged interpreter has nothing to give, and another one may have.
        let Ok(other) = Runtime::open(&from, &name).map(|runtime| runtime.manifest) else { continue };
        let Some(copies) = copies(&other, manifest) else { continue };
        if copies.iter().try_for_each(|copy| copy.make(&from, draft)).is_ok() {
            return Some(name);
        }
        for copy in &copies {
            // Not all of them were made.
            let _ = fs::remove_file(draft.join(&copy.to));
        }
    }
    None
}

/// What to copy from another manifest's interpreter; none if that lacks a file.
fn copies(other: &Manifest, manifest: &Manifest) -> Option<Vec<Found>> {
    if other.module.sha256 != manifest.module.sha256 {
        return None;
    }
    let module = Found { from: MODULE.to_owned(), to: MODULE.to_owned(), sha256: manifest.module.sha256 };
    let files = manifest.files.iter().enumerate().map(|(number, file)| {
        let theirs = other.files.iter().position(|theirs| theirs.sha256 == file.sha256)?;
        Some(Found { from: file_name(theirs), to: file_name(number), sha256: file.sha256 })
    });
    std::iter::once(Some(module)).chain(files).collect()
}

impl Found {
    /// Copies the file and digests the copy: what was installed may have been changed or removed since.
    fn make(&self, from: &Path, draft: &Path) -> io::Result<()> {
        let to = draft.join(&self.to);
        io::copy(&mut open_regular(&from.join(&self.from))?, &mut File::create_new(&to)?)?;
        let (found, _) = sha256(&open_regular(&to)?)?;
        if found == self.sha256 { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Manifest {
        Manifest::parse(Manifest::known(name).expect("known")).expect("a manifest")
    }

    #[test]
    fn files_are_taken_by_their_digests_and_all_or_none() {
        let (python, mut plain) = (known("python"), known("python-plain"));
        plain.files.reverse();
        let copies_of_python = copies(&python, &plain).expect("the same files");
        let names: Vec<_> = copies_of_python.iter().map(|copy| (copy.from.as_str(), copy.to.as_str())).collect();
        assert_eq!(names, [("module.wasm", "module.wasm"), ("file-1", "file-0"), ("file-0", "file-1")]);
        assert_eq!(copies(&known("javascript"), &plain), None);
        plain.files[0].sha256 = Sha256::of(b"another file");
        assert_eq!(copies(&python, &plain), None);
    }
}
