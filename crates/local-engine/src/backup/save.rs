use super::{
    BackupError, DESCRIPTION, Description, FILES, FOLDERS, JOBS, RESULTS, SUMS, VERSION,
    copy::{Kind, copy_file, entries, new_file, other_owner, sync_folder, walk},
    sums::Sums,
};
use crate::{
    home::{DATABASE, directory},
    store::copy_database,
    work_folder::CHECKS,
};
use cloister_files::digest_of;
use cloister_runner::DATA;
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

/// What a backup is to hold.
#[derive(Clone, Debug)]
pub struct ToSave {
    /// The service's folder.
    pub home: PathBuf,
    /// Single files: where each is, and its name in the service's folder. One that does not exist is left out.
    pub files: Vec<(PathBuf, String)>,
    /// Whether results are kept in the folder.
    pub results: bool,
    /// The time, in RFC 3339.
    pub created: String,
    /// The version of the program.
    pub program: String,
}

/// A backup that was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// How many files it has.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A backup that is being made.
struct Draft<'a> {
    home: &'a Path,
    into: &'a Path,
    sums: Sums,
    saved: Saved,
}

/// Copies a service's folder to another one, `into`, which is made, readable by this user alone. The service may run, and works on
/// meanwhile. Blocking, for as long as reading and writing all results takes.
///
/// # Errors
/// If `into` has something in it, a file cannot be read or written, or the database is damaged. What was copied stays, and is not
/// taken for a backup.
pub fn back_up(what: &ToSave, into: &Path) -> Result<Saved, BackupError> {
    let ToSave { home, files, results, created, program } = what;
    let database = home.join(DATABASE);
    if !database.is_file() {
        return Err(BackupError::NoService(home.clone()));
    }
    if let Some(owner) = other_owner(home).map_err(BackupError::file(home))? {
        // SQLite would leave files of this user in the folder.
        return Err(BackupError::OtherUser { path: home.clone(), owner });
    }
    prepare(home, into)?;
    let mut draft = Draft { home, into, sums: Sums::default(), saved: Saved::default() };
    // First: what the database names is there afterwards, too.
    let place = into.join(FILES).join(DATABASE);
    new_file(&place).map_err(BackupError::file(&place))?;
    copy_database(&database, &place)?;
    let mut copied = fs::File::open(&place).map_err(BackupError::file(&place))?;
    let digest = cloister_files::hash_reader(&mut copied).map_err(BackupError::file(&place))?;
    draft.add(&Path::new(FILES).join(DATABASE), digest);
    for (from, name) in files {
        draft.file(from, Path::new(name))?;
    }
    for folder in FOLDERS.into_iter().chain(results.then_some(RESULTS)) {
        draft.tree(Path::new(folder))?;
    }
    draft.jobs()?;
    let description = Description {
        version: VERSION.to_owned(),
        created: created.clone(),
        program: program.clone(),
        results: *results,
    };
    draft.finish(&description)
}

/// Makes the folder of the backup.
fn prepare(home: &Path, into: &Path) -> Result<(), BackupError> {
    let is_used = !entries(into).map_err(BackupError::file(into))?.is_empty();
    if is_used {
        return Err(BackupError::NotEmpty(into.to_owned()));
    }
    directory(into).map_err(BackupError::file(into))?;
    let (inside, outside) = (into.canonicalize(), home.canonicalize());
    let (inside, outside) = (inside.map_err(BackupError::file(into))?, outside.map_err(BackupError::file(home))?);
    if inside.starts_with(outside) {
        let _ = fs::remove_dir(into);
        return Err(BackupError::Inside(into.to_owned()));
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(into, mode).map_err(BackupError::file(into))?;
    let files = into.join(FILES);
    directory(&files).map_err(BackupError::file(&files))
}

impl Draft<'_> {
    fn add(&mut self, path: &Path, digest: cloister_model::FileDigest) {
        self.sums.0.insert(path.to_owned(), digest.sha256);
        self.saved.files += 1;
        self.saved.bytes = self.saved.bytes.saturating_add(digest.bytes);
    }

    /// Copies one file, if it is there.
    fn file(&mut self, from: &Path, name: &Path) -> Result<(), BackupError> {
        let path = Path::new(FILES).join(name);
        let to = self.into.join(&path);
        if let Some(folder) = to.parent() {
            directory(folder).map_err(BackupError::file(folder))?;
        }
        if let Some(digest) = copy_file(from, &to).map_err(BackupError::file(from))? {
            self.add(&path, digest);
        }
        Ok(())
    }

    /// Copies every file below a folder of the service. Links are not followed and not copied.
    fn tree(&mut self, folder: &Path) -> Result<(), BackupError> {
        let root = self.home.join(folder);
        let (files, _) = walk(&root).map_err(BackupError::file(&root))?;
        for name in files {
            self.file(&root.join(&name), &folder.join(&name))?;
        }
        Ok(())
    }

    /// Copies what unfinished jobs left so far: outputs that wait for a reviewer, and the note that an algorithm was started, so
    /// that it is not started again.
    fn jobs(&mut self) -> Result<(), BackupError> {
        let root = self.home.join(JOBS);
        for (job, _) in entries(&root).map_err(BackupError::file(&root))? {
            let folder = Path::new(JOBS).join(job);
            let here = self.home.join(&folder);
            for (name, kind) in entries(&here).map_err(BackupError::file(&here))? {
                match kind {
                    Kind::File => self.file(&here.join(&name), &folder.join(&name))?,
                    Kind::Folder if ![Some(DATA), Some(CHECKS)].contains(&name.to_str()) => {
                        self.tree(&folder.join(&name))?;
                    }
                    Kind::Folder | Kind::Other => {}
                }
            }
        }
        Ok(())
    }

    fn finish(mut self, description: &Description) -> Result<Saved, BackupError> {
        let text = serde_json::to_vec_pretty(description)
            .map_err(|error| BackupError::File { path: DESCRIPTION.into(), error: error.into() })?;
        self.put(DESCRIPTION, &text)?;
        self.add(Path::new(DESCRIPTION), digest_of(&text));
        let sums = self.sums.write();
        // Everything else is on the disk before that which makes it count.
        sync_folder(self.into).map_err(BackupError::file(self.into))?;
        self.put(SUMS, &sums)?;
        sync_folder(self.into).map_err(BackupError::file(self.into))?;
        Ok(self.saved)
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), BackupError> {
        let path = self.into.join(name);
        let write = || {
            let mut file = new_file(&path)?;
            file.write_all(content)?;
            file.sync_all()
        };
        write().map_err(BackupError::file(&path))
    }
}
