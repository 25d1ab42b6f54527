//! Operations on the content of open files.

use super::{
    Errno, FileKind, FileSystem, HandleId,
    handle::{Open, Source},
};
use std::os::unix::fs::FileExt as _;

impl FileSystem {
    /// Fills `buffer` from `offset`. Reads fewer bytes only at the end of the file, because short reads would reveal
    /// something about the host.
    ///
    /// # Errors
    /// `BadDescriptor` if the file is not open for reading, `IsDirectory`, `Io`.
    pub fn read_at(&self, handle: HandleId, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        match self.handles.get(handle.0).ok_or(Errno::BadDescriptor)? {
            Open::Directory { .. } => Err(Errno::IsDirectory),
            Open::File { readable: false, .. } => Err(Errno::BadDescriptor),
            Open::File { source: Source::Read { file, .. }, .. } => {
                let mut read = 0;
                while read < buffer.len() {
                    let at = offset.checked_add(read as u64).ok_or(Errno::Overflow)?;
                    match file.file.read_at(&mut buffer[read..], at) {
                        Ok(0) => break,
                        Ok(bytes) => read += bytes,
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                        Err(error) => {
                            let errno = Errno::from(error);
                            if errno == Errno::Io {
                                self.account.note_host_error(rustix::io::Errno::IO.raw_os_error());
                            }
                            return Err(errno);
                        }
                    }
                }
                if file.is_input {
                    self.account.count_read(read);
                }
                Ok(read)
            }
            Open::File { source: Source::Scratch(id), .. } => Ok(self.scratch.read_at(*id, buffer, offset)),
            Open::File { source: Source::Output { .. }, .. } => Err(Errno::BadDescriptor),
        }
    }

    /// Writes either all of `bytes` at `offset` or nothing.
    ///
    /// # Errors
    /// `BadDescriptor` if the file is not open for writing, `Quota` beyond the output contract, `NoSpace`.
    pub fn write_at(&mut self, handle: HandleId, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
        match self.handles.get(handle.0).ok_or(Errno::BadDescriptor)? {
            Open::Directory { .. } => Err(Errno::IsDirectory),
            Open::File { source: Source::Output { id, file }, writable: true, .. } => {
                self.outputs.as_mut().ok_or(Errno::BadDescriptor)?.write_at(*id, file, bytes, offset)
            }
            Open::File { source: Source::Scratch(id), writable: true, .. } => self.scratch.write_at(*id, bytes, offset),
            Open::File { .. } => Err(Errno::BadDescriptor),
        }
    }

    /// Writes either all of `bytes` at the end of the file or nothing. Returns the new end of the file.
    ///
    /// # Errors
    /// As [`Self::write_at`].
    pub fn append(&mut self, handle: HandleId, bytes: &[u8]) -> Result<u64, Errno> {
        let end = self.size(handle)?;
        let written = self.write_at(handle, bytes, end)?;
        Ok(end + written as u64)
    }

    /// The size of an open file.
    ///
    /// # Errors
    /// `BadDescriptor`, `IsDirectory`.
    pub fn size(&self, handle: HandleId) -> Result<u64, Errno> {
        match self.stat(handle)?.kind {
            FileKind::File { size } => Ok(size),
            FileKind::Directory => Err(Errno::IsDirectory),
            FileKind::Link { .. } => Err(Errno::Invalid),
        }
    }

    /// Sets the size of a file that is open for writing. A hole counts like data.
    ///
    /// # Errors
    /// As [`Self::write_at`].
    pub fn set_size(&mut self, handle: HandleId, size: u64) -> Result<(), Errno> {
        match self.handles.get(handle.0).ok_or(Errno::BadDescriptor)? {
            Open::Directory { .. } => Err(Errno::IsDirectory),
            Open::File { source: Source::Output { id, file }, writable: true, .. } => {
                self.outputs.as_mut().ok_or(Errno::BadDescriptor)?.set_size(*id, file, size)
            }
            Open::File { source: Source::Scratch(id), writable: true, .. } => self.scratch.set_size(*id, size),
            Open::File { .. } => Err(Errno::Invalid),
        }
    }

    /// Whether a handle may read and write its file: (read, write). For directories, both are false.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn access(&self, handle: HandleId) -> Result<(bool, bool), Errno> {
        match self.handles.get(handle.0).ok_or(Errno::BadDescriptor)? {
            Open::Directory { .. } => Ok((false, false)),
            Open::File { readable, writable, .. } => Ok((*readable, *writable)),
        }
    }
}
