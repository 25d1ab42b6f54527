use crate::{exit::Usage, output::note};
use anyhow::Context as _;
use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

/// Files of the repository that the demo uses, and their names in the demo's folder.
const SOURCES: [(&str, &str); 4] = [
    ("data/penguins.csv", "penguins.csv"),
    ("target/guests/column-stats.p1.wasm", "column-stats.wasm"),
    ("target/guests/exfiltrate.p1.wasm", "exfiltrate.wasm"),
    ("target/guests/exfiltrate.p2.wasm", "exfiltrate-component.wasm"),
];
const PYTHON: (&str, &str) = ("algorithms/python-summary/algorithm.py", "summary.py");

/// The manifests, as users would write them.
const WRITTEN: [(&str, &str); 4] = [
    (
        "penguins.yaml",
        "apiVersion: cloister.dev/v1alpha1
kind: Dataset
metadata: { name: penguins }
spec:
  title: Palmer penguins
  files: [{ type: file, path: penguins.csv }]
  compute:
    outputContract: { maxBytes: 1MB, maxLogBytes: 64KiB }
",
    ),
    (
        "column-stats.yaml",
        "apiVersion: cloister.dev/v1alpha1
kind: Algorithm
metadata: { name: column-stats }
spec:
  title: Statistics of the columns of a table
  files: [{ type: file, path: column-stats.wasm }]
",
    ),
    (
        "summary.yaml",
        "apiVersion: cloister.dev/v1alpha1
kind: Algorithm
metadata: { name: summary }
spec:
  title: The same with pandas, and two models with scikit-learn
  files: [{ type: file, path: summary.py }]
  algorithm:
    language: python
    container: { image: python, entrypoint: python3 $ALGO }
",
    ),
    (
        "hostile.yaml",
        "apiVersion: cloister.dev/v1alpha1
kind: Algorithm
metadata: { name: exfiltrate }
spec: { files: [{ type: file, path: exfiltrate.wasm }] }
---
apiVersion: cloister.dev/v1alpha1
kind: Algorithm
metadata: { name: exfiltrate-component }
spec: { files: [{ type: file, path: exfiltrate-component.wasm }] }
",
    ),
];

/// The files of the repository that the demo uses.
#[derive(Debug)]
pub(super) struct Sources(Vec<(PathBuf, &'static str)>);

impl Sources {
    /// Finds all of them before the demo begins.
    pub(super) fn find(repository: &Path, python: bool) -> anyhow::Result<Self> {
        let all = SOURCES.into_iter().chain(python.then_some(PYTHON));
        let found: Vec<_> = all.map(|(source, name)| (repository.join(source), name)).collect();
        match found.iter().find(|(path, _)| !path.is_file()) {
            Some((missing, _)) => Err(Usage::error(format!(
                "`{}` does not exist: run the demo in a checkout of the repository (or give --repository), after \
                 `scripts/guests.sh --require rust column-stats exfiltrate`; `make demo` does all of it",
                missing.display()
            ))),
            None => Ok(Self(found)),
        }
    }

    /// Copies them into the demo's folder, and writes the manifests there.
    pub(super) fn copy_into(&self, folder: &Path) -> anyhow::Result<()> {
        for (source, name) in &self.0 {
            fs::copy(source, folder.join(name)).with_context(|| format!("copying `{}`", source.display()))?;
        }
        for (name, text) in WRITTEN {
            fs::write(folder.join(name), text).with_context(|| format!("writing `{name}`"))?;
        }
        Ok(())
    }
}

/// The demo's folder. Removed when dropped, unless it is kept.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    /// One of a new name.
    pub(super) fn temporary(keep: bool) -> anyhow::Result<Self> {
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        Self::make(std::env::temp_dir().join(format!("cloister-demo-{:08x}", u32::from_be_bytes(random))), keep)
    }

    /// This folder, which is kept.
    pub(super) fn at(path: &Path) -> anyhow::Result<Self> {
        Self::make(std::path::absolute(path).with_context(|| format!("`{}`", path.display()))?, true)
    }

    fn make(path: PathBuf, keep: bool) -> anyhow::Result<Self> {
        // Fails if the folder exists: it belongs to someone else.
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| Usage::error(format!("creating the folder `{}`: {error}", path.display())))?;
        Ok(Self { path, keep })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Prints whether the folder is kept.
    pub(super) fn finish(self) {
        if self.keep {
            note(&format!("   results, report.json and receipt.json are in {}", self.path.display()));
        } else {
            note("   the demo's folder is removed, with results, report and receipt; --keep keeps it");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            open_up(&self.path);
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Makes directories writable, so that they can be removed.
fn open_up(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_are_valid() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in WRITTEN {
            fs::write(folder.path().join(name), text).expect("written");
            for document in crate::input::read_documents(&folder.path().join(name)).expect("documents") {
                crate::asset::check(document, folder.path()).expect(name);
            }
        }
    }

    #[test]
    fn a_missing_guest_is_reported_before_the_demo_begins() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Sources::find(folder.path(), false).expect_err("nothing there").to_string();
        assert!(error.contains("penguins.csv") && error.contains("guests.sh"), "{error}");
    }

    #[test]
    fn the_folder_is_removed_unless_it_is_kept() {
        let folder = Folder::temporary(false).expect("a folder");
        let path = folder.path().to_owned();
        fs::write(path.join("file"), "x").expect("written");
        Folder::at(&path).expect_err("is there");
        drop(folder);
        assert!(!path.exists());
        drop(Folder::at(&path).expect("a folder"));
        fs::remove_dir(&path).expect("left");
    }
}
