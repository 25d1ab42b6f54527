//! Every call on a descriptor: reading, writing, listing, metadata.

use super::{
    abi::{
        DIRENT_BYTES, FD_FLAGS, FDSTAT_BYTES, FILESTAT_BYTES, FST_ACCESSED, FST_FLAGS, FST_MODIFIED, MAX_BUFFERS,
        WHENCE_CURRENT, WHENCE_END, WHENCE_SET, file_type, rights,
    },
    descriptors::{Descriptor, OpenFile},
    errno::Code,
    memory::GuestMemory,
};
use crate::{
    clock::EPOCH_SECONDS,
    fs::{Errno, FileKind, FileSystem, HandleId, Stat},
    guest::Guest,
};

type Answer = Result<(), Code>;

fn file_type_of(kind: FileKind) -> u8 {
    match kind {
        FileKind::Directory => file_type::DIRECTORY,
        FileKind::File { .. } => file_type::REGULAR,
        FileKind::Link { .. } => file_type::SYMBOLIC_LINK,
        FileKind::Device => file_type::CHARACTER_DEVICE,
    }
}

/// Writes a `filestat`. For a standard stream, only the type is set.
pub(super) fn write_filestat(memory: &mut GuestMemory<'_>, out: u32, stat: Option<Stat>) -> Answer {
    let mut record = [0; FILESTAT_BYTES as usize];
    if let Some(stat) = stat {
        record[0] = 1;
        record[8..16].copy_from_slice(&stat.inode.to_le_bytes());
        record[16] = file_type_of(stat.kind);
        record[24] = 1;
        if let FileKind::File { size } | FileKind::Link { size } = stat.kind {
            record[32..40].copy_from_slice(&size.to_le_bytes());
        }
        for time in record[40..].chunks_exact_mut(8) {
            time.copy_from_slice(&(EPOCH_SECONDS * 1_000_000_000).to_le_bytes());
        }
    } else {
        record[16] = file_type::UNKNOWN;
    }
    memory.write(out, &record)
}

/// Buffer `index` of a scattered read or write.
fn buffer(memory: &GuestMemory<'_>, buffers: u32, index: u32) -> Result<(u32, u32), Code> {
    let at = GuestMemory::element(buffers, index, 8)?;
    Ok((memory.u32(at)?, memory.u32(at.checked_add(4).ok_or(Code::FAULT)?)?))
}

/// Reads into buffers from `offset` until one cannot be filled. Returns the number of bytes read.
fn read_into(
    files: &mut FileSystem,
    memory: &mut GuestMemory<'_>,
    handle: HandleId,
    (buffers, count): (u32, u32),
    offset: u64,
) -> Result<u32, Code> {
    let mut total = 0_u32;
    for index in 0..checked_count(count)? {
        let (pointer, length) = buffer(memory, buffers, index)?;
        let at = offset.checked_add(u64::from(total)).ok_or(Code::OVERFLOW)?;
        let read = files.read_at(handle, memory.bytes_mut(pointer, length)?, at)?;
        total = u32::try_from(read).ok().and_then(|read| total.checked_add(read)).ok_or(Code::OVERFLOW)?;
        if read < length as usize {
            break;
        }
    }
    Ok(total)
}

/// The position of a write.
#[derive(Clone, Copy)]
enum At {
    Offset(u64),
    End,
}

/// Writes buffers until one fails. If some were written before, the result is a short write, and the next call gets the
/// error.
fn write_from(
    files: &mut FileSystem,
    memory: &GuestMemory<'_>,
    handle: HandleId,
    (buffers, count): (u32, u32),
    at: At,
) -> Result<u32, Code> {
    let mut total = 0_u32;
    for index in 0..checked_count(count)? {
        let (pointer, length) = buffer(memory, buffers, index)?;
        let bytes = memory.bytes(pointer, length)?;
        let written = match at {
            At::Offset(offset) => {
                let offset = offset.checked_add(u64::from(total)).ok_or(Code::OVERFLOW)?;
                files.write_at(handle, bytes, offset).map(|_| ())
            }
            At::End => files.append(handle, bytes).map(|_| ()),
        };
        match written {
            Ok(()) => total = total.checked_add(length).ok_or(Code::OVERFLOW)?,
            Err(_) if total > 0 => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(total)
}

/// Refuses unknown `fdflags`.
pub(super) fn check_flags(flags: u32) -> Answer {
    if flags & !FD_FLAGS == 0 { Ok(()) } else { Err(Code::INVALID) }
}

/// Refuses unknown `fstflags`, and those that ask for a given time and for now at once.
pub(super) fn check_times(set: u32) -> Answer {
    let contradicts = |both: u32| set & both == both;
    if set & !FST_FLAGS != 0 || contradicts(FST_ACCESSED) || contradicts(FST_MODIFIED) {
        return Err(Code::INVALID);
    }
    Ok(())
}

fn checked_count(count: u32) -> Result<u32, Code> {
    if count > MAX_BUFFERS { Err(Code::INVALID) } else { Ok(count) }
}

impl Guest {
    pub(super) fn fd_close(&mut self, _: &mut GuestMemory<'_>, fd: u32) -> Answer {
        if let Some(handle) = self.descriptors.remove(fd)?.handle() {
            self.files.close(handle);
        }
        Ok(())
    }

    pub(super) fn fd_renumber(&mut self, _: &mut GuestMemory<'_>, from: u32, to: u32) -> Answer {
        self.descriptors.get(to)?;
        if from == to {
            return Ok(());
        }
        let moved = self.descriptors.remove(from)?;
        if let Some(handle) = self.descriptors.replace(to, moved)?.handle() {
            self.files.close(handle);
        }
        Ok(())
    }

    pub(super) fn fd_read(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        buffers: u32,
        count: u32,
        out: u32,
    ) -> Answer {
        let read = match self.descriptors.get(fd)? {
            Descriptor::Stdin => 0,
            Descriptor::Log => return Err(Code::BAD_DESCRIPTOR),
            Descriptor::Root(_) | Descriptor::Directory(_) => return Err(Errno::IsDirectory.into()),
            Descriptor::File(OpenFile { handle, offset, .. }) => {
                let read = read_into(&mut self.files, memory, handle, (buffers, count), offset)?;
                self.descriptors.file(fd)?.offset += u64::from(read);
                read
            }
        };
        memory.write_u32(out, read)
    }

    pub(super) fn fd_pread(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        buffers: u32,
        count: u32,
        offset: u64,
        out: u32,
    ) -> Answer {
        let handle = self.descriptors.file(fd)?.handle;
        let read = read_into(&mut self.files, memory, handle, (buffers, count), offset)?;
        memory.write_u32(out, read)
    }

    pub(super) fn fd_write(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        buffers: u32,
        count: u32,
        out: u32,
    ) -> Answer {
        let written = match self.descriptors.get(fd)? {
            Descriptor::Stdin => return Err(Code::BAD_DESCRIPTOR),
            Descriptor::Log => self.print(memory, buffers, count)?,
            Descriptor::Root(_) | Descriptor::Directory(_) => return Err(Errno::IsDirectory.into()),
            Descriptor::File(file @ OpenFile { handle, offset, .. }) => {
                let at = if file.appends() { At::End } else { At::Offset(offset) };
                let written = write_from(&mut self.files, memory, handle, (buffers, count), at)?;
                let end = if file.appends() { self.files.size(handle)? } else { offset + u64::from(written) };
                self.descriptors.file(fd)?.offset = end;
                written
            }
        };
        memory.write_u32(out, written)
    }

    fn print(&mut self, memory: &GuestMemory<'_>, buffers: u32, count: u32) -> Result<u32, Code> {
        let mut total = 0_u32;
        for index in 0..checked_count(count)? {
            let (pointer, length) = buffer(memory, buffers, index)?;
            self.log.write(memory.bytes(pointer, length)?);
            total = total.checked_add(length).ok_or(Code::OVERFLOW)?;
        }
        Ok(total)
    }

    pub(super) fn fd_pwrite(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        buffers: u32,
        count: u32,
        offset: u64,
        out: u32,
    ) -> Answer {
        let handle = self.descriptors.file(fd)?.handle;
        let written = write_from(&mut self.files, memory, handle, (buffers, count), At::Offset(offset))?;
        memory.write_u32(out, written)
    }

    pub(super) fn fd_seek(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        offset: u64,
        whence: u32,
        out: u32,
    ) -> Answer {
        let OpenFile { handle, offset: current, .. } = *self.descriptors.file(fd)?;
        let base = match whence {
            WHENCE_SET => 0,
            WHENCE_CURRENT => current,
            WHENCE_END => self.files.size(handle)?,
            _ => return Err(Code::INVALID),
        };
        let target = base.checked_add_signed(offset.cast_signed()).ok_or(Code::INVALID)?;
        self.descriptors.file(fd)?.offset = target;
        memory.write_u64(out, target)
    }

    pub(super) fn fd_tell(&mut self, memory: &mut GuestMemory<'_>, fd: u32, out: u32) -> Answer {
        let offset = self.descriptors.file(fd)?.offset;
        memory.write_u64(out, offset)
    }

    pub(super) fn fd_advise(&mut self, _: &mut GuestMemory<'_>, fd: u32, _: u64, _: u64, _: u32) -> Answer {
        self.descriptors.file(fd).map(|_| ())
    }

    pub(super) fn fd_allocate(&mut self, _: &mut GuestMemory<'_>, fd: u32, offset: u64, length: u64) -> Answer {
        let handle = self.descriptors.file(fd)?.handle;
        let end = offset.checked_add(length).ok_or(Errno::FileTooLarge)?;
        if end > self.files.size(handle)? {
            self.files.set_size(handle, end)?;
        }
        Ok(())
    }

    /// Does nothing: results are synced to disk when they are published.
    pub(super) fn fd_sync(&mut self, _: &mut GuestMemory<'_>, fd: u32) -> Answer {
        self.descriptors.get(fd).map(|_| ())
    }

    pub(super) fn fd_datasync(&mut self, memory: &mut GuestMemory<'_>, fd: u32) -> Answer {
        self.fd_sync(memory, fd)
    }

    pub(super) fn fd_fdstat_get(&mut self, memory: &mut GuestMemory<'_>, fd: u32, out: u32) -> Answer {
        let (file_type, flags, base, inheriting) = match self.descriptors.get(fd)? {
            Descriptor::Stdin => (file_type::UNKNOWN, 0, rights::FD_READ, 0),
            Descriptor::Log => (file_type::UNKNOWN, 0, rights::FD_WRITE, 0),
            Descriptor::Root(_) | Descriptor::Directory(_) => (file_type::DIRECTORY, 0, rights::DIRECTORY, rights::ALL),
            Descriptor::File(file) => {
                let (read, write) = self.files.access(file.handle)?;
                let writing = rights::FD_WRITE | rights::FD_ALLOCATE | rights::FD_FILESTAT_SET_SIZE;
                let base = rights::FILE | if read { rights::FD_READ } else { 0 } | if write { writing } else { 0 };
                let kind = file_type_of(self.files.stat(file.handle)?.kind);
                (kind, u8::try_from(file.flags).unwrap_or_default(), base, 0)
            }
        };
        let mut record = [0; FDSTAT_BYTES as usize];
        record[0] = file_type;
        record[2] = flags;
        record[8..16].copy_from_slice(&base.to_le_bytes());
        record[16..24].copy_from_slice(&inheriting.to_le_bytes());
        memory.write(out, &record)
    }

    pub(super) fn fd_fdstat_set_flags(&mut self, _: &mut GuestMemory<'_>, fd: u32, flags: u32) -> Answer {
        check_flags(flags)?;
        match self.descriptors.get(fd)? {
            Descriptor::File(_) => self.descriptors.file(fd)?.flags = flags,
            Descriptor::Stdin | Descriptor::Log => {}
            Descriptor::Root(_) | Descriptor::Directory(_) => return Err(Code::BAD_DESCRIPTOR),
        }
        Ok(())
    }

    /// Has no effect: the file layer decides about each access.
    pub(super) fn fd_fdstat_set_rights(&mut self, _: &mut GuestMemory<'_>, fd: u32, _: u64, _: u64) -> Answer {
        self.descriptors.get(fd)?;
        Err(Code::NOT_SUPPORTED)
    }

    pub(super) fn fd_filestat_get(&mut self, memory: &mut GuestMemory<'_>, fd: u32, out: u32) -> Answer {
        let stat = match self.descriptors.get(fd)?.handle() {
            Some(handle) => Some(self.files.stat(handle)?),
            None => None,
        };
        write_filestat(memory, out, stat)
    }

    pub(super) fn fd_filestat_set_size(&mut self, _: &mut GuestMemory<'_>, fd: u32, size: u64) -> Answer {
        let handle = self.descriptors.file(fd)?.handle;
        Ok(self.files.set_size(handle, size)?)
    }

    /// Has no effect where writing is allowed: all times are the same fixed value.
    pub(super) fn fd_filestat_set_times(
        &mut self,
        _: &mut GuestMemory<'_>,
        fd: u32,
        _: u64,
        _: u64,
        set: u32,
    ) -> Answer {
        check_times(set)?;
        let handle = self.descriptors.get(fd)?.handle().ok_or(Code::NOT_SUPPORTED)?;
        Ok(self.files.touch_open(handle)?)
    }

    pub(super) fn fd_prestat_get(&mut self, memory: &mut GuestMemory<'_>, fd: u32, out: u32) -> Answer {
        match self.descriptors.get(fd)? {
            // Tag 0: a directory. Then the length of its name, `/`.
            Descriptor::Root(_) => memory.write(out, &[0, 0, 0, 0, 1, 0, 0, 0]),
            _ => Err(Code::BAD_DESCRIPTOR),
        }
    }

    pub(super) fn fd_prestat_dir_name(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        path: u32,
        length: u32,
    ) -> Answer {
        match self.descriptors.get(fd)? {
            Descriptor::Root(_) if length >= 1 => memory.write(path, b"/"),
            Descriptor::Root(_) => Err(Errno::NameTooLong.into()),
            _ => Err(Code::BAD_DESCRIPTOR),
        }
    }

    /// Fills the buffer with entries. The last entry is cut at the end of the buffer. Cookie 0 starts a new listing, with
    /// `.` and `..` before the sorted names.
    pub(super) fn fd_readdir(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        buffer: u32,
        length: u32,
        cookie: u64,
        out: u32,
    ) -> Answer {
        let handle = match self.descriptors.get(fd)? {
            Descriptor::Root(handle) | Descriptor::Directory(handle) => handle,
            Descriptor::Stdin | Descriptor::Log | Descriptor::File(_) => return Err(Code::NOT_A_DIRECTORY),
        };
        let own = self.files.stat(handle)?;
        let entries = self.files.list(handle, cookie == 0)?;
        let target = memory.bytes_mut(buffer, length)?;
        let mut used = 0;
        let start = usize::try_from(cookie).map_err(|_| Code::INVALID)?;
        let named = entries.iter().map(|entry| (entry.name.as_str(), entry.stat));
        for (index, (name, stat)) in [(".", own), ("..", own)].into_iter().chain(named).enumerate().skip(start) {
            let mut head = [0; DIRENT_BYTES];
            head[..8].copy_from_slice(&(index as u64 + 1).to_le_bytes());
            head[8..16].copy_from_slice(&stat.inode.to_le_bytes());
            head[16..20].copy_from_slice(&u32::try_from(name.len()).map_err(|_| Code::OVERFLOW)?.to_le_bytes());
            head[20] = file_type_of(stat.kind);
            for part in [&head[..], name.as_bytes()] {
                let room = part.len().min(target.len() - used);
                target[used..used + room].copy_from_slice(&part[..room]);
                used += room;
            }
            if used == target.len() {
                break;
            }
        }
        memory.write_u32(out, u32::try_from(used).map_err(|_| Code::OVERFLOW)?)
    }
}
