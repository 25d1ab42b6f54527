//! Operations on the content of open files.

use super::{
    Errno, FileKind, FileSystem, HandleId, RandomBytes,
    handle::{Directory, Open, Source},
};
impl FileSystem {
    /// Fills `buffer` from `offset`. Reads fewer bytes only at the end of the file, because short reads would reveal
    /// something about the host.
    ///
    /// # Errors
    /// `BadDescriptor` if the file is not open for reading, `IsDirectory`, `Io`.
    pub fn read_at(&mut self, handle: HandleId, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        match self.handles.get(handle.0).ok_or(Errno::BadDescriptor)? {
            Open::Directory { .. } => Err(Errno::IsDirectory),
            Open::File { readable: false, .. } => Err(Errno::BadDescriptor),
            Open::File { source: Source::Read { file, .. }, .. } => {
                let mut read = 0;
                while read < buffer.len() {
                    let at = offset.checked_add(read as u64).ok_or(Errno::Overflow)?;
                    match file.content.read_at(&mut buffer[read..], at) {
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
            Open::File { source: Source::Device { device, .. }, .. } => {
                let random = self.random.as_mut().map(|random| random.as_mut() as &mut dyn RandomBytes);
                device.read(buffer, random)
            }
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
            // Every device takes everything and keeps nothing.
            Open::File { source: Source::Device { .. }, writable: true, .. } => Ok(bytes.len()),
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
            FileKind::Device => Ok(0),
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

    /// Sets the times of an open file or directory. This has no effect, because all times have the same fixed value, but it
    /// is an error for inputs and for what is above them. As in POSIX, the file need not be open for writing.
    ///
    /// # Errors
    /// `BadDescriptor`, `ReadOnly`.
    pub fn touch_open(&self, handle: HandleId) -> Result<(), Errno> {
        match self.handles.get(handle.0).ok_or(Errno::BadDescriptor)? {
            Open::Directory { place: Directory::Outputs(_) | Directory::Scratch(_), .. }
            | Open::File { source: Source::Output { .. } | Source::Scratch(_) | Source::Device { .. }, .. } => Ok(()),
            Open::Directory { place: Directory::Tree(_) | Directory::Dataset { .. }, .. }
            | Open::File { source: Source::Read { .. }, .. } => Err(Errno::ReadOnly),
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
