use super::{
    BackupError, DESCRIPTION, Description, FILES, SUMS, VERSION,
    copy::{copy_file, entries, other_owner, sync_folder, walk},
    sums::Sums,
};
use crate::{
    home::{DATABASE, directory},
    store::check_database,
};
use cloister_files::{hash_reader, if_there};
use cloister_model::escape;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where files lie until all of them are there.
const PART: &str = ".restore";

/// A backup that was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// How many files it had.
    pub files: u64,
    /// When it was made, in RFC 3339 if its program was ours.
    pub created: String,
    /// Whether results were in it.
    pub results: bool,
}

/// Puts a backup into a folder that does not exist or is empty. Every file is checked, and nothing is put into its place before all
/// of them are there and right. Blocking.
///
/// # Errors
/// If the folder has something in it, the backup is damaged, not complete, or of another version.
pub fn restore(from: &Path, home: &Path) -> Result<Restored, BackupError> {
    let Some(sums) = if_there(fs::read(from.join(SUMS))).map_err(BackupError::file(&from.join(SUMS)))? else {
        return Err(BackupError::Incomplete(from.to_owned()));
    };
    let damaged =
        |path: &Path, problem: &str| BackupError::Damaged { path: from.join(path), problem: problem.to_owned() };
    let sums = Sums::read(&sums).map_err(|line| damaged(Path::new(SUMS), &format!("is wrong in line {line}")))?;
    let description = describe(from, &sums)?;
    let (mut found, odd) = walk(from).map_err(BackupError::file(from))?;
    found.retain(|path| path != Path::new(SUMS));
    if let Some(odd) = odd {
        return Err(damaged(&odd, "is neither a file nor a folder"));
    }
    if let Some(missing) = sums.0.keys().find(|path| found.binary_search(path).is_err()) {
        return Err(damaged(missing, "is missing"));
    }
    if let Some(unknown) = found.iter().find(|path| !sums.0.contains_key(*path)) {
        return Err(damaged(unknown, "is not in SHA256SUMS"));
    }
    if !sums.0.contains_key(&Path::new(FILES).join(DATABASE)) {
        return Err(damaged(&Path::new(FILES).join(DATABASE), "is missing"));
    }
    take(home)?;
    let part = home.join(PART);
    let outcome = fill(from, &part, &sums).and_then(|()| put_in_place(&part, home));
    if outcome.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    outcome?;
    let files = u64::try_from(sums.0.len()).unwrap_or(u64::MAX);
    Ok(Restored {
        files,
        created: escape(description.created.as_bytes(), 64).to_string(),
        results: description.results,
    })
}

/// Reads what the backup is, and refuses versions that this program does not know.
fn describe(from: &Path, sums: &Sums) -> Result<Description, BackupError> {
    let path = from.join(DESCRIPTION);
    let damaged = |problem: &str| BackupError::Damaged { path: path.clone(), problem: problem.to_owned() };
    let text = if_there(fs::read(&path)).map_err(BackupError::file(&path))?.ok_or_else(|| damaged("is missing"))?;
    let digest = hash_reader(&mut text.as_slice()).map_err(BackupError::file(&path))?;
    if sums.0.get(Path::new(DESCRIPTION)) != Some(&digest.sha256) {
        return Err(damaged("is not what it was"));
    }
    // The version alone at first: the rest may have another form there.
    let version: Option<String> = serde_json::from_slice::<serde_json::Value>(&text)
        .ok()
        .and_then(|value| value["version"].as_str().map(str::to_owned));
    match version {
        Some(version) if version == VERSION => {}
        other => {
            let found = escape(other.unwrap_or_default().as_bytes(), 64).to_string();
            return Err(BackupError::Version { found });
        }
    }
    serde_json::from_slice(&text).map_err(|_| damaged("does not describe a backup"))
}

/// Makes the folder, or takes an empty one. Two restores at once do not get through here.
fn take(home: &Path) -> Result<(), BackupError> {
    directory(home).map_err(BackupError::file(home))?;
    if let Some(owner) = other_owner(home).map_err(BackupError::file(home))? {
        return Err(BackupError::OtherUser { path: home.to_owned(), owner });
    }
    if !entries(home).map_err(BackupError::file(home))?.is_empty() {
        return Err(BackupError::NotEmpty(home.to_owned()));
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(home, mode).map_err(BackupError::file(home))?;
    let part = home.join(PART);
    fs::create_dir(&part).map_err(BackupError::file(&part))?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&part, mode).map_err(BackupError::file(&part))
}

/// Copies all files, and compares each with its digest.
fn fill(from: &Path, part: &Path, sums: &Sums) -> Result<(), BackupError> {
    for (path, expected) in &sums.0 {
        let Ok(name) = path.strip_prefix(FILES) else {
            // The description, which was read.
            continue;
        };
        let (source, to) = (from.join(path), part.join(name));
        if let Some(folder) = to.parent() {
            directory(folder).map_err(BackupError::file(folder))?;
        }
        let copied = copy_file(&source, &to).map_err(BackupError::file(&source))?;
        if copied.is_none_or(|copied| copied.sha256 != *expected) {
            return Err(BackupError::Damaged { path: source, problem: "is not what it was".to_owned() });
        }
    }
    Ok(check_database(&part.join(DATABASE))?)
}

/// Moves everything to its place. The database goes first, and single files such as keys last: a service does not start with one
/// and without the others.
fn put_in_place(part: &Path, home: &Path) -> Result<(), BackupError> {
    let order = |(name, kind): &(std::ffi::OsString, super::copy::Kind)| {
        (name.to_str() != Some(DATABASE), *kind != super::copy::Kind::Folder)
    };
    let mut all = entries(part).map_err(BackupError::file(part))?;
    all.sort_by_key(order);
    let moved = |name: PathBuf| -> io::Result<()> { fs::rename(part.join(&name), home.join(name)) };
    for (name, _) in all {
        moved(name.into()).map_err(BackupError::file(home))?;
    }
    fs::remove_dir(part).map_err(BackupError::file(part))?;
    sync_folder(home).map_err(BackupError::file(home))
}
