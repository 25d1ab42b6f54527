#![expect(clippy::disallowed_methods, reason = "opens the file that the user names")]

use super::Usage;
use cloister_model::{InputFile, Inputs};
use cloister_sandbox::supervisor::{Job, Stdin};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A file to write at the end of a run. It is opened before the run begins, so that a long run cannot fail at its end
/// because of an unwritable path. Its old content stays until then.
#[derive(Debug)]
pub(super) struct Reserved {
    path: PathBuf,
    file: File,
    is_new: bool,
}

impl Reserved {
    /// Opens the file, and creates it if it does not exist.
    ///
    /// # Errors
    /// If it cannot be written, is an input of the job, or lies in the inputs or outputs.
    pub(super) fn new(what: &str, path: &Path, job: &Job) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true);
        let (file, is_new) = match options.clone().create_new(true).open(path) {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.create(true).open(path).map_err(|error| Usage::file(what, path, error))?, false)
            }
            Err(error) => return Err(Usage::file(what, path, error)),
        };
        let reserved = Self { path: path.to_owned(), file, is_new };
        match reserved.conflict(job) {
            Ok(None) => Ok(reserved),
            Ok(Some(problem)) => {
                reserved.give_up();
                Err(Usage::file(what, path, problem))
            }
            Err(error) => Err(Usage::file(what, path, error)),
        }
    }

    /// How writing this file would damage the job's inputs or outputs, if it would.
    fn conflict(&self, job: &Job) -> io::Result<Option<String>> {
        let Job { algorithm, inputs, params, stdin, ddos, outputs, .. } = job;
        let path = self.path.canonicalize()?;
        let (root, files) = match inputs {
            Inputs::Tree { root, .. } => (Some(root), [].as_slice()),
            Inputs::Files { files, .. } => (None, files.as_slice()),
        };
        for directory in [Some(outputs), root].into_iter().flatten() {
            if directory.canonicalize().is_ok_and(|directory| path.starts_with(directory)) {
                return Ok(Some(format!("lies in `{}`; give a path elsewhere", directory.display())));
            }
        }
        let ours = self.file.metadata()?;
        let stdin = match stdin {
            Some(Stdin::Host(path)) => Some(path),
            Some(Stdin::Given(_)) | None => None,
        };
        let given = [Some(algorithm), params.as_ref(), stdin].into_iter().flatten();
        let given = given.chain(ddos.iter().map(|(_, path)| path));
        let mut given = given.chain(files.iter().map(|InputFile { host, .. }| host));
        let same = |path: &&PathBuf| {
            fs::metadata(path).is_ok_and(|other| (other.dev(), other.ino()) == (ours.dev(), ours.ino()))
        };
        Ok(given.find(same).map(|path| format!("is `{}`, which the job reads; give another path", path.display())))
    }

    /// A second handle, for writing while the run goes on.
    pub(super) fn handle(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Truncates the file, if it is a regular file and not a terminal, for example.
    pub(super) fn clear(&self) -> io::Result<()> {
        if self.file.metadata()?.is_file() { self.file.set_len(0) } else { Ok(()) }
    }

    /// Replaces the content.
    pub(super) fn fill(mut self, text: &str) -> anyhow::Result<()> {
        let filled = self.clear().and_then(|()| self.file.write_all(text.as_bytes()));
        filled.map_err(|error| anyhow::anyhow!("report `{}`: {error}", self.path.display()))
    }

    /// Removes the file if [`Self::new`] created it: an empty file would look like a report.
    pub(super) fn give_up(self) {
        if self.is_new {
            let _ = fs::remove_file(&self.path);
        }
    }
}
