//! The numbers of preview 1 (witx `wasi_snapshot_preview1`).

pub(super) mod rights {
    pub(crate) const FD_READ: u64 = 1 << 1;
    pub(crate) const FD_WRITE: u64 = 1 << 6;
    pub(crate) const FD_ALLOCATE: u64 = 1 << 8;
    pub(crate) const FD_READDIR: u64 = 1 << 14;
    pub(crate) const FD_FILESTAT_SET_SIZE: u64 = 1 << 22;
    /// Every right. Directories pass it on to the files opened in them; the file layer decides about each access.
    pub(crate) const ALL: u64 = (1 << 30) - 1;
    /// create, link, open, readdir, readlink, rename, stat, symlink, remove, unlink.
    pub(crate) const DIRECTORY: u64 = 0b11_1111_1110_0000_0000 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 21 | 0b111 << 24;
    /// datasync, seek, set-flags, sync, tell, advise, stat, poll.
    pub(crate) const FILE: u64 = 1 | 0b11_1100 | 1 << 7 | 1 << 21 | 1 << 27;
}

pub(super) mod file_type {
    pub(crate) const UNKNOWN: u8 = 0;
    pub(crate) const CHARACTER_DEVICE: u8 = 2;
    pub(crate) const DIRECTORY: u8 = 3;
    pub(crate) const REGULAR: u8 = 4;
    pub(crate) const SYMBOLIC_LINK: u8 = 7;
}

pub(super) mod open_flags {
    pub(crate) const CREATE: u32 = 1;
    pub(crate) const DIRECTORY: u32 = 2;
    pub(crate) const EXCLUSIVE: u32 = 4;
    pub(crate) const TRUNCATE: u32 = 8;
}

/// `lookupflags.symlink_follow`.
pub(super) const SYMLINK_FOLLOW: u32 = 1;
/// `fdflags.append`.
pub(super) const APPEND: u32 = 1;
/// All of `fdflags`: append, dsync, nonblock, rsync, sync. Only the first has an effect; the others are kept and told.
pub(super) const FD_FLAGS: u32 = 0b1_1111;

/// `fstflags`: a time and "now" contradict each other.
pub(super) const FST_FLAGS: u32 = 0b1111;
pub(super) const FST_ACCESSED: u32 = 0b0011;
pub(super) const FST_MODIFIED: u32 = 0b1100;

pub(super) const CLOCK_REALTIME: u32 = 0;
pub(super) const CLOCK_MONOTONIC: u32 = 1;

pub(super) const WHENCE_SET: u32 = 0;
pub(super) const WHENCE_CURRENT: u32 = 1;
pub(super) const WHENCE_END: u32 = 2;

/// Size of a `filestat`.
pub(super) const FILESTAT_BYTES: u32 = 64;
/// Size of an `fdstat`.
pub(super) const FDSTAT_BYTES: u32 = 24;
/// Size of a `dirent` without its name.
pub(super) const DIRENT_BYTES: usize = 24;
/// Size of a `subscription` and of an `event`.
pub(super) const SUBSCRIPTION_BYTES: u32 = 48;
pub(super) const EVENT_BYTES: u32 = 32;

/// The most buffers in one read or write (Linux's `IOV_MAX`).
pub(super) const MAX_BUFFERS: u32 = 1024;
/// The most subscriptions in one poll.
pub(super) const MAX_SUBSCRIPTIONS: u32 = 4096;
