use super::{
    Errno, HandleId,
    arena::Arena,
    dataset::{Content, Mount, ReadFile},
    device::{DEVICES, RandomBytes},
    handle::{Directory, Open},
    outputs::{OUTPUT_ROOT, OutputKind, Outputs},
    path::GuestPath,
    scratch::{BESIDE_ROOT, LOGS, Scratch, ScratchKind, TMP},
    tree::{Branch, ROOT, Tree},
};
use crate::account::Account;
use cap_std::fs::Dir;
use cloister_model::{Limit, OutputContract};
use std::{fs::File, io, sync::Arc};

/// All files that a guest can reach by a path. Single-threaded; the run owns it.
#[derive(Debug)]
pub struct FileSystem {
    pub(super) tree: Tree,
    pub(super) files: Vec<ReadFile>,
    pub(super) mounts: Vec<Mount>,
    pub(super) outputs: Option<Outputs>,
    pub(super) scratch: Scratch,
    pub(super) random: Option<Box<dyn RandomBytes>>,
    pub(super) handles: Arena<Open>,
    pub(super) handle_limit: u32,
    pub(super) account: Account,
}

/// Why something cannot be placed in the tree.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The path is taken, or a directory in it is a file.
    #[error("`{0}` is already taken, or lies below a file")]
    Taken(String),
    /// The metadata of the host's file could not be read.
    #[error("`{path}`: {error}")]
    Host {
        /// The guest's path.
        path: String,
        /// The kernel's error.
        error: io::Error,
    },
}

/// Builds a file system.
#[derive(Debug)]
pub struct Build {
    file_system: FileSystem,
}

impl Build {
    /// A tree with only `/tmp`, `/data/logs` and the devices. `handle_limit` is the most handles that the guest can hold open.
    #[must_use]
    pub fn new(account: Account, handle_limit: u32) -> Self {
        let mut tree = Tree::default();
        tree.place("/tmp", Branch::Scratch(TMP));
        tree.place("/data/logs", Branch::Scratch(LOGS));
        for (number, (path, _)) in DEVICES.iter().enumerate() {
            tree.place(path, Branch::Device(number));
        }
        Self {
            file_system: FileSystem {
                tree,
                files: Vec::new(),
                mounts: Vec::new(),
                outputs: None,
                scratch: Scratch::new(account.clone()),
                random: None,
                handles: Arena::default(),
                handle_limit,
                account,
            },
        }
    }

    /// Where `/dev/urandom` takes its bytes from. Without it, reading from there fails.
    #[must_use]
    pub fn random(mut self, source: Box<dyn RandomBytes>) -> Self {
        self.file_system.random = Some(source);
        self
    }

    /// Adds an empty read-only directory and its parents.
    ///
    /// # Errors
    /// If a parent is a file.
    pub fn directory(mut self, path: &str) -> Result<Self, PlaceError> {
        match self.file_system.tree.directory(path) {
            Some(_) => Ok(self),
            None => Err(PlaceError::Taken(path.to_owned())),
        }
    }

    /// Adds one file of the host, read-only. The descriptor must be open for reading only.
    ///
    /// # Errors
    /// If the path is taken, or the file's metadata cannot be read.
    pub fn file(mut self, path: &str, file: File) -> Result<Self, PlaceError> {
        let size = file.metadata().map_err(|error| PlaceError::Host { path: path.to_owned(), error })?.len();
        let is_input = path.starts_with("/data/");
        let content = Content::File(Arc::new(file));
        self.file_system.files.push(ReadFile { content, size, is_input });
        let number = self.file_system.files.len() - 1;
        self.place(path, Branch::File(number))
    }

    /// Adds a directory of the host, read-only.
    ///
    /// # Errors
    /// If the path is taken.
    pub fn mount(mut self, path: &str, root: Dir) -> Result<Self, PlaceError> {
        self.file_system.mounts.push(Mount { root });
        let number = self.file_system.mounts.len() - 1;
        self.place(path, Branch::Mount(number))
    }

    /// Adds the directory for results at `/data/outputs`. It must be empty.
    ///
    /// # Errors
    /// If the path is taken.
    pub fn outputs(mut self, root: Dir, contract: OutputContract) -> Result<Self, PlaceError> {
        self.file_system.outputs = Some(Outputs::new(root, contract, self.file_system.account.clone()));
        self.place("/data/outputs", Branch::Outputs)
    }

    fn place(mut self, path: &str, branch: Branch) -> Result<Self, PlaceError> {
        if self.file_system.tree.place(path, branch) { Ok(self) } else { Err(PlaceError::Taken(path.to_owned())) }
    }

    /// Adds an empty directory that is found only by its whole path: one that leads through a file, which stays a file for
    /// everyone who asks for less of the path. Interpreters import packages from an archive, and packages look for their data
    /// beside their code.
    ///
    /// # Errors
    /// If nothing of the path is a file, or the path is taken.
    pub fn through(mut self, path: &str) -> Result<Self, PlaceError> {
        if self.file_system.tree.through(path) { Ok(self) } else { Err(PlaceError::Taken(path.to_owned())) }
    }

    /// The finished file system.
    #[must_use]
    pub fn finish(self) -> FileSystem {
        self.file_system
    }
}

/// The result of walking a path: a directory, and a name in it unless the path refers to the directory itself.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) parent: Directory,
    pub(super) name: Option<String>,
    pub(super) must_be_directory: bool,
}

/// The object at a target.
#[derive(Debug)]
pub(super) enum Found {
    Directory(Directory),
    Fixed(usize),
    DatasetFile { mount: usize, path: String },
    OutputFile(usize),
    ScratchFile(usize),
    Device(usize),
    Missing,
}

impl FileSystem {
    /// Adds a read-only file below `/`, at a path from the root. Its parents are made. The caller has charged for it.
    ///
    /// # Errors
    /// If the path is taken.
    pub fn add(&mut self, path: &str, content: Content, size: u64) -> Result<(), PlaceError> {
        let is_input = path.starts_with("/data/");
        self.files.push(ReadFile { content, size, is_input });
        let branch = Branch::File(self.files.len() - 1);
        if self.tree.place(path, branch) { Ok(()) } else { Err(PlaceError::Taken(path.to_owned())) }
    }

    /// Opens `/`. All other handles are opened by a path.
    ///
    /// # Errors
    /// `TooManyHandles`.
    pub fn open_root(&mut self) -> Result<HandleId, Errno> {
        self.insert(Open::Directory { place: Directory::Tree(ROOT), listing: Vec::new(), listing_cost: 0 })
    }

    pub(super) fn insert(&mut self, open: Open) -> Result<HandleId, Errno> {
        self.check_handles()?;
        Ok(HandleId(self.handles.insert(open)))
    }

    /// Fails if one more handle would exceed the limit.
    pub(super) fn check_handles(&self) -> Result<(), Errno> {
        let asked = self.handles.len() as u64 + 1;
        let allowed = u64::from(self.handle_limit);
        if asked > allowed {
            self.account.deny(Limit::Handles, allowed, asked);
            return Err(Errno::TooManyHandles);
        }
        Ok(())
    }

    pub(super) fn outputs(&mut self) -> Result<&mut Outputs, Errno> {
        self.outputs.as_mut().ok_or(Errno::NoEntry)
    }

    pub(super) fn directory(&self, handle: HandleId) -> Result<&Directory, Errno> {
        match self.handles.get(handle.0).ok_or(Errno::BadDescriptor)? {
            Open::Directory { place, .. } => Ok(place),
            Open::File { .. } => Err(Errno::NotDirectory),
        }
    }

    /// Walks a path from a directory handle, and never above it: a guest with a handle to a directory has no access to
    /// its parent.
    pub(super) fn walk(&self, base: HandleId, path: &[u8]) -> Result<Target, Errno> {
        let path = GuestPath::parse(path)?;
        let mut above = Vec::new();
        let mut at = self.directory(base)?.clone();
        let mut name = None;
        let mut skip = 0;
        for (index, segment) in path.segments.iter().enumerate() {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            if let Directory::Tree(id) = at
                && let Some((beyond, length)) = self.tree.beyond(id, &path.segments[index..])
            {
                // The file, and what is between, can be left again by as many `..`.
                above.extend(std::iter::repeat_n(at.clone(), length));
                at = Directory::Tree(beyond);
                skip = length - 1;
                continue;
            }
            if *segment == ".." {
                // `missing/..` is an error, as in the kernel.
                if let Directory::Dataset { mount, path } = &at
                    && self.mounts[*mount].kind(path)? != super::FileKind::Directory
                {
                    return Err(Errno::NotDirectory);
                }
                at = above.pop().ok_or(Errno::NotPermitted)?;
            } else if index + 1 == path.segments.len() {
                name = Some((*segment).to_owned());
            } else {
                let next = self.step(&at, segment)?;
                above.push(std::mem::replace(&mut at, next));
            }
        }
        // A name that `/` does not have is scratch.
        if at == Directory::Tree(ROOT) && name.as_ref().is_some_and(|name| self.tree.child(ROOT, name).is_none()) {
            at = Directory::Scratch(BESIDE_ROOT);
        }
        Ok(Target { parent: at, name, must_be_directory: path.must_be_directory })
    }

    fn step(&self, at: &Directory, name: &str) -> Result<Directory, Errno> {
        if let Directory::Dataset { mount, path } = at {
            return Ok(Directory::Dataset { mount: *mount, path: join(path, name) });
        }
        match self.find_in(at, name)? {
            Found::Directory(directory) => Ok(directory),
            Found::Missing => Err(Errno::NoEntry),
            Found::Fixed(_)
            | Found::DatasetFile { .. }
            | Found::OutputFile(_)
            | Found::ScratchFile(_)
            | Found::Device(_) => Err(Errno::NotDirectory),
        }
    }

    /// Finds the object at a target.
    pub(super) fn find(&self, target: &Target) -> Result<Found, Errno> {
        let found = match &target.name {
            None => Found::Directory(target.parent.clone()),
            Some(name) => self.find_in(&target.parent, name)?,
        };
        match found {
            Found::Directory(_) | Found::Missing => Ok(found),
            _ if target.must_be_directory => Err(Errno::NotDirectory),
            _ => Ok(found),
        }
    }

    fn find_in(&self, at: &Directory, name: &str) -> Result<Found, Errno> {
        Ok(match at {
            Directory::Tree(id) => match self.tree.child(*id, name) {
                None if *id == ROOT => return self.find_in(&Directory::Scratch(BESIDE_ROOT), name),
                None => Found::Missing,
                Some(Branch::Directory(id)) => Found::Directory(Directory::Tree(id)),
                Some(Branch::File(number)) => Found::Fixed(number),
                Some(Branch::Mount(mount)) => Found::Directory(Directory::Dataset { mount, path: String::new() }),
                Some(Branch::Outputs) => Found::Directory(Directory::Outputs(OUTPUT_ROOT)),
                Some(Branch::Scratch(root)) => Found::Directory(Directory::Scratch(root)),
                Some(Branch::Device(number)) => Found::Device(number),
            },
            Directory::Dataset { mount, path } => {
                let path = join(path, name);
                match self.mounts[*mount].kind(&path) {
                    Ok(super::FileKind::Directory) => Found::Directory(Directory::Dataset { mount: *mount, path }),
                    Ok(_) => Found::DatasetFile { mount: *mount, path },
                    Err(Errno::NoEntry) => Found::Missing,
                    Err(errno) => return Err(errno),
                }
            }
            Directory::Outputs(id) => {
                let outputs = self.outputs.as_ref().ok_or(Errno::NoEntry)?;
                match outputs.child(*id, name) {
                    None => Found::Missing,
                    Some(child) => match outputs.kind(child) {
                        OutputKind::Directory => Found::Directory(Directory::Outputs(child)),
                        OutputKind::File { .. } => Found::OutputFile(child),
                    },
                }
            }
            Directory::Scratch(id) => match self.scratch.child(*id, name) {
                None => Found::Missing,
                Some(child) => match self.scratch.kind(child) {
                    ScratchKind::Directory => Found::Directory(Directory::Scratch(child)),
                    ScratchKind::File { .. } => Found::ScratchFile(child),
                },
            },
        })
    }
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}
