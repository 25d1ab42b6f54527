use std::io;

/// Why a file operation was refused: the errors both ABIs can express, in POSIX's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Errno {
    /// `EACCES`: the file is there and this is not allowed with it, such as reading an output.
    Access,
    /// `EBADF`: no such handle, or opened for something else.
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
    /// `ENOMEM`: the memory limit does not allow it.
    NoMemory,
    /// `ENOSPC`: the host's disk, or the memory behind `/tmp`, is full.
    NoSpace,
    /// `ENOTDIR`.
    NotDirectory,
    /// `ENOTEMPTY`.
    NotEmpty,
    /// `ENOTSUP`: links and the like, which this file system does not have.
    NotSupported,
    /// `EOVERFLOW`.
    Overflow,
    /// `EPERM`: a path that leaves its directory, or one the output contract does not allow.
    NotPermitted,
    /// `EDQUOT`: a budget of the output contract is spent.
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

/// What the kernel said, in our words. Anything unforeseen is `EIO`: a guest learns nothing more about the host.
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
            // cap-std's own refusal of an escape carries no errno.
            None if error.kind() == io::ErrorKind::PermissionDenied => Self::NotPermitted,
            _ => Self::Io,
        }
    }
}
