//! Turns bytes into file operations, applies them to the file layer and to the model, and compares after every step:
//! who may do what, what is on the disk, what is charged. Called by a property test and by a fuzzer.

use super::{
    model::{self, Content, MEMORY_BYTES, Model, NodeId, Part, Place},
    sandbox::{
        account::{Account, Counters},
        fs::{Build, Errno, FileKind, FileSystem, HandleId, OpenOptions},
    },
};
use cap_std::{ambient_authority, fs::Dir};
use cloister_model::OutputContract;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use tempfile::TempDir;

/// The most operations of one sequence.
const MAX_STEPS: usize = 120;
const DATA: &[u8] = b"what must not leave";
const NAMES: [&str; 12] =
    ["a", "b", "a", "b", "c", "a", "", ".", "..", "b\u{7}", "a-name-of-more-than-20-bytes", "LONG"];
const TOPS: [&str; 12] = [
    "data/outputs",
    "tmp",
    "data/outputs",
    "tmp",
    "data/outputs",
    "tmp",
    "data/inputs/d",
    "data/inputs",
    "data",
    ".",
    "/data/outputs",
    "data/outputs/../inputs/d",
];
const DATASET: [&str; 9] = ["0", "link", "escape", "up/outside", "sub/1", "to-sub/1", "dangling", "missing", "0/x"];

/// The sequence, read front to back; zeros once it is at its end.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[usize::from(self.next()) % from.len()]
    }
}

/// What a handle is open on, as far as the model knows.
#[derive(Clone, Copy, Debug)]
enum Open {
    Directory(NodeId),
    File {
        id: NodeId,
        read: bool,
        write: bool,
    },
    /// Inputs and what is above them: nothing there can be changed.
    Fixed,
}

struct World {
    files: FileSystem,
    model: Model,
    account: Account,
    handles: HashMap<HandleId, Open>,
    /// Every handle that there ever was, closed ones included.
    known: Vec<HandleId>,
    root: HandleId,
    directory: TempDir,
}

/// Where a path of the sequence leads in the model.
enum Target {
    At(Option<Place>),
    Fixed,
}

/// A dataset with links that lead within it, out of it and nowhere. Made once: nothing may change it.
fn dataset() -> &'static Path {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    DIRECTORY
        .get_or_init(|| {
            let directory = TempDir::new_in(memory()).expect("a directory");
            let at = |path: &str| directory.path().join(path);
            fs::create_dir_all(at("inputs/d/sub")).expect("made");
            for path in ["outside", "inputs/d/0", "inputs/d/sub/1"] {
                fs::write(at(path), DATA).expect("written");
            }
            for (target, path) in
                [("0", "link"), ("../../outside", "escape"), ("../..", "up"), ("sub", "to-sub"), ("x", "dangling")]
            {
                std::os::unix::fs::symlink(target, at("inputs/d").join(path)).expect("a link");
            }
            directory
        })
        .path()
}

/// Whether a path leads back to where it begins, or above.
fn goes_up(path: &[u8]) -> bool {
    let mut depth = 0_i32;
    String::from_utf8_lossy(path).split('/').any(|segment| {
        depth += match segment {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        segment == ".." && depth <= 0
    })
}

/// A file system in memory, where there is one: these tests make and remove many small files.
fn memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() }
}

/// Runs one sequence.
///
/// # Panics
/// When the file layer and the model disagree.
pub(crate) fn run(bytes: &[u8]) {
    let before = tree(dataset());
    let mut bytes = Bytes(bytes);
    let mut world = World::new();
    for _ in 0..MAX_STEPS {
        if bytes.0.is_empty() {
            break;
        }
        world.step(&mut bytes);
        world.compare_disk();
    }
    world.finish();
    assert_eq!(tree(dataset()), before, "the dataset was changed");
}

/// Every path below a directory, with the content of files and the targets of links.
fn tree(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("listed") {
            let entry = entry.expect("an entry");
            let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
            let content = if kind.is_dir() {
                open.push(path.clone());
                None
            } else if kind.is_symlink() {
                Some(fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes())
            } else {
                Some(fs::read(&path).expect("read"))
            };
            found.insert(path.strip_prefix(root).expect("below").to_owned(), content);
        }
    }
    found
}

impl World {
    fn new() -> Self {
        let directory = TempDir::new_in(memory()).expect("a directory");
        fs::create_dir(directory.path().join("outputs")).expect("made");
        fs::write(directory.path().join("beside"), DATA).expect("written");
        let (counters, _) = Counters::create().expect("counters");
        let account = Account::new(Arc::new(counters), MEMORY_BYTES);
        let open = |path: PathBuf| Dir::open_ambient_dir(path, ambient_authority()).expect("opened");
        let contract = OutputContract {
            max_bytes: model::MAX_BYTES,
            max_files: model::MAX_FILES,
            max_directories: model::MAX_DIRECTORIES,
            max_path_bytes: model::MAX_PATH_BYTES,
            max_depth: model::MAX_DEPTH,
            names: model::NAMES.map(|name| name.parse().expect("a pattern")).to_vec(),
            max_log_bytes: 0,
        };
        let mut files = Build::new(account.clone(), model::MAX_HANDLES)
            .mount("/data/inputs", open(dataset().join("inputs")))
            .and_then(|build| build.outputs(open(directory.path().join("outputs")), contract))
            .expect("placed")
            .finish();
        let root = files.open_root().expect("the root");
        let handles = HashMap::from([(root, Open::Fixed)]);
        Self { files, model: Model::new(), account, handles, known: vec![root], root, directory }
    }

    /// A directory handle and a path below it.
    fn path(&self, bytes: &mut Bytes<'_>) -> (HandleId, Vec<u8>, Target) {
        let mut path = String::new();
        for index in 0..bytes.next() % 4 {
            if index > 0 {
                path.push('/');
            }
            path.push_str(bytes.pick::<&str>(&NAMES));
        }
        let mut path = path.replace("LONG", &"l".repeat(256)).into_bytes();
        if bytes.next() == 255 {
            path.push(0xff);
        }
        let base = if bytes.next().is_multiple_of(3) { *bytes.pick(&self.known) } else { self.root };
        if base != self.root {
            let target = match self.handles.get(&base) {
                Some(Open::Directory(id)) => Target::At(self.model.walk(*id, &path)),
                Some(Open::Fixed) => Target::Fixed,
                Some(Open::File { .. }) | None => Target::At(None),
            };
            return (base, path, target);
        }
        let top = *bytes.pick(&TOPS);
        let mut below = std::mem::replace(&mut path, top.as_bytes().to_vec());
        if top != "." && goes_up(&[top.as_bytes(), b"/", &below].concat()) {
            // Into `/`, around what the model knows of it.
            below = String::from_utf8_lossy(&below).replace("..", "a").into_bytes();
        }
        let separate = !below.is_empty();
        if separate {
            path.push(b'/');
            path.extend(&below);
        }
        // From the root a path may lead anywhere; the model knows those that stay below one of its trees.
        let leaves = goes_up(&[b"x/", below.as_slice()].concat());
        let base = match top {
            "data/outputs" => Model::OUTPUTS,
            "tmp" => Model::SCRATCH,
            "." => Model::ROOT,
            "/data/outputs" => return (self.root, path, Target::At(None)),
            _ => return (self.root, path, Target::Fixed),
        };
        let own = if separate { below } else { b".".to_vec() };
        // `tmp/` and `tmp//a` are as good as `tmp/.` and `tmp/./a`.
        let own = if own.starts_with(b"/") || own.is_empty() { [b".", own.as_slice()].concat() } else { own };
        let target = if leaves { Target::Fixed } else { Target::At(self.model.walk(base, &own)) };
        (self.root, path, target)
    }

    fn handle(&self, bytes: &mut Bytes<'_>) -> (HandleId, Option<Open>) {
        let handle = *bytes.pick(&self.known);
        (handle, self.handles.get(&handle).copied())
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.next() % 16 {
            0..=3 => self.open(bytes),
            4..=6 => self.write(bytes),
            7 => self.set_size(bytes),
            8 => self.read(bytes),
            9 => self.unlink(bytes),
            10 => self.directories(bytes),
            11..=12 => self.rename(bytes),
            13 => self.look(bytes),
            14 => self.dataset(bytes),
            _ => self.close(bytes),
        }
    }

    fn open(&mut self, bytes: &mut Bytes<'_>) {
        let (base, path, target) = self.path(bytes);
        let flags = bytes.next();
        let bit = |bit: u8| flags & 1 << bit != 0;
        // Mostly what programs do: make it if needed, to write.
        let options = OpenOptions {
            read: bit(0) && bit(7),
            write: bit(1) || !bit(7),
            create: bit(2) || !bit(6),
            exclusive: bit(3) && bit(7),
            truncate: bit(4),
            directory: bit(5) && bit(6),
            follow: bit(0),
        };
        let result = self.files.open(base, &path, options);
        let full = self.handles.len() >= model::MAX_HANDLES as usize;
        let expected = match target {
            _ if full => None,
            Target::At(place) => place.and_then(|place| self.model_open(&place, options)),
            Target::Fixed => match &result {
                // Certain is only that nothing can be changed through it.
                Ok(_) => (!options.write && !options.truncate).then_some(Open::Fixed),
                Err(_) => None,
            },
        };
        assert_eq!(result.is_ok(), expected.is_some(), "open {path:?} {options:?}: {result:?}");
        if let (Ok(handle), Some(open)) = (result, expected) {
            if let Open::Directory(id) | Open::File { id, .. } = open {
                self.model.nodes[id].handles += 1;
            }
            assert!(self.handles.insert(handle, open).is_none(), "a handle that is open was given again");
            self.known.push(handle);
        }
    }

    fn model_open(&mut self, place: &Place, options: OpenOptions) -> Option<Open> {
        let OpenOptions { read, write, create, exclusive, truncate, directory, follow: _ } = options;
        // An output that is opened for both can only be written.
        let part = |model: &Model, id: NodeId| model.nodes[id].part;
        let open = |model: &Model, id| Some(Open::File { id, read: read && part(model, id) == Part::Scratch, write });
        match self.model.find(place)? {
            None => {
                let outputs = part(&self.model, place.directory) == Part::Outputs;
                if !create || directory || place.must_be_directory || ((outputs || truncate) && !write) {
                    return None;
                }
                let id = self.model.make(place.directory, place.name.as_deref()?, true)?;
                open(&self.model, id)
            }
            Some(_) if create && exclusive => None,
            Some(id) if self.model.is_directory(id) => (!write && !truncate).then_some(Open::Directory(id)),
            Some(_) if directory => None,
            Some(id) => {
                if (part(&self.model, id) == Part::Outputs || truncate) && !write {
                    return None;
                }
                if truncate {
                    assert!(self.model.resize(id, 0));
                }
                open(&self.model, id)
            }
        }
    }

    fn write(&mut self, bytes: &mut Bytes<'_>) {
        let (handle, open) = self.handle(bytes);
        let content = vec![bytes.next() | 1; usize::from(bytes.next())];
        let at_end = bytes.next().is_multiple_of(2);
        let offset = match bytes.next() {
            255 => u64::MAX - 3,
            254 => u64::MAX / 2,
            small => u64::from(small) * 3,
        };
        let expected = match open {
            Some(Open::File { id, write: true, .. }) => {
                let offset = if at_end { self.model.size(id) } else { offset };
                self.model.write(id, &content, offset).then(|| offset + content.len() as u64)
            }
            _ => None,
        };
        let result = if at_end {
            self.files.append(handle, &content)
        } else {
            self.files.write_at(handle, &content, offset).map(|written| offset + written as u64)
        };
        // Errors need not be the same; but the budget is never called something else.
        assert_eq!(
            result.ok(),
            expected,
            "{} bytes to {open:?} at {offset} (end: {at_end}): {result:?}",
            content.len()
        );
    }

    fn set_size(&mut self, bytes: &mut Bytes<'_>) {
        let (handle, open) = self.handle(bytes);
        let size = match bytes.next() {
            255 => u64::MAX,
            254 => 1 << 40,
            small => u64::from(small) * 4,
        };
        let expected = matches!(open, Some(Open::File { id, write: true, .. }) if self.model.resize(id, size));
        let result = self.files.set_size(handle, size);
        assert_eq!(result.is_ok(), expected, "{size} for {open:?}: {result:?}");
    }

    fn read(&mut self, bytes: &mut Bytes<'_>) {
        let (handle, open) = self.handle(bytes);
        let (mut buffer, offset) = (vec![0; usize::from(bytes.next())], u64::from(bytes.next()));
        let result = self.files.read_at(handle, &mut buffer, offset);
        match open {
            Some(Open::File { id, read: true, .. }) => {
                let Content::File(content) = &self.model.nodes[id].content else { panic!("a file") };
                let rest = content.get(usize::try_from(offset).expect("small")..).unwrap_or_default();
                let expected = &rest[..rest.len().min(buffer.len())];
                assert_eq!(result.map(|read| &buffer[..read]), Ok(expected));
            }
            Some(Open::Fixed) => {}
            _ => assert!(result.is_err(), "read {open:?}"),
        }
    }

    fn unlink(&mut self, bytes: &mut Bytes<'_>) {
        let (base, path, target) = self.path(bytes);
        let expected = matches!(target, Target::At(Some(place)) if self.model.remove(&place, true));
        let result = self.files.unlink_file(base, &path);
        assert_eq!(result.is_ok(), expected, "unlink {path:?}: {result:?}");
    }

    fn directories(&mut self, bytes: &mut Bytes<'_>) {
        let (base, path, target) = self.path(bytes);
        let (result, expected) = if bytes.next().is_multiple_of(3) {
            let expected = matches!(target, Target::At(Some(place)) if self.model.remove(&place, false));
            (self.files.remove_directory(base, &path), expected)
        } else {
            let expected = match target {
                Target::At(Some(place)) => {
                    // `mkdir a/` means `a`.
                    let place = Place { must_be_directory: false, ..place };
                    let free = matches!(self.model.find(&place), Some(None));
                    free && place.name.is_some_and(|name| self.model.make(place.directory, &name, false).is_some())
                }
                _ => false,
            };
            (self.files.create_directory(base, &path), expected)
        };
        assert_eq!(result.is_ok(), expected, "directory {path:?}: {result:?}");
    }

    fn rename(&mut self, bytes: &mut Bytes<'_>) {
        let (from_base, from_path, from) = self.path(bytes);
        let (to_base, to_path, to) = self.path(bytes);
        let expected = match (from, to) {
            (Target::At(Some(from)), Target::At(Some(to))) => self.model.rename(&from, &to),
            _ => false,
        };
        let result = self.files.rename((from_base, &from_path), (to_base, &to_path));
        assert_eq!(result.is_ok(), expected, "rename {from_path:?} to {to_path:?}: {result:?}");
    }

    /// What names and listings tell.
    fn look(&mut self, bytes: &mut Bytes<'_>) {
        let (base, path, target) = self.path(bytes);
        if let Target::At(place) = target {
            let expected = place.and_then(|place| self.model.find(&place).flatten()).map(|id| self.kind(id));
            let result = self.files.stat_at(base, &path, true).map(|stat| stat.kind);
            assert_eq!(result.ok(), expected, "stat {path:?}: {result:?}");
        }
        let (handle, open) = self.handle(bytes);
        let result = self.files.list(handle, true);
        match open {
            Some(Open::Directory(id)) => {
                let names: Vec<&str> = result.expect("listed").iter().map(|entry| entry.name.as_str()).collect();
                let mut expected: Vec<&str> =
                    self.model.children(id).expect("a directory").keys().map(String::as_str).collect();
                if id == Model::ROOT {
                    expected.extend(["data", "dev", "tmp"]);
                    expected.sort_unstable();
                }
                assert_eq!(names, expected);
            }
            Some(Open::Fixed) => {}
            Some(Open::File { .. }) | None => assert!(result.is_err()),
        }
        if let Some(Open::Directory(id) | Open::File { id, .. }) = open {
            assert_eq!(self.files.stat(handle).map(|stat| stat.kind), Ok(self.kind(id)));
        }
    }

    fn kind(&self, id: NodeId) -> FileKind {
        if self.model.is_directory(id) { FileKind::Directory } else { FileKind::File { size: self.model.size(id) } }
    }

    /// Reads of the dataset: what lies in it and nothing else.
    fn dataset(&mut self, bytes: &mut Bytes<'_>) {
        let name = *bytes.pick(&DATASET);
        let path = format!("data/inputs/d/{name}");
        let full = self.handles.len() >= model::MAX_HANDLES as usize;
        let options = OpenOptions { read: true, follow: true, ..OpenOptions::default() };
        let result = self.files.open(self.root, path.as_bytes(), options);
        let readable = matches!(name, "0" | "link" | "sub/1" | "to-sub/1");
        assert_eq!(result.is_ok(), readable && !full, "{path}: {result:?}");
        if let Ok(handle) = result {
            let mut buffer = [0; 64];
            let read = self.files.read_at(handle, &mut buffer, 0).expect("read");
            assert_eq!(&buffer[..read], DATA);
            assert!(self.files.write_at(handle, b"x", 0).is_err() && self.files.set_size(handle, 0).is_err());
            self.files.close(handle);
        }
    }

    fn close(&mut self, bytes: &mut Bytes<'_>) {
        let (handle, _) = self.handle(bytes);
        if handle != self.root {
            self.close_handle(handle);
        }
    }

    fn close_handle(&mut self, handle: HandleId) {
        self.files.close(handle);
        if let Some(Open::Directory(id) | Open::File { id, .. }) = self.handles.remove(&handle) {
            self.model.nodes[id].handles -= 1;
        }
    }

    /// The disk holds what the model holds, and no more than the contract allows.
    fn compare_disk(&self) {
        let found = tree(self.directory.path());
        let mut expected =
            BTreeMap::from([(PathBuf::from("outputs"), None), (PathBuf::from("beside"), Some(DATA.to_vec()))]);
        for (id, node) in self.model.nodes.iter().enumerate() {
            if let (Part::Outputs, false, Some(path)) = (node.part, Model::is_root(id), self.model.path(id)) {
                let content = match &node.content {
                    Content::File(bytes) => Some(bytes.clone()),
                    Content::Directory(_) => None,
                };
                expected.insert(Path::new("outputs").join(path.join("/")), content);
            }
        }
        assert_eq!(found, expected);
        let (files, directories, bytes) = self.model.charged();
        assert!(files <= model::MAX_FILES && directories <= model::MAX_DIRECTORIES && bytes <= model::MAX_BYTES);
    }

    /// Empties `/tmp`, closes everything, and asks for the whole budget again.
    fn finish(mut self) {
        for handle in self.known.clone() {
            if handle != self.root {
                self.close_handle(handle);
            }
        }
        let mut named: Vec<(NodeId, Vec<String>)> =
            (Model::MADE..self.model.nodes.len()).filter_map(|id| Some((id, self.model.path(id)?))).collect();
        named.sort_by_key(|(_, path)| std::cmp::Reverse(path.len()));
        for (id, path) in named {
            let top = match self.model.root_of(id) {
                Model::OUTPUTS => "data/outputs",
                Model::SCRATCH => "tmp",
                _ => ".",
            };
            let path = format!("{top}/{}", path.join("/"));
            let removed = if self.model.is_directory(id) {
                self.files.remove_directory(self.root, path.as_bytes())
            } else {
                self.files.unlink_file(self.root, path.as_bytes())
            };
            assert_eq!(removed, Ok(()), "{path}");
        }
        self.files.close(self.root);
        let all = self.account.take_memory(MEMORY_BYTES);
        assert!(all.is_ok(), "memory was charged and never given back: {all:?}");
        self.account.give_memory(MEMORY_BYTES);
        // The budget of the outputs, too, is whole again.
        let root = self.files.open_root().expect("the root");
        let options = OpenOptions { write: true, create: true, ..OpenOptions::default() };
        let file = self.files.open(root, b"data/outputs/a", options).expect("a file");
        assert_eq!(self.files.set_size(file, model::MAX_BYTES), Ok(()));
        assert_eq!(self.files.set_size(file, model::MAX_BYTES + 1), Err(Errno::Quota));
    }
}
