//! A folder that is named by its path, for Windows: the standard library cannot open a file below an open folder there. Links are looked
//! for before something is opened, so a program that replaces a folder by a link at that moment is not noticed. It would have to run
//! as the same user.

use crate::{exit::Usage, output::shown};
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// The folder that results are downloaded to.
#[derive(Debug)]
pub(in crate::job) struct Folder(PathBuf);

/// Where one result goes: a folder without links below the chosen one, and a name in it.
pub(super) struct Target {
    parent: PathBuf,
    name: String,
}

impl Folder {
    /// Finds the folder, and creates it if it does not exist. Links in this path are followed: the caller chose it.
    pub(in crate::job) fn open(path: &Path) -> anyhow::Result<Self> {
        let found = fs::create_dir_all(path).and_then(|()| path.canonicalize());
        Ok(Self(found.map_err(|error| Usage::error(format!("`{}`: {error}", path.display())))?))
    }

    /// Finds the directory that a name is in, and creates it if it does not exist. Follows no links.
    pub(super) fn target(&self, name: &str) -> anyhow::Result<Target> {
        let (above, last) = name.rsplit_once('/').unwrap_or(("", name));
        let mut parent = self.0.clone();
        for segment in above.split('/').filter(|segment| !segment.is_empty()) {
            parent.push(segment);
            match fs::create_dir(&parent) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Usage::error(format!("`{}`: {error}", shown(name))));
                }
                _ => {}
            }
            let found = fs::symlink_metadata(&parent);
            if !found.is_ok_and(|metadata| metadata.is_dir()) {
                return Err(Usage::error(format!("`{}`: `{}` is a link or not a folder", shown(name), shown(segment))));
            }
        }
        Ok(Target { parent, name: last.to_owned() })
    }
}

impl Target {
    /// Opens the file that exists under this name, if there is one.
    pub(super) fn present(&self) -> anyhow::Result<Option<File>> {
        let path = self.parent.join(&self.name);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(Usage::error(format!("`{}` exists and is not a file", shown(&self.name)))),
            Err(error) => return Err(self.unreadable(&error)),
        }
        File::open(&path).map(Some).map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &io::Error) -> anyhow::Error {
        Usage::error(format!("`{}` exists and cannot be read: {error}", shown(&self.name)))
    }

    /// Opens the file that holds the download until it is complete.
    pub(super) fn part(&self, name: &str) -> anyhow::Result<File> {
        let path = self.parent.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(Usage::error(format!("`{}` is not a file", shown(name))));
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        file.map_err(|error| Usage::error(format!("`{}` cannot be written: {error}", shown(name))))
    }

    /// Removes the file of [`Target::part`].
    pub(super) fn remove(&self, part: &str) -> io::Result<()> {
        fs::remove_file(self.parent.join(part))
    }

    /// Gives the file of [`Target::part`] its name. Replaces an existing file.
    pub(super) fn finish(&self, part: &str) -> io::Result<()> {
        fs::rename(self.parent.join(part), self.parent.join(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Write as _},
        os::unix::fs::symlink,
    };

    #[test]
    fn a_file_gets_its_name_when_it_is_complete_and_links_are_refused() {
        let (outside, folder) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let results = Folder::open(&folder.path().join("new")).expect("made");
        let target = results.target("sub/a").expect("a place");
        assert!(target.present().expect("looked").is_none());
        target.part(".part").expect("opened").write_all(b"one").expect("written");
        target.finish(".part").expect("named");
        let mut text = String::new();
        let mut file = target.present().expect("looked").expect("a file");
        file.read_to_string(&mut text).expect("read");
        assert_eq!(text, "one");
        target.part(".part").expect("opened").write_all(b"two").expect("written");
        target.remove(".part").expect("removed");
        assert_eq!(fs::read_dir(folder.path().join("new/sub")).expect("a folder").count(), 1);

        symlink(outside.path(), folder.path().join("new/link")).expect("a link");
        symlink(outside.path().join("target"), folder.path().join("new/file")).expect("a link");
        assert!(results.target("link/a").is_err() && results.target("sub/a/b").is_err());
        let linked = results.target("file").expect("a place");
        assert!(linked.present().is_err() && linked.part("file").is_err());
        assert_eq!(fs::read_dir(outside.path()).expect("a folder").count(), 0);
    }
}
