use crate::fs::Errno;

/// An error code of preview 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub(super) u16);

impl Code {
    pub(super) const BAD_DESCRIPTOR: Self = Self(8);
    pub(super) const FAULT: Self = Self(21);
    pub(super) const INVALID: Self = Self(28);
    pub(super) const NOT_A_DIRECTORY: Self = Self(54);
    pub(super) const NOT_A_SOCKET: Self = Self(57);
    pub(super) const NOT_SUPPORTED: Self = Self(58);
    pub(super) const OVERFLOW: Self = Self(61);
    pub(super) const SEEK: Self = Self(70);
}

impl From<Errno> for Code {
    fn from(errno: Errno) -> Self {
        Self(match errno {
            Errno::Access => 2,
            Errno::BadDescriptor => 8,
            Errno::Busy => 10,
            Errno::Quota => 19,
            Errno::Exist => 20,
            Errno::FileTooLarge => 22,
            Errno::IllegalByteSequence => 25,
            Errno::Invalid => 28,
            Errno::Io => 29,
            Errno::IsDirectory => 31,
            Errno::Loop => 32,
            Errno::TooManyHandles => 33,
            Errno::NameTooLong => 37,
            Errno::NoEntry => 44,
            Errno::NoMemory => 48,
            Errno::NoSpace => 51,
            Errno::NotDirectory => 54,
            Errno::NotEmpty => 55,
            Errno::NotSupported => 58,
            Errno::Overflow => 61,
            Errno::NotPermitted => 63,
            Errno::ReadOnly => 69,
            Errno::Seek => 70,
            Errno::CrossDevice => 75,
        })
    }
}
