//! Files of this machine, below the folders that the operator listed.

use super::Failure;
use rustix::{
    fs::{self as unix, Mode, OFlags, ResolveFlags},
    io::Errno,
};
use sha2::Digest as _;
use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Changes within this time of another one need not change a file's time stamps.
const COARSE: Duration = Duration::from_secs(2);

/// The operator's folders.
#[derive(Clone, Debug)]
pub(crate) struct LocalRoots {
    /// Each as it was written and as it is.
    open: Vec<(PathBuf, PathBuf)>,
    /// As they are: nothing in them is a source.
    closed: Vec<PathBuf>,
}

/// A regular file below one of them.
#[derive(Debug)]
pub(crate) struct LocalFile {
    pub(crate) file: File,
    pub(crate) bytes: u64,
    stamp: [i64; 6],
}

impl LocalRoots {
    pub(crate) fn new(roots: &[PathBuf], closed: &[PathBuf]) -> io::Result<Self> {
        let open = roots.iter().map(|root| Ok((root.clone(), root.canonicalize()?))).collect::<io::Result<_>>()?;
        let closed = closed.iter().map(|folder| folder.canonicalize()).collect::<io::Result<_>>()?;
        Ok(Self { open, closed })
    }

    /// Opens a file. Nothing on its path leads out of the root, and it is a regular file: a FIFO or a device is not
    /// even opened for reading. Blocking.
    pub(crate) fn open(&self, path: &Path) -> Result<LocalFile, Failure> {
        let plain = path.is_absolute()
            && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !plain {
            return Err(Failure::Refused("a local path is absolute and has no `..`".to_owned()));
        }
        let below = self.open.iter().filter_map(|(written, real)| {
            let rest = path.strip_prefix(written).or_else(|_| path.strip_prefix(real)).ok()?;
            Some((real, rest))
        });
        // Of nested folders, the innermost: a link in it, made by the account that it belongs to, must not lead into the
        // outer one.
        let Some((root, rest)) = below.min_by_key(|(_, rest)| rest.components().count()) else {
            return Err(Failure::Refused("it is below none of the folders that the operator listed".to_owned()));
        };
        let file = open_below(root, rest).map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => Failure::Source("there is no such file".to_owned()),
            Errno::XDEV | Errno::LOOP => {
                Failure::Refused("a symbolic link on its path leads out of the operator's folder".to_owned())
            }
            Errno::INVAL => Failure::Refused("it is not a regular file".to_owned()),
            other => Failure::Source(format!("it cannot be opened ({})", other.kind())),
        })?;
        // Of the file that is open, wherever links and names of its path have led.
        let reached = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let reached = reached.map_err(|_| Failure::Source("it cannot be read".to_owned()))?;
        if self.closed.iter().any(|folder| reached.starts_with(folder)) {
            return Err(Failure::Refused("it is in a folder of the service's own".to_owned()));
        }
        let (bytes, stamp) = stamp(&file).map_err(|_| Failure::Source("it cannot be read".to_owned()))?;
        Ok(LocalFile { file, bytes, stamp })
    }
}

impl LocalFile {
    /// Names this version of the file; none while it is so young that a change might not show.
    pub(crate) fn version(&self) -> Option<[u8; 32]> {
        let changed = u64::try_from(self.stamp[4]).ok().map(Duration::from_secs)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        (now >= changed + COARSE).then(|| {
            let mut hash = sha2::Sha256::new_with_prefix(b"local file\n");
            self.stamp.iter().for_each(|number| hash.update(number.to_be_bytes()));
            hash.update(self.bytes.to_be_bytes());
            hash.finalize().into()
        })
    }

    /// Whether it is still what it was when it was opened.
    pub(crate) fn is_unchanged(&self) -> bool {
        stamp(&self.file).is_ok_and(|now| now == (self.bytes, self.stamp))
    }
}

fn stamp(file: &File) -> io::Result<(u64, [i64; 6])> {
    let m = file.metadata()?;
    let id = |number: u64| i64::from_ne_bytes(number.to_ne_bytes());
    Ok((m.size(), [id(m.dev()), id(m.ino()), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()]))
}

/// Looks at a file below a folder without reading it: it is a regular one, and no link is on its path. Its bytes. Blocking.
pub(crate) fn look_below(root: &Path, rest: &Path) -> Result<u64, Failure> {
    let missing = || Failure::Source("there is no such file".to_owned());
    let directory = unix::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let directory = directory.map_err(|_| missing())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let found = unix::openat2(&directory, rest, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
    let found = found.map_err(|error| match error {
        Errno::NOENT | Errno::NOTDIR => missing(),
        Errno::XDEV | Errno::LOOP => Failure::Refused("a symbolic link is on its path".to_owned()),
        other => Failure::Source(format!("it cannot be opened ({})", other.kind())),
    })?;
    let status = unix::fstat(&found).map_err(|_| Failure::Source("it cannot be read".to_owned()))?;
    if unix::FileType::from_raw_mode(status.st_mode) != unix::FileType::RegularFile {
        return Err(Failure::Refused("it is not a regular file".to_owned()));
    }
    Ok(u64::try_from(status.st_size).unwrap_or(0))
}

fn open_below(root: &Path, rest: &Path) -> Result<File, Errno> {
    let errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let directory = unix::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let place = match unix::openat2(&directory, rest, flags, Mode::empty(), resolve) {
        // Before Linux 5.6, and in some sandboxes: follow the links first, then see where that led.
        Err(Errno::NOSYS | Errno::PERM) => {
            let real = root.join(rest).canonicalize().map_err(errno)?;
            let place = unix::open(&real, flags | OFlags::NOFOLLOW, Mode::empty())?;
            let reached = std::fs::read_link(format!("/proc/self/fd/{}", place.as_raw_fd())).map_err(errno)?;
            if !reached.starts_with(root) {
                return Err(Errno::XDEV);
            }
            place
        }
        other => other?,
    };
    if unix::FileType::from_raw_mode(unix::fstat(&place)?.st_mode) != unix::FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    // The place was only named so far. Through its descriptor the same file is opened, whatever its path means by now.
    File::open(format!("/proc/self/fd/{}", place.as_raw_fd())).map_err(errno)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// One account's folder inside another's, with a link that leads out of it.
    #[test]
    fn of_folders_in_each_other_the_innermost_holds() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        std::fs::create_dir_all(at("data/alice")).expect("folders");
        std::fs::write(at("data/secret"), "SECRET").expect("a file");
        std::fs::write(at("data/alice/own"), "hello").expect("a file");
        symlink("../secret", at("data/alice/link")).expect("a link");
        for order in [[at("data"), at("data/alice")], [at("data/alice"), at("data")]] {
            let roots = LocalRoots::new(&order, &[]).expect("roots");
            assert_eq!(roots.open(&at("data/alice/own")).expect("alice's").bytes, 5);
            assert_eq!(roots.open(&at("data/secret")).expect("the other's").bytes, 6);
            assert!(roots.open(&at("data/alice/link")).is_err());
        }
    }

    /// An operator may list a folder that holds the service's own; the service's keys stay closed all the same.
    #[test]
    fn a_closed_folder_is_closed_whatever_holds_it() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        std::fs::create_dir_all(at("srv/service/uploads")).expect("folders");
        for name in ["srv/data", "srv/service/operator.key", "srv/service/uploads/a"] {
            std::fs::write(at(name), "hello").expect("a file");
        }
        symlink("service/operator.key", at("srv/link")).expect("a link");
        symlink("srv", at("alias")).expect("a link");
        for (root, closed) in [("srv", "srv/service"), ("alias", "alias/service"), ("srv/service", "srv/service")] {
            let roots = LocalRoots::new(&[at(root)], &[at(closed)]).expect("roots");
            for name in ["operator.key", "uploads/a", "service/operator.key", "service/uploads/a", "link"] {
                assert!(roots.open(&at(root).join(name)).is_err(), "{root}: {name}");
            }
            assert_eq!(roots.open(&at(root).join("data")).is_ok(), root != "srv/service", "{root}");
        }
    }

    #[test]
    fn opens_what_is_below_and_nothing_else() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        std::fs::create_dir_all(at("root/sub")).expect("folders");
        std::fs::write(at("root/sub/a"), "hello").expect("a file");
        std::fs::write(at("outside"), "SECRET").expect("a file");
        symlink("sub/a", at("root/inner")).expect("a link");
        symlink(at("outside"), at("root/absolute")).expect("a link");
        symlink("../outside", at("root/relative")).expect("a link");
        symlink("..", at("root/up")).expect("a link");
        symlink("loop", at("root/loop")).expect("a link");
        symlink("/proc/self/root", at("root/magic")).expect("a link");
        unix::mkfifoat(unix::CWD, at("root/fifo"), Mode::RUSR | Mode::WUSR).expect("a FIFO");
        let roots = LocalRoots::new(&[at("root")], &[]).expect("a root");
        for good in ["root/sub/a", "root/inner"] {
            assert_eq!(roots.open(&at(good)).expect(good).bytes, 5);
        }
        for bad in [
            "outside",
            "root/absolute",
            "root/relative",
            "root/up/outside",
            "root/loop",
            "root/fifo",
            "root/sub",
            "root/missing",
            "root/../outside",
            "root/magic/etc/passwd",
            "rootless",
            "root",
        ] {
            assert!(roots.open(&at(bad)).is_err(), "{bad}");
        }
        assert!(roots.open(Path::new("/dev/zero")).is_err() && roots.open(Path::new("root/sub/a")).is_err());
        let device = LocalRoots::new(&["/dev".into()], &[]).expect("a root");
        assert!(matches!(device.open(Path::new("/dev/zero")), Err(Failure::Refused(_))));
    }

    #[test]
    fn a_change_shows() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("a");
        let roots = LocalRoots::new(&[home.path().to_owned()], &[]).expect("a root");
        let file = loop {
            let began = std::time::Instant::now();
            std::fs::write(&path, "hello").expect("a file");
            let file = roots.open(&path).expect("a file");
            let version = file.version();
            // A busy machine may have taken so long for these lines that a change would show.
            if began.elapsed() < COARSE / 4 {
                assert_eq!(version, None, "too young to be sure");
                break file;
            }
        };
        assert!(file.is_unchanged());
        std::fs::write(&path, "hello, world").expect("a file");
        assert!(!file.is_unchanged());
    }
}
