//! The numbers and names of preview 1.

/// Preview 1's error codes, by POSIX's names.
pub(crate) mod errno {
    pub(crate) const OK: u32 = 0;
    pub(crate) const ACCES: u32 = 2;
    pub(crate) const BADF: u32 = 8;
    pub(crate) const BUSY: u32 = 10;
    pub(crate) const DQUOT: u32 = 19;
    pub(crate) const EXIST: u32 = 20;
    pub(crate) const FAULT: u32 = 21;
    pub(crate) const FBIG: u32 = 22;
    pub(crate) const ILSEQ: u32 = 25;
    pub(crate) const INVAL: u32 = 28;
    pub(crate) const ISDIR: u32 = 31;
    pub(crate) const LOOP: u32 = 32;
    pub(crate) const NAMETOOLONG: u32 = 37;
    pub(crate) const NOENT: u32 = 44;
    pub(crate) const NOMEM: u32 = 48;
    pub(crate) const NOTDIR: u32 = 54;
    pub(crate) const NOTEMPTY: u32 = 55;
    pub(crate) const NOTSOCK: u32 = 57;
    pub(crate) const NOTSUP: u32 = 58;
    pub(crate) const PERM: u32 = 63;
    pub(crate) const ROFS: u32 = 69;
    pub(crate) const SPIPE: u32 = 70;
    pub(crate) const XDEV: u32 = 75;
}

/// `oflags`.
pub(crate) const CREATE: u32 = 1;
pub(crate) const DIRECTORY: u32 = 2;
pub(crate) const EXCLUSIVE: u32 = 4;
pub(crate) const TRUNCATE: u32 = 8;

/// `fdflags`.
pub(crate) const APPEND: u32 = 1;

/// `rights`.
pub(crate) const READ: u64 = 1 << 1;
pub(crate) const WRITE: u64 = 1 << 6;
/// Every named right, and some without a name.
pub(crate) const EVERYTHING: u64 = u64::MAX;

/// Every function of preview 1 that admission allows and that returns an error code, with its parameters: `i` for 32 bits,
/// `I` for 64.
pub(crate) const CALLS: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];
