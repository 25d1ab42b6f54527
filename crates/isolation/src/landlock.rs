//! Landlock: restricts which files the process can open and how, and denies TCP and signals to other processes.
//!
//! Its limits: it does not hide that a path exists, and `stat` on any path still returns size, owner and times. It does
//! not restrict descriptors that are already open, except that opening a file through an open directory is checked.

#![expect(unsafe_code, reason = "the landlock crate does not export the version query")]

use crate::Status;
use ::landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, RestrictSelfAttr, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};
use rustix::fs::{FileType, fstat};
use std::io;
use std::os::fd::BorrowedFd;

/// The newest version whose rights this crate uses. All of its rights are handled, that is, denied unless granted below.
const NEWEST: ABI = ABI::V10;

/// The version that added scopes, the last right that this crate relies on. Later rights (UDP, sockets by path) restrict
/// system calls that the seccomp filter does not permit anyway.
const RELIED_ON: i32 = 6;

/// What older versions lack, by the version that added it.
const BROUGHT_BY: [(i32, &str); 4] =
    [(3, "truncating files"), (4, "TCP"), (5, "device controls"), (6, "signals and abstract sockets")];

/// What the process may open.
///
/// `read` and `write` must not contain each other: rights add up along a path, so a readable directory that contains the
/// outputs would make the outputs readable, and an output directory that contains a dataset would make it writable.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paths<'a> {
    /// Readable files, and directories with everything beneath them. `O_PATH` descriptors suffice.
    pub read: &'a [BorrowedFd<'a>],
    /// A directory beneath which files and directories can be created, written, truncated, renamed and removed, but not
    /// read or listed.
    pub write: Option<BorrowedFd<'a>>,
}

/// Restricts this thread, and the threads that it starts later, to opening files as `paths` allows.
///
/// Before Linux 7.0, other running threads are not restricted, so call this early in `main`. If there are other threads,
/// the status says so. If a rule cannot be created, nothing is restricted and the status is [`Status::Absent`].
pub fn restrict_files(paths: Paths<'_>) -> Status {
    match restrict(paths) {
        Ok(restriction) => judge(&restriction, threads()),
        Err(error) => Status::Absent(error.to_string()),
    }
}

/// Restricts this thread, and everything that it starts later, to changing files beneath these places: files and directories,
/// to which `O_PATH` descriptors suffice. Reading and executing stay as they are. TCP, and signals to other processes than
/// those that start later, are denied where the kernel can do that.
///
/// As with [`restrict_files`], call it while there is one thread.
pub fn restrict_writes(beneath: &[BorrowedFd<'_>]) -> Status {
    let restrict = || {
        let mut ruleset = Ruleset::default()
            .handle_access(AccessFs::from_write(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?;
        for &fd in beneath {
            let rights = AccessFs::from_write(NEWEST);
            let rights = match FileType::from_raw_mode(fstat(fd)?.st_mode) {
                FileType::Directory => rights,
                _ => rights & AccessFs::from_file(NEWEST),
            };
            ruleset = ruleset.add_rule(PathBeneath::new(fd, rights))?;
        }
        Ok::<_, RuleError>(ruleset.restrict_self()?)
    };
    match restrict() {
        Ok(restriction) => judge(&restriction, threads()),
        Err(error) => Status::Absent(error.to_string()),
    }
}

/// What the running kernel offers. Restricts nothing.
pub(crate) fn offered() -> Status {
    // SAFETY: with this flag, the call takes no structure and only returns a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0_usize, 1_u32) };
    if version < 0 {
        return Status::Absent(format!("Landlock: {}", io::Error::last_os_error()));
    }
    grade(i32::try_from(version).unwrap_or(i32::MAX))
}

/// Why a rule could not be created.
#[derive(Debug, thiserror::Error)]
enum RuleError {
    #[error("Landlock: cannot read the type of a path: {0}")]
    Stat(#[from] rustix::io::Errno),
    #[error("Landlock: {0}")]
    Ruleset(#[from] RulesetError),
}

fn restrict(paths: Paths<'_>) -> Result<RestrictionStatus, RuleError> {
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for &fd in paths.read {
        ruleset = ruleset.add_rule(PathBeneath::new(fd, reading(fd)?))?;
    }
    if let Some(fd) = paths.write {
        ruleset = ruleset.add_rule(PathBeneath::new(fd, writing()))?;
    }
    Ok(ruleset.all_threads(true)?.restrict_self()?)
}

/// The rights for a file or directory. Landlock rejects rights for directories on a file.
fn reading(fd: BorrowedFd<'_>) -> Result<BitFlags<AccessFs>, rustix::io::Errno> {
    match FileType::from_raw_mode(fstat(fd)?.st_mode) {
        FileType::Directory => Ok(AccessFs::ReadFile | AccessFs::ReadDir),
        _ => Ok(AccessFs::ReadFile.into()),
    }
}

fn writing() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer})
}

fn judge(restriction: &RestrictionStatus, threads: Option<u64>) -> Status {
    let graded = match restriction.landlock {
        LandlockStatus::Available { effective_abi, kernel_abi } => grade(kernel_abi.unwrap_or(effective_abi as i32)),
        LandlockStatus::NotEnabled => Status::Absent("Landlock is built into this kernel but not enabled".to_owned()),
        LandlockStatus::NotImplemented => Status::Absent("this kernel has no Landlock".to_owned()),
    };
    match graded {
        Status::Absent(_) => graded,
        _ if restriction.all_threads || threads == Some(1) => graded,
        _ => Status::Partial(format!("{}; not for threads that already ran", graded.detail())),
    }
}

/// The status for a version of Landlock.
fn grade(version: i32) -> Status {
    let lacks: Vec<_> = BROUGHT_BY.iter().filter(|(since, _)| version < *since).map(|&(_, what)| what).collect();
    if version >= RELIED_ON {
        Status::Enforced(format!("ABI {version}"))
    } else {
        Status::Partial(format!("ABI {version} does not govern {}", lacks.join(", ")))
    }
}

/// The number of threads in this process, from the link count of `/proc/self/task`, which has a directory for each.
fn threads() -> Option<u64> {
    const ITSELF_AND_PARENT: u64 = 2;
    let tasks = rustix::fs::stat("/proc/self/task").ok()?;
    #[allow(clippy::useless_conversion, clippy::allow_attributes, reason = "the type of the field differs by platform")]
    u64::from(tasks.st_nlink).checked_sub(ITSELF_AND_PARENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_version_names_what_it_lacks() {
        assert_eq!(grade(7), Status::Enforced("ABI 7".to_owned()));
        assert_eq!(grade(6), Status::Enforced("ABI 6".to_owned()));
        assert_eq!(grade(5), Status::Partial("ABI 5 does not govern signals and abstract sockets".to_owned()));
        assert!(grade(2).detail().contains("truncating files, TCP"));
    }

    #[test]
    fn other_threads_make_it_partial() {
        let (hold, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv().ok());
        assert!(threads().unwrap() >= 2);
        drop(hold);
        other.join().unwrap();
    }

    #[test]
    fn outputs_grant_nothing_that_reads() {
        assert!(!writing().intersects(AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute));
        assert!(
            !writing().intersects(AccessFs::MakeSym | AccessFs::MakeFifo | AccessFs::MakeSock | AccessFs::MakeBlock)
        );
    }
}
