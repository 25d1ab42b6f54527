//! The interpreters that are installed for the sandbox.

use cloister_model::InterpreterId;
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

/// The folder of interpreters, read again only after it has changed: it is asked for with every submission.
#[derive(Debug)]
pub(crate) struct Interpreters {
    folder: PathBuf,
    known: Mutex<Option<Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    changed: SystemTime,
    names: BTreeSet<InterpreterId>,
}

impl Interpreters {
    /// Those in the folder in which the sandbox program keeps what it installs.
    pub(crate) fn new(sandbox: &Path) -> Self {
        Self { folder: sandbox.join("runtimes"), known: Mutex::new(None) }
    }

    /// Their names. One question to the file system, unless something was installed or removed.
    pub(crate) fn names(&self) -> BTreeSet<InterpreterId> {
        let Ok(changed) = fs::metadata(&self.folder).and_then(|metadata| metadata.modified()) else {
            return BTreeSet::new();
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.changed == changed) {
            return known.names.clone();
        }
        let names = read(&self.folder).unwrap_or_default();
        // A change within the clock's resolution of this one would go unnoticed, so a fresh folder is read once more.
        let settled = changed.elapsed().is_ok_and(|age| age.as_secs() >= 2);
        *known = settled.then(|| Known { changed, names: names.clone() });
        names
    }
}

/// The sandbox program installs an interpreter by renaming its finished folder into this one.
fn read(folder: &Path) -> io::Result<BTreeSet<InterpreterId>> {
    Ok(fs::read_dir(folder)?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("runtime.json").is_file())
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, time::Duration};

    #[test]
    fn an_interpreter_is_seen_once_it_is_installed() {
        let home = tempfile::tempdir().expect("a directory");
        let interpreters = Interpreters::new(home.path());
        assert_eq!(interpreters.names(), BTreeSet::new());
        let folder = home.path().join("runtimes");
        let install = |name: &str, age: u64| {
            fs::create_dir_all(folder.join(name)).expect("made");
            fs::write(folder.join(name).join("runtime.json"), "{}").expect("written");
            let changed = SystemTime::now() - Duration::from_secs(age);
            File::open(&folder).and_then(|folder| folder.set_modified(changed)).expect("set");
        };
        install("python", 100);
        fs::create_dir(folder.join("draft")).expect("made");
        File::open(&folder).and_then(|folder| folder.set_modified(SystemTime::now())).expect("set");
        for _ in 0..2 {
            assert_eq!(interpreters.names(), ["python".parse().expect("a name")].into());
        }
        install("r", 50);
        for _ in 0..2 {
            assert_eq!(interpreters.names(), ["python".parse().expect("a name"), "r".parse().expect("a name")].into());
        }
    }
}
