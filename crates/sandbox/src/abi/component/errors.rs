//! Converts errors of the file layer to the error codes of 0.2.

use crate::{fs::Errno, guest::AbiViolation};
use wasmtime_wasi::p2::{FsError, bindings::filesystem::types::ErrorCode};
use wasmtime_wasi_io::streams::StreamError;

/// The error of a stream, which the generated code turns into an `error` resource.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0:?}")]
pub(super) struct Failure(pub(super) Errno);

/// The error code of 0.2.
pub(super) fn error_code(errno: Errno) -> ErrorCode {
    match errno {
        Errno::Access => ErrorCode::Access,
        Errno::BadDescriptor => ErrorCode::BadDescriptor,
        Errno::Busy => ErrorCode::Busy,
        Errno::Exist => ErrorCode::Exist,
        Errno::FileTooLarge => ErrorCode::FileTooLarge,
        Errno::IllegalByteSequence => ErrorCode::IllegalByteSequence,
        Errno::Invalid => ErrorCode::Invalid,
        Errno::Io => ErrorCode::Io,
        Errno::IsDirectory => ErrorCode::IsDirectory,
        Errno::Loop => ErrorCode::Loop,
        Errno::NameTooLong => ErrorCode::NameTooLong,
        Errno::NoEntry => ErrorCode::NoEntry,
        // 0.2 has no error code for too many open files.
        Errno::NoMemory | Errno::TooManyHandles => ErrorCode::InsufficientMemory,
        Errno::NoSpace => ErrorCode::InsufficientSpace,
        Errno::NotDirectory => ErrorCode::NotDirectory,
        Errno::NotEmpty => ErrorCode::NotEmpty,
        Errno::NotSupported => ErrorCode::Unsupported,
        Errno::Overflow => ErrorCode::Overflow,
        Errno::NotPermitted => ErrorCode::NotPermitted,
        Errno::Quota => ErrorCode::Quota,
        Errno::ReadOnly => ErrorCode::ReadOnly,
        Errno::Seek => ErrorCode::InvalidSeek,
        Errno::CrossDevice => ErrorCode::CrossDevice,
    }
}

impl From<Errno> for FsError {
    fn from(errno: Errno) -> Self {
        error_code(errno).into()
    }
}

impl From<AbiViolation> for FsError {
    fn from(violation: AbiViolation) -> Self {
        Self::trap(violation)
    }
}

impl From<Errno> for StreamError {
    fn from(errno: Errno) -> Self {
        Self::LastOperationFailed(Failure(errno).into())
    }
}

impl From<AbiViolation> for StreamError {
    fn from(violation: AbiViolation) -> Self {
        Self::Trap(violation.into())
    }
}
