//! Every call that takes a path.

use super::{
    abi::{SYMLINK_FOLLOW, open_flags, rights},
    descriptors::{Descriptor, OpenFile},
    errno::Code,
    files::{check_flags, check_times, write_filestat},
    memory::GuestMemory,
};
use crate::{
    fs::{Errno, FileKind, OpenOptions},
    guest::Guest,
};

type Answer = Result<(), Code>;

impl Guest {
    #[expect(clippy::too_many_arguments, reason = "the specification's parameters")]
    pub(super) fn path_open(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        lookup: u32,
        path: u32,
        length: u32,
        open: u32,
        base: u64,
        _inheriting: u64,
        flags: u32,
        out: u32,
    ) -> Answer {
        let directory = open & open_flags::DIRECTORY != 0;
        let options = OpenOptions {
            read: base & (rights::FD_READ | rights::FD_READDIR) != 0,
            // For a directory, this right concerns the files that are opened in it. The rights to allocate and to set the
            // size do not imply writing: Go requests the latter even for reading.
            write: !directory && base & rights::FD_WRITE != 0,
            create: open & open_flags::CREATE != 0,
            exclusive: open & open_flags::EXCLUSIVE != 0,
            truncate: open & open_flags::TRUNCATE != 0,
            directory,
            follow: lookup & SYMLINK_FOLLOW != 0,
        };
        let from = self.descriptors.directory(fd)?;
        // Checked before opening anything, so that a failure has no side effects.
        check_flags(flags)?;
        memory.bytes(out, 4)?;
        let handle = self.files.open(from, memory.bytes(path, length)?, options)?;
        let descriptor = match self.files.stat(handle)?.kind {
            FileKind::Directory => Descriptor::Directory(handle),
            FileKind::File { .. } | FileKind::Link { .. } | FileKind::Device => {
                Descriptor::File(OpenFile { handle, offset: 0, flags })
            }
        };
        let number = self.descriptors.insert(descriptor);
        memory.write_u32(out, number)
    }

    pub(super) fn path_filestat_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        flags: u32,
        path: u32,
        length: u32,
        out: u32,
    ) -> Answer {
        let from = self.descriptors.directory(fd)?;
        let stat = self.files.stat_at(from, memory.bytes(path, length)?, flags & SYMLINK_FOLLOW != 0)?;
        write_filestat(memory, out, Some(stat))
    }

    /// Has no effect where writing is allowed: all times are the same fixed value.
    #[expect(clippy::too_many_arguments, reason = "the specification's parameters")]
    pub(super) fn path_filestat_set_times(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        flags: u32,
        path: u32,
        length: u32,
        _accessed: u64,
        _modified: u64,
        set: u32,
    ) -> Answer {
        check_times(set)?;
        let from = self.descriptors.directory(fd)?;
        Ok(self.files.touch(from, memory.bytes(path, length)?, flags & SYMLINK_FOLLOW != 0)?)
    }

    pub(super) fn path_create_directory(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        path: u32,
        length: u32,
    ) -> Answer {
        let from = self.descriptors.directory(fd)?;
        Ok(self.files.create_directory(from, memory.bytes(path, length)?)?)
    }

    pub(super) fn path_remove_directory(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        path: u32,
        length: u32,
    ) -> Answer {
        let from = self.descriptors.directory(fd)?;
        Ok(self.files.remove_directory(from, memory.bytes(path, length)?)?)
    }

    pub(super) fn path_unlink_file(&mut self, memory: &mut GuestMemory<'_>, fd: u32, path: u32, length: u32) -> Answer {
        let from = self.descriptors.directory(fd)?;
        Ok(self.files.unlink_file(from, memory.bytes(path, length)?)?)
    }

    #[expect(clippy::too_many_arguments, reason = "the specification's parameters")]
    pub(super) fn path_rename(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from: u32,
        path: u32,
        length: u32,
        to: u32,
        new: u32,
        new_length: u32,
    ) -> Answer {
        let (from, to) = (self.descriptors.directory(from)?, self.descriptors.directory(to)?);
        let (path, new) = (memory.bytes(path, length)?, memory.bytes(new, new_length)?);
        Ok(self.files.rename((from, path), (to, new))?)
    }

    #[expect(clippy::too_many_arguments, reason = "the specification's parameters")]
    pub(super) fn path_readlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: u32,
        path: u32,
        length: u32,
        buffer: u32,
        buffer_length: u32,
        out: u32,
    ) -> Answer {
        let from = self.descriptors.directory(fd)?;
        let target = self.files.read_link(from, memory.bytes(path, length)?)?;
        let room = u32::try_from(target.len()).unwrap_or(u32::MAX).min(buffer_length);
        memory.bytes_mut(buffer, room)?.copy_from_slice(&target.as_bytes()[..room as usize]);
        memory.write_u32(out, room)
    }

    /// Always refused: a hard link could move an input into the outputs.
    #[expect(clippy::too_many_arguments, reason = "the specification's parameters")]
    pub(super) fn path_link(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from: u32,
        _flags: u32,
        path: u32,
        length: u32,
        to: u32,
        new: u32,
        new_length: u32,
    ) -> Answer {
        self.descriptors.directory(from)?;
        self.descriptors.directory(to)?;
        memory.bytes(path, length)?;
        memory.bytes(new, new_length)?;
        Err(Errno::NotSupported.into())
    }

    /// Always refused: the outputs must not contain symbolic links, which could mislead programs that read them.
    pub(super) fn path_symlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        target: u32,
        target_length: u32,
        fd: u32,
        path: u32,
        length: u32,
    ) -> Answer {
        self.descriptors.directory(fd)?;
        memory.bytes(target, target_length)?;
        memory.bytes(path, length)?;
        Err(Errno::NotSupported.into())
    }
}
