#![expect(clippy::disallowed_methods, reason = "creates the file that the user names")]

use super::Usage;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Another run already holds or held this claim.
#[derive(Debug, thiserror::Error)]
#[error("--claim `{0}` is taken: this run was started before and is not started twice")]
pub(super) struct Claimed(String);

/// Creates the file with this process's id in it. Creation succeeds only once, so of all runs with the same claim only one
/// starts.
///
/// The directory entry is synced to disk before the run begins, so the claim survives a power cut if any effect of the
/// run does. The process id is not synced: no process survives a power cut.
///
/// # Errors
/// [`Claimed`]; [`Usage`] if the file cannot be created.
pub(super) fn claim(path: &Path) -> anyhow::Result<()> {
    let wrong = |error: io::Error| Usage::file("--claim", path, error);
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Claimed(path.display().to_string()).into());
        }
        Err(error) => return Err(wrong(error)),
    };
    file.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(wrong)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_of_many_concurrent_claims_succeeds() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("claim");
        let taken: usize = std::thread::scope(|scope| {
            let claims: Vec<_> = (0..16).map(|_| scope.spawn(|| usize::from(claim(&path).is_ok()))).collect();
            claims.into_iter().map(|claim| claim.join().expect("no panic")).sum()
        });
        assert_eq!(taken, 1);
        let error = claim(&path).expect_err("taken");
        assert!(error.is::<Claimed>(), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("a number"), format!("{}\n", std::process::id()));
        assert!(claim(&directory.path().join("absent/claim")).expect_err("no directory").is::<Usage>());
    }
}
