use std::io;

/// Why a file operation failed: the errors that both ABIs can express, named as in POSIX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Errno {
    /// `EACCES`: the file exists, but the operation is not allowed, such as reading an output.
    Access,
    /// `EBADF`: an unknown handle, or one that is not open for this operation.
    BadDescriptor,
    /// `EBUSY`.
    Busy,
    /// `EEXIST`.
    Exist,
    /// `EFBIG`.
    FileTooLarge,
    /// `EILSEQ`: a path that is not UTF-8.
    IllegalByteSequence,
    /// `EINVAL`.
    Invalid,
    /// `EIO`.
    Io,
    /// `EISDIR`.
    IsDirectory,
    /// `ELOOP`.
    Loop,
    /// `ENAMETOOLONG`.
    NameTooLong,
    /// `ENOENT`.
    NoEntry,
    /// `ENOMEM`: the memory limit is exceeded.
    NoMemory,
    /// `ENOSPC`: the host's disk, or the memory behind `/tmp`, is full.
    NoSpace,
    /// `ENOTDIR`.
    NotDirectory,
    /// `ENOTEMPTY`.
    NotEmpty,
    /// `ENOTSUP`: an operation that this file system does not have, such as creating a link.
    NotSupported,
    /// `EOVERFLOW`.
    Overflow,
    /// `EPERM`: a path that leaves its directory, or that the output contract does not allow.
    NotPermitted,
    /// `EDQUOT`: the output contract's budget is exhausted.
    Quota,
    /// `EROFS`: inputs and the directories above them.
    ReadOnly,
    /// `ESPIPE`: a stream that cannot be positioned.
    Seek,
    /// `EMFILE`: the limit on open handles.
    TooManyHandles,
    /// `EXDEV`: a rename from one part of the tree to another.
    CrossDevice,
}

/// Converts the kernel's error. Unexpected errors become `EIO`, so that a guest learns nothing more about the host.
impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        use rustix::io::Errno as Os;
        match Os::from_io_error(&error) {
            Some(Os::ACCESS) => Self::Access,
            Some(Os::PERM | Os::XDEV) => Self::NotPermitted,
            Some(Os::NOENT) => Self::NoEntry,
            Some(Os::NOTDIR) => Self::NotDirectory,
            Some(Os::ISDIR) => Self::IsDirectory,
            Some(Os::EXIST) => Self::Exist,
            Some(Os::LOOP) => Self::Loop,
            Some(Os::NAMETOOLONG) => Self::NameTooLong,
            Some(Os::NOTEMPTY) => Self::NotEmpty,
            Some(Os::NOSPC | Os::DQUOT) => Self::NoSpace,
            Some(Os::FBIG) => Self::FileTooLarge,
            Some(Os::ROFS) => Self::ReadOnly,
            Some(Os::INVAL) => Self::Invalid,
            // cap-std's own refusal of a path that escapes has no errno.
            None if error.kind() == io::ErrorKind::PermissionDenied => Self::NotPermitted,
            _ => Self::Io,
        }
    }
}
