//! `wasi:io/streams` and `wasi:io/error`. Every read or write is complete when the call returns, so the `blocking-`
//! variants do the same, and there is nothing to flush.

use super::{
    errors::Failure,
    resources::{At, Entry, Input, Output, TOO_MANY},
};
use crate::{
    fs::FileSystem,
    guest::{AbiViolation, Guest},
    log::Log,
};
use wasmtime::{Result, component::Resource};
use wasmtime_wasi::p2::bindings::sync::io::{
    poll::Pollable,
    streams::{self, Error, HostInputStream, HostOutputStream, InputStream, OutputStream},
};
use wasmtime_wasi_io::{
    bindings::wasi::io::error,
    streams::{StreamError, StreamResult},
};

/// The specification's limit on `blocking-write-and-flush` and its sibling.
const MAX_BLOCKING_WRITE: u64 = 4096;

/// The guest wrote more than `check-write` permitted.
const BEYOND_PERMIT: AbiViolation = AbiViolation("a write of more bytes than are permitted at once");

impl Input {
    /// Reads up to `most` bytes. At the end of a file, the result is `closed` until the file grows: as in preview 1, a
    /// program may continue reading a file that it appends to.
    fn read(&mut self, files: &mut FileSystem, most: usize) -> StreamResult<Vec<u8>> {
        let Self::File { handle, offset } = self else { return Err(StreamError::Closed) };
        let mut bytes = vec![0; most];
        match files.read_at(*handle, &mut bytes, *offset) {
            Ok(0) if most > 0 => Err(StreamError::Closed),
            Ok(read) => {
                *offset = offset.saturating_add(read as u64);
                bytes.truncate(read);
                Ok(bytes)
            }
            Err(errno) => {
                *self = Self::Closed;
                Err(errno.into())
            }
        }
    }

    /// Skips up to `most` bytes without reading them.
    fn skip(&mut self, files: &FileSystem, most: u64) -> StreamResult<u64> {
        let Self::File { handle, offset } = self else { return Err(StreamError::Closed) };
        match files.size(*handle) {
            Ok(size) if size <= *offset && most > 0 => Err(StreamError::Closed),
            Ok(size) => {
                let skipped = most.min(size.saturating_sub(*offset));
                *offset += skipped;
                Ok(skipped)
            }
            Err(errno) => {
                *self = Self::Closed;
                Err(errno.into())
            }
        }
    }
}

impl Output {
    fn check(&self) -> StreamResult<()> {
        if matches!(self, Self::Closed) { Err(StreamError::Closed) } else { Ok(()) }
    }

    /// Writes either all of `bytes` or nothing. An error closes the stream.
    fn write(&mut self, files: &mut FileSystem, log: &mut Log, bytes: &[u8]) -> StreamResult<()> {
        let written = match self {
            Self::Closed => return Err(StreamError::Closed),
            Self::Log => {
                log.write(bytes);
                Ok(())
            }
            Self::File { handle, at: At::End } => files.append(*handle, bytes).map(|_| ()),
            Self::File { handle, at: At::Offset(offset) } => {
                files.write_at(*handle, bytes, *offset).map(|written| *offset = offset.saturating_add(written as u64))
            }
        };
        written.map_err(|errno| {
            *self = Self::Closed;
            errno.into()
        })
    }
}

impl Guest {
    /// The most bytes that one call may read: the requested number, up to the call limit.
    pub(super) fn readable(&self, length: u64) -> usize {
        usize::try_from(length.min(self.call_bytes)).unwrap_or(usize::MAX)
    }

    fn write_all(&mut self, stream: &Resource<OutputStream>, bytes: &[u8], permitted: u64) -> StreamResult<()> {
        if bytes.len() as u64 > permitted {
            return Err(BEYOND_PERMIT.into());
        }
        self.resources.output(stream)?.write(&mut self.files, &mut self.log, bytes)
    }

    fn write_zeros(&mut self, stream: &Resource<OutputStream>, length: u64, permitted: u64) -> StreamResult<()> {
        if length > permitted {
            return Err(BEYOND_PERMIT.into());
        }
        let zeros = vec![0; usize::try_from(length).map_err(|_| BEYOND_PERMIT)?];
        self.write_all(stream, &zeros, permitted)
    }
}

impl streams::Host for Guest {
    fn convert_stream_error(&mut self, error: StreamError) -> Result<streams::StreamError> {
        match error {
            StreamError::Closed => Ok(streams::StreamError::Closed),
            StreamError::LastOperationFailed(error) => {
                let Failure(errno) = error.downcast()?;
                let error = self.keep(Entry::Error(errno), None).map_err(|_| TOO_MANY)?;
                Ok(streams::StreamError::LastOperationFailed(error))
            }
            StreamError::Trap(error) => Err(error),
        }
    }
}

impl HostInputStream for Guest {
    fn read(&mut self, stream: Resource<InputStream>, length: u64) -> StreamResult<Vec<u8>> {
        let most = self.readable(length);
        self.resources.input(&stream)?.read(&mut self.files, most)
    }

    fn blocking_read(&mut self, stream: Resource<InputStream>, length: u64) -> StreamResult<Vec<u8>> {
        HostInputStream::read(self, stream, length)
    }

    fn skip(&mut self, stream: Resource<InputStream>, length: u64) -> StreamResult<u64> {
        self.resources.input(&stream)?.skip(&self.files, length)
    }

    fn blocking_skip(&mut self, stream: Resource<InputStream>, length: u64) -> StreamResult<u64> {
        HostInputStream::skip(self, stream, length)
    }

    fn subscribe(&mut self, stream: Resource<InputStream>) -> Result<Resource<Pollable>> {
        self.resources.input(&stream)?;
        self.keep_or_trap(Entry::Pollable(0))
    }

    fn drop(&mut self, stream: Resource<InputStream>) -> Result<()> {
        self.resources.input(&stream)?;
        self.forget(&stream);
        Ok(())
    }
}

impl HostOutputStream for Guest {
    /// Permits as many bytes as one call may make the host allocate. A smaller permit would trap programs whose C library
    /// writes more than `check-write` permitted.
    fn check_write(&mut self, stream: Resource<OutputStream>) -> StreamResult<u64> {
        self.resources.output(&stream)?.check()?;
        Ok(self.call_bytes)
    }

    fn write(&mut self, stream: Resource<OutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.write_all(&stream, &bytes, self.call_bytes)
    }

    fn blocking_write_and_flush(&mut self, stream: Resource<OutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.write_all(&stream, &bytes, MAX_BLOCKING_WRITE)
    }

    fn flush(&mut self, stream: Resource<OutputStream>) -> StreamResult<()> {
        self.resources.output(&stream)?.check()
    }

    fn blocking_flush(&mut self, stream: Resource<OutputStream>) -> StreamResult<()> {
        self.resources.output(&stream)?.check()
    }

    fn subscribe(&mut self, stream: Resource<OutputStream>) -> Result<Resource<Pollable>> {
        self.resources.output(&stream)?;
        self.keep_or_trap(Entry::Pollable(0))
    }

    fn write_zeroes(&mut self, stream: Resource<OutputStream>, length: u64) -> StreamResult<()> {
        self.write_zeros(&stream, length, self.call_bytes)
    }

    fn blocking_write_zeroes_and_flush(&mut self, stream: Resource<OutputStream>, length: u64) -> StreamResult<()> {
        self.write_zeros(&stream, length, MAX_BLOCKING_WRITE)
    }

    fn splice(&mut self, to: Resource<OutputStream>, from: Resource<InputStream>, length: u64) -> StreamResult<u64> {
        self.resources.output(&to)?.check()?;
        let bytes = HostInputStream::read(self, from, length)?;
        self.write_all(&to, &bytes, self.call_bytes)?;
        Ok(bytes.len() as u64)
    }

    fn blocking_splice(
        &mut self,
        to: Resource<OutputStream>,
        from: Resource<InputStream>,
        length: u64,
    ) -> StreamResult<u64> {
        self.splice(to, from, length)
    }

    fn drop(&mut self, stream: Resource<OutputStream>) -> Result<()> {
        self.resources.output(&stream)?;
        self.forget(&stream);
        Ok(())
    }
}

impl error::Host for Guest {}

impl error::HostError for Guest {
    fn to_debug_string(&mut self, error: Resource<Error>) -> Result<String> {
        Ok(Failure(self.resources.error(&error)?).to_string())
    }

    fn drop(&mut self, error: Resource<Error>) -> Result<()> {
        self.resources.error(&error)?;
        self.forget(&error);
        Ok(())
    }
}
