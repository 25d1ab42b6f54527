//! `wasi:filesystem`.

use super::{
    errors::error_code,
    resources::{At, Entry, Input, Listing, Output, TOO_MANY},
};
use crate::{
    clock::EPOCH_SECONDS,
    fs::{Errno, FileKind, HandleId, OpenOptions, Stat},
    guest::Guest,
};
use wasmtime::{Result, component::Resource};
use wasmtime_wasi::p2::{
    FsError, FsResult,
    bindings::{
        clocks::wall_clock::Datetime,
        filesystem::preopens,
        sync::{
            filesystem::types::{
                self, Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
                DirectoryEntryStream, ErrorCode, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue,
                NewTimestamp, OpenFlags, PathFlags,
            },
            io::streams::{Error, InputStream, OutputStream},
        },
    },
};

fn descriptor_type(kind: FileKind) -> DescriptorType {
    match kind {
        FileKind::Directory => DescriptorType::Directory,
        FileKind::File { .. } => DescriptorType::RegularFile,
        FileKind::Link { .. } => DescriptorType::SymbolicLink,
        FileKind::Device => DescriptorType::CharacterDevice,
    }
}

fn descriptor_stat(stat: Stat) -> DescriptorStat {
    let time = Some(Datetime { seconds: EPOCH_SECONDS, nanoseconds: 0 });
    DescriptorStat {
        type_: descriptor_type(stat.kind),
        link_count: 1,
        size: match stat.kind {
            FileKind::Directory | FileKind::Device => 0,
            FileKind::File { size } | FileKind::Link { size } => size,
        },
        data_access_timestamp: time,
        data_modification_timestamp: time,
        status_change_timestamp: time,
    }
}

/// Identifies the object only. C libraries use the lower half as the inode number; the upper half is the single device.
fn metadata_hash(stat: Stat) -> MetadataHashValue {
    MetadataHashValue { lower: stat.inode, upper: 1 }
}

fn follows(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

impl Guest {
    /// Fails now, rather than at the first use of the stream, if the handle does not allow the access.
    fn check_access(&self, handle: HandleId, pick: impl FnOnce((bool, bool)) -> bool) -> Result<(), Errno> {
        // For a directory, `size` fails with `IsDirectory`.
        self.files.size(handle)?;
        if pick(self.files.access(handle)?) { Ok(()) } else { Err(Errno::BadDescriptor) }
    }

    fn write_stream(&mut self, fd: &Resource<Descriptor>, at: At) -> FsResult<Resource<OutputStream>> {
        let handle = self.resources.descriptor(fd)?;
        self.check_access(handle, |(_, write)| write)?;
        Ok(self.keep(Entry::Output(Output::File { handle, at }), Some(fd.rep()))?)
    }
}

impl preopens::Host for Guest {
    fn get_directories(&mut self) -> Result<Vec<(Resource<Descriptor>, String)>> {
        let handle = self.files.open_root().map_err(|_| TOO_MANY)?;
        let root = self.keep_open(handle, Entry::Descriptor(handle)).map_err(|_| TOO_MANY)?;
        Ok(vec![(root, "/".to_owned())])
    }
}

impl types::Host for Guest {
    fn convert_error_code(&mut self, error: FsError) -> Result<ErrorCode> {
        Ok(error.downcast()?.into())
    }

    fn filesystem_error_code(&mut self, error: Resource<Error>) -> Result<Option<ErrorCode>> {
        Ok(Some(error_code(self.resources.error(&error)?).into()))
    }
}

impl HostDescriptor for Guest {
    fn read_via_stream(&mut self, fd: Resource<Descriptor>, offset: u64) -> FsResult<Resource<InputStream>> {
        let handle = self.resources.descriptor(&fd)?;
        self.check_access(handle, |(read, _)| read)?;
        Ok(self.keep(Entry::Input(Input::File { handle, offset }), Some(fd.rep()))?)
    }

    fn write_via_stream(&mut self, fd: Resource<Descriptor>, offset: u64) -> FsResult<Resource<OutputStream>> {
        self.write_stream(&fd, At::Offset(offset))
    }

    fn append_via_stream(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<OutputStream>> {
        self.write_stream(&fd, At::End)
    }

    fn advise(&mut self, fd: Resource<Descriptor>, _: u64, _: u64, _: Advice) -> FsResult<()> {
        self.resources.descriptor(&fd)?;
        Ok(())
    }

    /// Does nothing: results are synced to disk when they are published.
    fn sync(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.resources.descriptor(&fd)?;
        Ok(())
    }

    fn sync_data(&mut self, fd: Resource<Descriptor>) -> FsResult<()> {
        self.sync(fd)
    }

    fn get_flags(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        let handle = self.resources.descriptor(&fd)?;
        if self.files.stat(handle)?.kind == FileKind::Directory {
            // Whether objects below it can be changed depends on their place; the file layer decides at each attempt.
            return Ok(DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY);
        }
        let (read, write) = self.files.access(handle)?;
        let flag = |given, flag| if given { flag } else { DescriptorFlags::empty() };
        Ok(flag(read, DescriptorFlags::READ) | flag(write, DescriptorFlags::WRITE))
    }

    fn get_type(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorType> {
        let handle = self.resources.descriptor(&fd)?;
        Ok(descriptor_type(self.files.stat(handle)?.kind))
    }

    fn set_size(&mut self, fd: Resource<Descriptor>, size: u64) -> FsResult<()> {
        let handle = self.resources.descriptor(&fd)?;
        Ok(self.files.set_size(handle, size)?)
    }

    /// Has no effect where writing is allowed: all times are the same fixed value.
    fn set_times(&mut self, fd: Resource<Descriptor>, _: NewTimestamp, _: NewTimestamp) -> FsResult<()> {
        let handle = self.resources.descriptor(&fd)?;
        Ok(self.files.touch_open(handle)?)
    }

    fn set_times_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        _: NewTimestamp,
        _: NewTimestamp,
    ) -> FsResult<()> {
        let base = self.resources.descriptor(&fd)?;
        Ok(self.files.touch(base, path.as_bytes(), follows(flags))?)
    }

    fn read(&mut self, fd: Resource<Descriptor>, length: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        let handle = self.resources.descriptor(&fd)?;
        let most = self.readable(length);
        let mut bytes = vec![0; most];
        let read = self.files.read_at(handle, &mut bytes, offset)?;
        bytes.truncate(read);
        // The file layer returns a short read only at the end of a file.
        Ok((bytes, read < most))
    }

    fn write(&mut self, fd: Resource<Descriptor>, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        let handle = self.resources.descriptor(&fd)?;
        Ok(self.files.write_at(handle, &bytes, offset)? as u64)
    }

    fn read_directory(&mut self, fd: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        let base = self.resources.descriptor(&fd)?;
        let handle = self.files.open(base, b".", OpenOptions { read: true, directory: true, ..Default::default() })?;
        match self.files.list(handle, true).map(<[_]>::len) {
            Ok(count) => Ok(self.keep_open(handle, Entry::Listing(Listing { handle, next: 0, count }))?),
            Err(errno) => {
                self.files.close(handle);
                Err(errno.into())
            }
        }
    }

    fn create_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        let base = self.resources.descriptor(&fd)?;
        Ok(self.files.create_directory(base, path.as_bytes())?)
    }

    fn stat(&mut self, fd: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        let handle = self.resources.descriptor(&fd)?;
        Ok(descriptor_stat(self.files.stat(handle)?))
    }

    fn stat_at(&mut self, fd: Resource<Descriptor>, flags: PathFlags, path: String) -> FsResult<DescriptorStat> {
        let base = self.resources.descriptor(&fd)?;
        Ok(descriptor_stat(self.files.stat_at(base, path.as_bytes(), follows(flags))?))
    }

    /// Always refused: a hard link could move an input into the outputs.
    fn link_at(
        &mut self,
        fd: Resource<Descriptor>,
        _: PathFlags,
        _: String,
        to: Resource<Descriptor>,
        _: String,
    ) -> FsResult<()> {
        self.resources.descriptor(&fd)?;
        self.resources.descriptor(&to)?;
        Err(Errno::NotSupported.into())
    }

    /// Always refused: the outputs must not contain symbolic links, which could mislead programs that read them.
    fn symlink_at(&mut self, fd: Resource<Descriptor>, _: String, _: String) -> FsResult<()> {
        self.resources.descriptor(&fd)?;
        Err(Errno::NotSupported.into())
    }

    fn open_at(
        &mut self,
        fd: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let base = self.resources.descriptor(&fd)?;
        let directory = open.contains(OpenFlags::DIRECTORY);
        let options = OpenOptions {
            read: flags.contains(DescriptorFlags::READ),
            // For a directory, this flag concerns the files that are opened in it.
            write: !directory && flags.contains(DescriptorFlags::WRITE),
            create: open.contains(OpenFlags::CREATE),
            exclusive: open.contains(OpenFlags::EXCLUSIVE),
            truncate: open.contains(OpenFlags::TRUNCATE),
            directory,
            follow: follows(path_flags),
        };
        // Checked before creating or truncating anything, so that a failure has no side effects.
        self.check_room()?;
        let handle = self.files.open(base, path.as_bytes(), options)?;
        Ok(self.keep_open(handle, Entry::Descriptor(handle))?)
    }

    fn readlink_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<String> {
        let base = self.resources.descriptor(&fd)?;
        Ok(self.files.read_link(base, path.as_bytes())?)
    }

    fn remove_directory_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        let base = self.resources.descriptor(&fd)?;
        Ok(self.files.remove_directory(base, path.as_bytes())?)
    }

    fn rename_at(
        &mut self,
        fd: Resource<Descriptor>,
        path: String,
        to: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        let (from, to) = (self.resources.descriptor(&fd)?, self.resources.descriptor(&to)?);
        Ok(self.files.rename((from, path.as_bytes()), (to, new.as_bytes()))?)
    }

    fn unlink_file_at(&mut self, fd: Resource<Descriptor>, path: String) -> FsResult<()> {
        let base = self.resources.descriptor(&fd)?;
        Ok(self.files.unlink_file(base, path.as_bytes())?)
    }

    fn is_same_object(&mut self, a: Resource<Descriptor>, b: Resource<Descriptor>) -> Result<bool> {
        let (a, b) = (self.resources.descriptor(&a)?, self.resources.descriptor(&b)?);
        Ok(matches!((self.files.stat(a), self.files.stat(b)), (Ok(a), Ok(b)) if a == b))
    }

    fn metadata_hash(&mut self, fd: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        let handle = self.resources.descriptor(&fd)?;
        Ok(metadata_hash(self.files.stat(handle)?))
    }

    fn metadata_hash_at(
        &mut self,
        fd: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let base = self.resources.descriptor(&fd)?;
        Ok(metadata_hash(self.files.stat_at(base, path.as_bytes(), follows(flags))?))
    }

    fn drop(&mut self, fd: Resource<Descriptor>) -> Result<()> {
        self.resources.descriptor(&fd)?;
        self.forget(&fd);
        Ok(())
    }
}

impl HostDirectoryEntryStream for Guest {
    fn read_directory_entry(&mut self, stream: Resource<DirectoryEntryStream>) -> FsResult<Option<DirectoryEntry>> {
        let listing = self.resources.listing(&stream)?;
        if listing.next >= listing.count {
            return Ok(None);
        }
        let entry = self.files.list(listing.handle, false)?.get(listing.next);
        listing.next += 1;
        Ok(entry.map(|entry| DirectoryEntry { type_: descriptor_type(entry.stat.kind), name: entry.name.clone() }))
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> Result<()> {
        self.resources.listing(&stream)?;
        self.forget(&stream);
        Ok(())
    }
}
