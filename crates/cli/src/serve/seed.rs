use crate::exit::Usage;
use anyhow::Context as _;
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

/// The key that compiled programs are sealed with.
const KEY: &str = "artifact.key";

/// Gives the service's sandbox what another folder has of compiled programs and runtimes, so that nothing of it is compiled
/// or fetched again. Files are linked, or copied from another file system. What is there stays; links are left out.
pub(super) fn sandbox(kept: &Path, home: &Path) -> anyhow::Result<()> {
    if !kept.is_dir() {
        return Err(Usage::error(format!("`sandbox_home`: `{}` is no folder", kept.display())));
    }
    take(kept, &home.join("sandbox")).with_context(|| format!("taking over `{}`", kept.display()))
}

fn take(kept: &Path, sandbox: &Path) -> io::Result<()> {
    // Closed to others as the service would do it: it is not there yet at the first start.
    DirBuilder::new().recursive(true).mode(0o700).create(sandbox)?;
    let (theirs, ours) = (kept.join(KEY), sandbox.join(KEY));
    if theirs.exists() && !ours.exists() {
        link(&theirs, &ours)?;
    }
    for folder in ["runtimes", "artifacts"] {
        // What was compiled is good under the key that it was sealed with, and of no use under another.
        let is_good = folder != "artifacts" || fs::read(&theirs).ok() == fs::read(&ours).ok();
        if is_good && kept.join(folder).is_dir() {
            link_tree(&kept.join(folder), &sandbox.join(folder))?;
        }
    }
    Ok(())
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        // Gone meanwhile, or come meanwhile: others use the folder, too.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => Ok(()),
        Err(_) => fs::copy(from, to).map(drop),
        Ok(()) => Ok(()),
    }
}

fn link_tree(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            link_tree(&entry.path(), &target)?;
        } else if kind.is_file() && !target.exists() {
            link(&entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn what_is_kept_is_there_and_what_was_there_stays() {
        let (kept, home) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        fs::create_dir_all(kept.path().join("runtimes/python")).expect("made");
        fs::write(kept.path().join("runtimes/python/a"), "theirs").expect("written");
        fs::write(kept.path().join("artifact.key"), "theirs").expect("written");
        symlink("/etc", kept.path().join("runtimes/link")).expect("a link");
        let service = home.path().join("service");
        fs::create_dir_all(service.join("sandbox")).expect("made");
        fs::write(service.join("sandbox/artifact.key"), "ours").expect("written");
        fs::create_dir(kept.path().join("artifacts")).expect("made");
        fs::write(kept.path().join("artifacts/a.cwasm"), "sealed").expect("written");
        for _ in 0..2 {
            sandbox(kept.path(), &service).expect("taken over");
        }
        let read = |name: &str| fs::read_to_string(service.join("sandbox").join(name)).expect("a file");
        assert_eq!((read("runtimes/python/a").as_str(), read("artifact.key").as_str()), ("theirs", "ours"));
        assert!(!service.join("sandbox/runtimes/link").exists());
        assert!(!service.join("sandbox/artifacts").exists(), "sealed with another key");
        sandbox(kept.path(), &home.path().join("fresh")).expect("taken over");
        assert!(home.path().join("fresh/sandbox/artifacts/a.cwasm").exists());
        let mode = fs::metadata(service.join("sandbox/runtimes")).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(sandbox(&kept.path().join("nowhere"), &service).is_err());
    }
}
