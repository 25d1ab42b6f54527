//! Operations on names: open, stat, list, create, remove, rename.

use super::{
    Entry, Errno, FileKind, FileSystem, HandleId, OpenOptions, Stat,
    dataset::ReadFile,
    device::DEVICES,
    file_system::{Found, Target, join},
    handle::{Directory, Open, Source},
    outputs::OutputKind,
    scratch::{BESIDE_ROOT, ScratchKind},
    tree::{Branch, ROOT},
};

/// The part of the tree that an inode number belongs to.
#[derive(Clone, Copy)]
enum Part {
    Tree = 1,
    Fixed = 2,
    Dataset = 3,
    Outputs = 4,
    Scratch = 5,
    Device = 6,
}

fn numbered(part: Part, number: usize) -> u64 {
    (part as u64) << 56 | number as u64
}

/// FNV-1a (64 bits) over mount and path, so that a file has the same number in every run.
fn hashed(mount: usize, path: &str) -> u64 {
    let hash =
        mount.to_le_bytes().iter().chain(path.as_bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    (Part::Dataset as u64) << 56 | hash >> 8
}

impl FileSystem {
    /// Opens a file or directory.
    ///
    /// An output that is opened for reading and writing is open for writing only: reads from the handle fail. Programs that
    /// only write often open a file so.
    ///
    /// # Errors
    /// Among others `ReadOnly` for writing to an input, `Access` for reading an output, `Quota` and `NotPermitted` because
    /// of the output contract, `TooManyHandles`.
    pub fn open(&mut self, base: HandleId, path: &[u8], options: OpenOptions) -> Result<HandleId, Errno> {
        let target = self.walk(base, path)?;
        self.check_handles()?;
        // Open a dataset's file without a stat before: this halves the system calls per file.
        if let (Directory::Dataset { mount, path }, Some(name)) = (&target.parent, &target.name)
            && !options.directory
            && !target.must_be_directory
        {
            let (mount, path) = (*mount, join(path, name));
            match self.mounts[mount].open(&path, options.follow) {
                Ok(file) if options.create && options.exclusive => {
                    drop(file);
                    return Err(Errno::Exist);
                }
                Ok(file) => return self.insert_read(file, hashed(mount, &path), options),
                Err(Errno::IsDirectory) => return self.insert_directory(Directory::Dataset { mount, path }, options),
                Err(Errno::NoEntry) if options.create => return Err(Errno::ReadOnly),
                Err(errno) => return Err(errno),
            }
        }
        match self.find(&target)? {
            Found::Missing => self.create(&target, options),
            _ if options.create && options.exclusive => Err(Errno::Exist),
            Found::Directory(place) => self.insert_directory(place, options),
            _ if options.directory => Err(Errno::NotDirectory),
            Found::Fixed(number) => {
                let file = self.files[number].clone();
                self.insert_read(file, numbered(Part::Fixed, number), options)
            }
            Found::DatasetFile { .. } => Err(Errno::NotDirectory),
            Found::OutputFile(id) => {
                if !options.write {
                    return Err(Errno::Access);
                }
                let file = self.outputs()?.open(id, options.truncate)?;
                let source = Source::Output { id, file };
                self.insert(Open::File { source, readable: false, writable: true })
            }
            Found::ScratchFile(id) => {
                if options.truncate {
                    if !options.write {
                        return Err(Errno::Invalid);
                    }
                    self.scratch.set_size(id, 0)?;
                }
                self.insert_scratch(id, options)
            }
            Found::Device(number) => {
                let source = Source::Device { device: DEVICES[number].1, number };
                self.insert(Open::File { source, readable: options.read, writable: options.write })
            }
        }
    }

    fn create(&mut self, target: &Target, options: OpenOptions) -> Result<HandleId, Errno> {
        let name = target.name.as_deref().ok_or(Errno::Exist)?;
        if !options.create {
            return Err(Errno::NoEntry);
        }
        if options.directory || target.must_be_directory {
            return Err(Errno::Invalid);
        }
        match &target.parent {
            Directory::Tree(_) | Directory::Dataset { .. } => Err(Errno::ReadOnly),
            Directory::Outputs(directory) => {
                if !options.write {
                    return Err(Errno::Access);
                }
                let (id, file) = self.outputs()?.create(*directory, name)?;
                self.insert(Open::File { source: Source::Output { id, file }, readable: false, writable: true })
            }
            Directory::Scratch(_) if options.truncate && !options.write => Err(Errno::Invalid),
            Directory::Scratch(directory) => {
                let id = self.scratch.create(*directory, name, true)?;
                self.insert_scratch(id, options)
            }
        }
    }

    fn insert_read(&mut self, file: ReadFile, inode: u64, options: OpenOptions) -> Result<HandleId, Errno> {
        if options.write || options.truncate {
            return Err(Errno::ReadOnly);
        }
        let source = Source::Read { file, inode };
        self.insert(Open::File { source, readable: options.read, writable: false })
    }

    fn insert_scratch(&mut self, id: usize, options: OpenOptions) -> Result<HandleId, Errno> {
        self.scratch.retain(id);
        self.insert(Open::File { source: Source::Scratch(id), readable: options.read, writable: options.write })
    }

    fn insert_directory(&mut self, place: Directory, options: OpenOptions) -> Result<HandleId, Errno> {
        if options.write || options.truncate {
            return Err(Errno::IsDirectory);
        }
        match &place {
            Directory::Outputs(id) => {
                let id = *id;
                self.outputs()?.retain(id);
            }
            Directory::Scratch(id) => self.scratch.retain(*id),
            Directory::Tree(_) => {}
            Directory::Dataset { mount, path } => {
                if self.mounts[*mount].kind(path)? != FileKind::Directory {
                    return Err(Errno::NotDirectory);
                }
            }
        }
        self.insert(Open::Directory { place, listing: Vec::new(), listing_cost: 0 })
    }

    /// The metadata of the object at a path.
    ///
    /// # Errors
    /// Those of the walk, and `NoEntry`.
    pub fn stat_at(&self, base: HandleId, path: &[u8], follow: bool) -> Result<Stat, Errno> {
        let target = self.walk(base, path)?;
        if let (Directory::Dataset { mount, path }, Some(name), false, false) =
            (&target.parent, &target.name, follow, target.must_be_directory)
        {
            let path = join(path, name);
            return Ok(Stat { kind: self.mounts[*mount].kind_of_link(&path)?, inode: hashed(*mount, &path) });
        }
        match self.find(&target)? {
            Found::Missing => Err(Errno::NoEntry),
            Found::Directory(place) => Ok(Self::stat_directory(&place)),
            Found::Fixed(number) => Ok(Stat {
                kind: FileKind::File { size: self.files[number].size },
                inode: numbered(Part::Fixed, number),
            }),
            Found::DatasetFile { mount, path } => {
                Ok(Stat { kind: self.mounts[mount].kind(&path)?, inode: hashed(mount, &path) })
            }
            Found::OutputFile(id) => Ok(self.stat_output(id)),
            Found::ScratchFile(id) => Ok(self.stat_scratch(id)),
            Found::Device(number) => Ok(Self::stat_device(number)),
        }
    }

    /// The metadata of an open file or directory.
    ///
    /// # Errors
    /// `BadDescriptor`.
    pub fn stat(&self, handle: HandleId) -> Result<Stat, Errno> {
        Ok(match self.handles.get(handle.0).ok_or(Errno::BadDescriptor)? {
            Open::Directory { place, .. } => Self::stat_directory(place),
            Open::File { source: Source::Read { file, inode }, .. } => {
                Stat { kind: FileKind::File { size: file.size }, inode: *inode }
            }
            Open::File { source: Source::Output { id, .. }, .. } => self.stat_output(*id),
            Open::File { source: Source::Scratch(id), .. } => self.stat_scratch(*id),
            Open::File { source: Source::Device { number, .. }, .. } => Self::stat_device(*number),
        })
    }

    fn stat_directory(place: &Directory) -> Stat {
        let inode = match place {
            Directory::Tree(id) => numbered(Part::Tree, *id),
            Directory::Dataset { mount, path } => hashed(*mount, path),
            Directory::Outputs(id) => numbered(Part::Outputs, *id),
            Directory::Scratch(id) => numbered(Part::Scratch, *id),
        };
        Stat { kind: FileKind::Directory, inode }
    }

    fn stat_device(number: usize) -> Stat {
        Stat { kind: FileKind::Device, inode: numbered(Part::Device, number) }
    }

    fn stat_output(&self, id: usize) -> Stat {
        let kind = match self.outputs.as_ref().map(|outputs| outputs.kind(id)) {
            Some(OutputKind::File { size }) => FileKind::File { size },
            Some(OutputKind::Directory) | None => FileKind::Directory,
        };
        Stat { kind, inode: numbered(Part::Outputs, id) }
    }

    fn stat_scratch(&self, id: usize) -> Stat {
        let kind = match self.scratch.kind(id) {
            ScratchKind::File { size } => FileKind::File { size },
            ScratchKind::Directory => FileKind::Directory,
        };
        Stat { kind, inode: numbered(Part::Scratch, id) }
    }

    /// The names in a directory, sorted by bytes, without `.` and `..`. With `fresh`, the directory is read again.
    /// Otherwise the previous listing of this handle is returned, so that a guest that pages through a directory sees a
    /// consistent snapshot.
    ///
    /// # Errors
    /// `NotDirectory`, `NoMemory` if the names exceed the memory limit.
    pub fn list(&mut self, handle: HandleId, fresh: bool) -> Result<&[Entry], Errno> {
        let place = self.directory(handle)?.clone();
        let is_new = matches!(&self.handles[handle.0], Open::Directory { listing, .. } if listing.is_empty());
        if fresh || is_new {
            self.forget_listing(handle);
            let (entries, cost) = self.read_directory(&place)?;
            if let Open::Directory { listing, listing_cost, .. } = &mut self.handles[handle.0] {
                *listing = entries;
                *listing_cost = cost;
            }
        }
        match &self.handles[handle.0] {
            Open::Directory { listing, .. } => Ok(listing),
            Open::File { .. } => Err(Errno::NotDirectory),
        }
    }

    fn read_directory(&self, place: &Directory) -> Result<(Vec<Entry>, u64), Errno> {
        let entry = |name: &String, stat| Entry { name: name.clone(), stat };
        let unsized_file = |stat: Stat| match stat.kind {
            FileKind::File { .. } => Stat { kind: FileKind::File { size: 0 }, ..stat },
            _ => stat,
        };
        let scratch = |id: usize| self.scratch.children(id).into_iter().flatten();
        let mut entries: Vec<Entry> = match place {
            Directory::Outputs(id) => {
                let children = self.outputs.as_ref().and_then(|outputs| outputs.children(*id));
                let children = children.into_iter().flatten();
                children.map(|(name, child)| entry(name, unsized_file(self.stat_output(*child)))).collect()
            }
            Directory::Dataset { mount, path } => {
                let (names, cost) = self.mounts[*mount].list(path, &self.account)?;
                let entries = names
                    .into_iter()
                    .map(|(name, kind)| Entry { stat: Stat { kind, inode: hashed(*mount, &join(path, &name)) }, name })
                    .collect();
                return Ok((entries, cost));
            }
            Directory::Tree(id) => self
                .tree
                .children(*id)
                .iter()
                .map(|(name, branch)| {
                    let place = match branch {
                        Branch::File(number) => {
                            let kind = FileKind::File { size: 0 };
                            return entry(name, Stat { kind, inode: numbered(Part::Fixed, *number) });
                        }
                        Branch::Directory(id) => Directory::Tree(*id),
                        Branch::Mount(mount) => Directory::Dataset { mount: *mount, path: String::new() },
                        Branch::Outputs => Directory::Outputs(super::outputs::OUTPUT_ROOT),
                        Branch::Scratch(root) => Directory::Scratch(*root),
                        Branch::Device(number) => return entry(name, Self::stat_device(*number)),
                    };
                    entry(name, Self::stat_directory(&place))
                })
                .collect(),
            Directory::Scratch(id) => {
                scratch(*id).map(|(name, child)| entry(name, unsized_file(self.stat_scratch(*child)))).collect()
            }
        };
        if *place == Directory::Tree(ROOT) {
            entries
                .extend(scratch(BESIDE_ROOT).map(|(name, child)| entry(name, unsized_file(self.stat_scratch(*child)))));
            entries.sort_by(|one, other| one.name.cmp(&other.name));
        }
        // The files in memory are already charged; the listing is a copy and is charged, too, while it is kept.
        let cost = entries.iter().map(|entry| 64 + entry.name.len() as u64).sum();
        self.account.take_memory(cost).map_err(|_| Errno::NoMemory)?;
        Ok((entries, cost))
    }

    fn forget_listing(&mut self, handle: HandleId) {
        if let Some(Open::Directory { listing, listing_cost, .. }) = self.handles.get_mut(handle.0) {
            self.account.give_memory(std::mem::take(listing_cost));
            *listing = Vec::new();
        }
    }

    /// Creates a directory.
    ///
    /// # Errors
    /// `ReadOnly`, `Exist`, and the output contract's.
    pub fn create_directory(&mut self, base: HandleId, path: &[u8]) -> Result<(), Errno> {
        let target = self.walk(base, path)?;
        // `mkdir a/` creates `a`.
        let target = Target { must_be_directory: false, ..target };
        match self.find(&target)? {
            Found::Missing => {}
            _ => return Err(Errno::Exist),
        }
        let name = target.name.as_deref().ok_or(Errno::Exist)?;
        match &target.parent {
            Directory::Tree(_) | Directory::Dataset { .. } => Err(Errno::ReadOnly),
            Directory::Outputs(id) => self.outputs()?.create_directory(*id, name),
            Directory::Scratch(id) => self.scratch.create(*id, name, false).map(|_| ()),
        }
    }

    /// Unlinks a file.
    ///
    /// # Errors
    /// `ReadOnly`, `NoEntry`, `IsDirectory`.
    pub fn unlink_file(&mut self, base: HandleId, path: &[u8]) -> Result<(), Errno> {
        let target = self.walk(base, path)?;
        match (self.find(&target)?, &target.parent, target.name.as_deref()) {
            (Found::Missing, ..) => Err(Errno::NoEntry),
            (Found::OutputFile(id), Directory::Outputs(directory), Some(name)) => {
                self.outputs()?.unlink_file(*directory, name, id)
            }
            (Found::ScratchFile(id), Directory::Scratch(directory), Some(name)) => {
                self.scratch.unlink(*directory, name, id)
            }
            (_, Directory::Tree(_) | Directory::Dataset { .. }, _) => Err(Errno::ReadOnly),
            _ => Err(Errno::IsDirectory),
        }
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `ReadOnly`, `NoEntry`, `NotDirectory`, `NotEmpty`; `Busy` for a directory by the path `.`.
    pub fn remove_directory(&mut self, base: HandleId, path: &[u8]) -> Result<(), Errno> {
        let target = self.walk(base, path)?;
        match (self.find(&target)?, &target.parent, target.name.as_deref()) {
            (Found::Missing, ..) => Err(Errno::NoEntry),
            (_, Directory::Tree(_) | Directory::Dataset { .. }, _) => Err(Errno::ReadOnly),
            (Found::Directory(_), _, None) => Err(Errno::Busy),
            (Found::Directory(Directory::Outputs(id)), Directory::Outputs(directory), Some(name)) => {
                self.outputs()?.remove_directory(*directory, name, id)
            }
            (Found::Directory(Directory::Scratch(id)), Directory::Scratch(directory), Some(name)) => {
                self.scratch.unlink(*directory, name, id)
            }
            _ => Err(Errno::NotDirectory),
        }
    }

    /// Renames within outputs or within what is in memory.
    ///
    /// # Errors
    /// `CrossDevice` between parts of the tree, `ReadOnly` out of or into inputs, and the output contract's.
    pub fn rename(&mut self, from: (HandleId, &[u8]), to: (HandleId, &[u8])) -> Result<(), Errno> {
        let (source, target) = (self.walk(from.0, from.1)?, self.walk(to.0, to.1)?);
        let (Some(source_name), Some(target_name)) = (&source.name, &target.name) else { return Err(Errno::Busy) };
        let is_input = |place: &Directory| matches!(place, Directory::Tree(_) | Directory::Dataset { .. });
        if is_input(&source.parent) || is_input(&target.parent) {
            return Err(Errno::ReadOnly);
        }
        let is_directory = match self.find(&source)? {
            Found::Missing => return Err(Errno::NoEntry),
            found => matches!(found, Found::Directory(_)),
        };
        if target.must_be_directory && !is_directory {
            return Err(Errno::NotDirectory);
        }
        match (&source.parent, &target.parent) {
            (Directory::Outputs(from), Directory::Outputs(to)) => {
                self.outputs()?.rename((*from, source_name), (*to, target_name))
            }
            (Directory::Scratch(from), Directory::Scratch(to)) => {
                self.scratch.rename((*from, source_name), (*to, target_name))
            }
            _ => Err(Errno::CrossDevice),
        }
    }

    /// The target of a symbolic link in a dataset.
    ///
    /// # Errors
    /// `Invalid` if the path is not a link.
    pub fn read_link(&self, base: HandleId, path: &[u8]) -> Result<String, Errno> {
        let target = self.walk(base, path)?;
        if let (Directory::Dataset { mount, path }, Some(name)) = (&target.parent, &target.name) {
            return self.mounts[*mount].read_link(&join(path, name));
        }
        match self.find(&target)? {
            Found::Missing => Err(Errno::NoEntry),
            _ => Err(Errno::Invalid),
        }
    }

    /// Sets the times of a file. This has no effect, because all files have the same fixed times, but it is an error for
    /// inputs.
    ///
    /// # Errors
    /// `NoEntry`; `ReadOnly` for inputs.
    pub fn touch(&self, base: HandleId, path: &[u8], follow: bool) -> Result<(), Errno> {
        self.stat_at(base, path, follow)?;
        match self.walk(base, path)?.parent {
            Directory::Tree(_) | Directory::Dataset { .. } => Err(Errno::ReadOnly),
            Directory::Outputs(_) | Directory::Scratch(_) => Ok(()),
        }
    }

    /// Closes a handle. Ignores unknown handles.
    pub fn close(&mut self, handle: HandleId) {
        self.forget_listing(handle);
        match self.handles.remove(handle.0) {
            Some(
                Open::Directory { place: Directory::Outputs(id), .. }
                | Open::File { source: Source::Output { id, .. }, .. },
            ) => {
                if let Some(outputs) = &mut self.outputs {
                    outputs.release(id);
                }
            }
            Some(
                Open::Directory { place: Directory::Scratch(id), .. } | Open::File { source: Source::Scratch(id), .. },
            ) => self.scratch.release(id),
            Some(
                Open::Directory { place: Directory::Tree(_) | Directory::Dataset { .. }, .. }
                | Open::File { source: Source::Read { .. } | Source::Device { .. }, .. },
            )
            | None => {}
        }
    }
}
