//! The rules of the file layer, place by place.

use super::{Build, Errno, FileKind, FileSystem, HandleId, OpenOptions};
use crate::account::{Account, Counters, Denial};
use cap_std::{ambient_authority, fs::Dir};
use cloister_model::{Limit, OutputContract};
use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc};
use tempfile::TempDir;

const MEMORY: u64 = 1 << 20;
const HANDLES: u32 = 8;

const READ: OpenOptions = OpenOptions {
    read: true,
    write: false,
    create: false,
    exclusive: false,
    truncate: false,
    directory: false,
    follow: true,
};
const WRITE: OpenOptions = OpenOptions { read: false, write: true, ..READ };
const CREATE: OpenOptions = OpenOptions { create: true, ..WRITE };

struct Fixture {
    dataset: TempDir,
    outputs: TempDir,
    account: Account,
    files: FileSystem,
    root: HandleId,
}

fn fixture(contract: OutputContract) -> Fixture {
    let (dataset, outputs) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    fs::write(dataset.path().join("0"), "zero").expect("written");
    fs::create_dir(dataset.path().join("sub")).expect("made");
    fs::write(dataset.path().join("sub/1"), "one").expect("written");
    symlink("sub/1", dataset.path().join("inside")).expect("made");
    symlink("/etc/passwd", dataset.path().join("absolute")).expect("made");
    symlink("../../etc/passwd", dataset.path().join("relative")).expect("made");
    let open = |path: &Path| Dir::open_ambient_dir(path, ambient_authority()).expect("opened");
    let account = Account::new(Arc::new(Counters::create().expect("counters").0), MEMORY);
    let mut files = Build::new(account.clone(), HANDLES)
        .mount("/data/inputs", open(dataset.path()))
        .and_then(|build| build.outputs(open(outputs.path()), contract))
        .expect("a tree")
        .finish();
    let root = files.open_root().expect("a root");
    Fixture { dataset, outputs, account, files, root }
}

impl Fixture {
    fn open(&mut self, path: &str, options: OpenOptions) -> Result<HandleId, Errno> {
        self.files.open(self.root, path.as_bytes(), options)
    }

    fn read(&mut self, path: &str) -> Result<String, Errno> {
        let handle = self.open(path, READ)?;
        let mut buffer = [0; 64];
        let length = self.files.read_at(handle, &mut buffer, 0)?;
        self.files.close(handle);
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    fn on_disk(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.outputs.path().join(name)).ok()
    }

    fn names(&mut self, path: &str) -> Result<Vec<String>, Errno> {
        let handle = self.open(path, OpenOptions { directory: true, ..READ })?;
        let names = self.files.list(handle, true).map(|all| all.iter().map(|entry| entry.name.clone()).collect());
        self.files.close(handle);
        names
    }
}

#[test]
fn datasets_are_read_and_nothing_else() {
    let mut fixture = fixture(OutputContract::default());
    assert_eq!(fixture.read("data/inputs/0").as_deref(), Ok("zero"));
    assert_eq!(fixture.read("data/inputs/inside").as_deref(), Ok("one"));
    assert_eq!(fixture.names("data/inputs").expect("listed"), ["0", "absolute", "inside", "relative", "sub"]);
    for options in [WRITE, CREATE, OpenOptions { read: true, ..WRITE }, OpenOptions { truncate: true, ..READ }] {
        assert_eq!(fixture.open("data/inputs/0", options), Err(Errno::ReadOnly), "{options:?}");
    }
    assert_eq!(fixture.open("data/inputs/new", CREATE), Err(Errno::ReadOnly));
    let root = fixture.root;
    let files = &mut fixture.files;
    assert_eq!(files.unlink_file(root, b"data/inputs/0"), Err(Errno::ReadOnly));
    assert_eq!(files.remove_directory(root, b"data/inputs/sub"), Err(Errno::ReadOnly));
    assert_eq!(files.create_directory(root, b"data/inputs/new"), Err(Errno::ReadOnly));
    assert_eq!(files.rename((root, b"data/inputs/0"), (root, b"data/outputs/0")), Err(Errno::ReadOnly));
    assert_eq!(files.rename((root, b"data/inputs/0"), (root, b"tmp/0")), Err(Errno::ReadOnly));
    assert_eq!(files.touch(root, b"data/inputs/0", true), Err(Errno::ReadOnly));
    assert_eq!(fs::read(fixture.dataset.path().join("0")).expect("there"), b"zero");
}

#[test]
fn links_never_lead_out_of_a_dataset() {
    let mut fixture = fixture(OutputContract::default());
    for name in ["data/inputs/absolute", "data/inputs/relative"] {
        assert_eq!(fixture.open(name, READ), Err(Errno::NotPermitted), "{name}");
    }
    assert_eq!(fixture.open("data/inputs/inside", OpenOptions { follow: false, ..READ }), Err(Errno::Loop));
}

#[test]
fn no_path_leaves_the_handle_it_starts_from() {
    let mut fixture = fixture(OutputContract::default());
    let inputs = fixture.open("data/inputs", OpenOptions { directory: true, ..READ }).expect("opened");
    let sub = fixture.open("data/inputs/sub", OpenOptions { directory: true, ..READ }).expect("opened");
    for (base, path, expected) in [
        (fixture.root, "../etc/passwd", Errno::NotPermitted),
        (fixture.root, "..", Errno::NotPermitted),
        (fixture.root, "data/../../x", Errno::NotPermitted),
        (inputs, "../outputs", Errno::NotPermitted),
        (sub, "../0", Errno::NotPermitted),
        (inputs, "missing/../0", Errno::NoEntry),
        (inputs, "0/../0", Errno::NotDirectory),
        (fixture.root, "/etc/passwd", Errno::NotPermitted),
        (fixture.root, "", Errno::NoEntry),
    ] {
        assert_eq!(fixture.files.open(base, path.as_bytes(), READ), Err(expected), "{path}");
        assert_eq!(fixture.files.stat_at(base, path.as_bytes(), true), Err(expected), "{path}");
    }
    assert!(fixture.files.open(inputs, b"sub/../0", READ).is_ok());
}

#[test]
fn outputs_are_written_and_never_read() {
    let mut fixture = fixture(OutputContract::default());
    let handle = fixture.open("data/outputs/a", CREATE).expect("created");
    assert_eq!(fixture.files.write_at(handle, b"hello", 0), Ok(5));
    assert_eq!(fixture.files.append(handle, b"!"), Ok(6));
    assert_eq!(fixture.files.read_at(handle, &mut [0; 4], 0), Err(Errno::BadDescriptor));
    assert_eq!(fixture.open("data/outputs/a", READ), Err(Errno::Access));
    assert_eq!(fixture.names("data/outputs").expect("its own names"), ["a"]);
    let stat = fixture.files.stat_at(fixture.root, b"data/outputs/a", true).expect("there");
    assert_eq!(stat.kind, FileKind::File { size: 6 });
    assert_eq!(fixture.on_disk("a").as_deref(), Some(&b"hello!"[..]));
}

/// Programs that only write open a file for both: the handle writes and never reads.
#[test]
fn an_output_that_is_opened_for_both_only_writes() {
    let mut fixture = fixture(OutputContract::default());
    let both = OpenOptions { read: true, ..CREATE };
    for options in [both, OpenOptions { truncate: true, ..both }, OpenOptions { read: true, ..WRITE }] {
        let handle = fixture.open("data/outputs/a", options).expect("opened");
        assert_eq!(fixture.files.access(handle), Ok((false, true)), "{options:?}");
        assert_eq!(fixture.files.write_at(handle, b"hello", 0), Ok(5));
        assert_eq!(fixture.files.read_at(handle, &mut [0; 4], 0), Err(Errno::BadDescriptor));
        fixture.files.close(handle);
    }
    let reading = OpenOptions { create: true, ..READ };
    for (path, options) in [("data/outputs/a", READ), ("data/outputs/a", reading), ("data/outputs/new", reading)] {
        assert_eq!(fixture.open(path, options), Err(Errno::Access), "{path}");
    }
    assert!(fixture.on_disk("new").is_none(), "a refused open makes nothing");
}

/// A listing of the outputs comes from what the guest did, not from the disk.
#[test]
fn a_listing_of_outputs_holds_what_the_guest_made() {
    let mut fixture = fixture(OutputContract::default());
    let root = fixture.root;
    fs::write(fixture.outputs.path().join("of-another"), "x").expect("written");
    fixture.open("data/outputs/b", CREATE).expect("created");
    assert_eq!(fixture.files.create_directory(root, b"data/outputs/a"), Ok(()));
    assert_eq!(fixture.names("data/outputs").expect("listed"), ["a", "b"]);
    assert_eq!(fixture.files.unlink_file(root, b"data/outputs/b"), Ok(()));
    assert_eq!(fixture.names("data/outputs").expect("listed"), ["a"]);
}

#[test]
fn a_write_beyond_the_budget_leaves_the_disk_as_it_was() {
    let mut fixture = fixture(OutputContract { max_bytes: 10, ..OutputContract::default() });
    let handle = fixture.open("data/outputs/a", CREATE).expect("created");
    assert_eq!(fixture.files.write_at(handle, b"0123456789", 0), Ok(10));
    assert_eq!(fixture.files.write_at(handle, b"x", 10), Err(Errno::Quota));
    assert_eq!(fixture.files.write_at(handle, b"xy", 9), Err(Errno::Quota));
    assert_eq!(fixture.files.write_at(handle, b"x", u64::MAX - 1), Err(Errno::Quota));
    assert_eq!(fixture.files.set_size(handle, 11), Err(Errno::Quota));
    // Writing the same bytes again costs nothing.
    assert_eq!(fixture.files.write_at(handle, b"9876543210", 0), Ok(10));
    assert_eq!(fixture.on_disk("a").as_deref(), Some(&b"9876543210"[..]));
    let denial = Denial { limit: Limit::OutputBytes, allowed: 10, asked: 11 };
    assert_eq!(fixture.account.denial(), Some(denial));
}

#[test]
fn a_hole_costs_what_data_would_and_cutting_gives_it_back() {
    let mut fixture = fixture(OutputContract { max_bytes: 100, ..OutputContract::default() });
    let a = fixture.open("data/outputs/a", CREATE).expect("created");
    let b = fixture.open("data/outputs/b", CREATE).expect("created");
    assert_eq!(fixture.files.write_at(a, b"x", 89), Ok(1));
    assert_eq!(fixture.files.write_at(b, b"x", 10), Err(Errno::Quota));
    assert_eq!(fixture.files.set_size(a, 1), Ok(()));
    assert_eq!(fixture.files.write_at(b, b"x", 98), Ok(1));
    assert_eq!(fixture.on_disk("a").map(|bytes| bytes.len()), Some(1));
    assert_eq!(fixture.on_disk("b").map(|bytes| bytes.len()), Some(99));
}

#[test]
fn an_unlinked_file_is_charged_until_it_is_closed() {
    let mut fixture = fixture(OutputContract { max_bytes: 10, max_files: 1, ..OutputContract::default() });
    let root = fixture.root;
    let a = fixture.open("data/outputs/a", CREATE).expect("created");
    assert_eq!(fixture.files.write_at(a, &[0; 10], 0), Ok(10));
    assert_eq!(fixture.files.unlink_file(root, b"data/outputs/a"), Ok(()));
    assert_eq!(fixture.open("data/outputs/b", CREATE), Err(Errno::Quota));
    fixture.files.close(a);
    let b = fixture.open("data/outputs/b", CREATE).expect("created");
    assert_eq!(fixture.files.write_at(b, &[0; 10], 0), Ok(10));
}

#[test]
fn output_names_are_those_of_the_contract() {
    let names = vec!["*.csv".parse().expect("a pattern"), "plots/*.svg".parse().expect("a pattern")];
    let mut fixture = fixture(OutputContract { names, max_depth: 2, max_directories: 1, ..OutputContract::default() });
    let root = fixture.root;
    assert!(fixture.open("data/outputs/a.csv", CREATE).is_ok());
    assert_eq!(fixture.open("data/outputs/a.exe", CREATE), Err(Errno::NotPermitted));
    assert_eq!(fixture.open("data/outputs/a\x1b.csv", CREATE), Err(Errno::NotPermitted));
    assert_eq!(fixture.files.create_directory(root, b"data/outputs/plots"), Ok(()));
    assert_eq!(fixture.files.create_directory(root, b"data/outputs/a-row-of-the-data"), Err(Errno::NotPermitted));
    assert!(fixture.open("data/outputs/plots/p.svg", CREATE).is_ok());
    assert_eq!(fixture.files.create_directory(root, b"data/outputs/plots/x/y"), Err(Errno::NoEntry));
    let files = &mut fixture.files;
    assert_eq!(files.rename((root, b"data/outputs/a.csv"), (root, b"data/outputs/a.exe")), Err(Errno::NotPermitted));
    assert_eq!(files.rename((root, b"data/outputs/plots"), (root, b"data/outputs/other")), Err(Errno::NotEmpty));
    assert_eq!(files.rename((root, b"data/outputs/a.csv"), (root, b"data/outputs/b.csv")), Ok(()));
    assert_eq!(files.rename((root, b"data/outputs/b.csv"), (root, b"tmp/b.csv")), Err(Errno::CrossDevice));
    assert!(fixture.on_disk("b.csv").is_some() && fixture.on_disk("a.csv").is_none());
}

#[test]
fn scratch_is_memory_and_is_given_back() {
    let mut fixture = fixture(OutputContract::default());
    let root = fixture.root;
    let handle = fixture.open("tmp/a", OpenOptions { read: true, ..CREATE }).expect("created");
    assert_eq!(fixture.files.write_at(handle, b"hello", 3), Ok(5));
    let mut buffer = [1; 16];
    assert_eq!(fixture.files.read_at(handle, &mut buffer, 0), Ok(8));
    assert_eq!(&buffer[..8], b"\0\0\0hello");
    assert_eq!(fixture.files.write_at(handle, b"x", 2 * MEMORY), Err(Errno::NoSpace));
    assert_eq!(fixture.account.denial().map(|denial| denial.limit), Some(Limit::Memory));
    assert_eq!(fixture.files.create_directory(root, b"tmp/d"), Ok(()));
    assert_eq!(fixture.files.rename((root, b"tmp/a"), (root, b"tmp/d/b")), Ok(()));
    assert_eq!(fixture.files.rename((root, b"tmp/d"), (root, b"tmp/d/e")), Err(Errno::Invalid));
    assert_eq!(fixture.names("tmp/d").expect("listed"), ["b"]);
    assert_eq!(fixture.files.remove_directory(root, b"tmp/d"), Err(Errno::NotEmpty));
    assert_eq!(fixture.files.remove_directory(root, b"tmp"), Err(Errno::ReadOnly));
    assert_eq!(fixture.files.unlink_file(root, b"tmp/d/b"), Ok(()));
    fixture.files.close(handle);
    assert_eq!(fixture.files.remove_directory(root, b"tmp/d"), Ok(()));
    assert_eq!(fixture.open("tmp/new", OpenOptions { create: true, truncate: true, ..READ }), Err(Errno::Invalid));
    // All of it can be had again: nothing leaked.
    let handle = fixture.open("tmp/full", CREATE).expect("created");
    assert_eq!(fixture.files.set_size(handle, MEMORY - 8192), Ok(()));
}

#[test]
fn handles_are_bounded_far_below_the_process() {
    let mut fixture = fixture(OutputContract::default());
    for _ in 1..HANDLES {
        fixture.open("data/inputs/0", READ).expect("opened");
    }
    assert_eq!(fixture.open("data/inputs/0", READ), Err(Errno::TooManyHandles));
    assert_eq!(fixture.open("data/outputs/new", CREATE), Err(Errno::TooManyHandles));
    assert!(fixture.on_disk("new").is_none(), "a refused open makes nothing");
}

#[test]
fn parents_are_empty_read_only_directories() {
    let mut fixture = fixture(OutputContract::default());
    assert_eq!(fixture.names(".").expect("listed"), ["data", "dev", "tmp"]);
    assert_eq!(fixture.names("data").expect("listed"), ["inputs", "logs", "outputs"]);
    assert_eq!(fixture.open("etc/passwd", READ), Err(Errno::NoEntry));
    assert_eq!(fixture.open("data/new", CREATE), Err(Errno::ReadOnly));
    assert_eq!(fixture.open("data", WRITE), Err(Errno::IsDirectory));
}

/// `/` is the current directory of every program, and many leave files there.
#[test]
fn new_names_in_the_root_and_in_logs_are_scratch() {
    let mut fixture = fixture(OutputContract::default());
    let root = fixture.root;
    for path in ["chart.tmp", "data/logs/a.log"] {
        let handle = fixture.open(path, OpenOptions { read: true, ..CREATE }).expect("created");
        assert_eq!(fixture.files.write_at(handle, b"hello", 0), Ok(5));
        assert_eq!(fixture.files.touch_open(handle), Ok(()));
        fixture.files.close(handle);
        assert_eq!(fixture.read(path).as_deref(), Ok("hello"));
        assert_eq!(fixture.files.touch(root, path.as_bytes(), true), Ok(()));
    }
    assert_eq!(fixture.names(".").expect("listed"), ["chart.tmp", "data", "dev", "tmp"]);
    assert_eq!(fixture.files.create_directory(root, b"results/"), Ok(()));
    assert_eq!(fixture.files.create_directory(root, b"results/deeper"), Ok(()));
    assert_eq!(fixture.files.rename((root, b"chart.tmp"), (root, b"results/../results/deeper/a")), Ok(()));
    assert_eq!(fixture.read("data/../results/deeper/a").as_deref(), Ok("hello"));
    assert_eq!(fixture.files.rename((root, b"results"), (root, b"tmp/results")), Ok(()));
    assert_eq!(fixture.names(".").expect("listed"), ["data", "dev", "tmp"]);
    // What `/` has stays what it is, and nothing moves into the outputs.
    for name in ["data", "dev", "tmp"] {
        assert_eq!(fixture.files.rename((root, b"tmp/results"), (root, name.as_bytes())), Err(Errno::ReadOnly));
        assert_eq!(fixture.files.create_directory(root, name.as_bytes()), Err(Errno::Exist));
        assert_eq!(fixture.files.remove_directory(root, name.as_bytes()), Err(Errno::ReadOnly));
    }
    let across = fixture.files.rename((root, b"tmp/results/deeper/a"), (root, b"data/outputs/a"));
    assert_eq!(across, Err(Errno::CrossDevice));
    // All of it counts against the memory limit, in one sum.
    let handle = fixture.open("big", CREATE).expect("created");
    assert_eq!(fixture.files.set_size(handle, MEMORY), Err(Errno::NoSpace));
}

/// They lead nowhere: what is written is gone, what is read comes from this program.
#[test]
fn devices_are_answered_by_the_file_layer() {
    let mut fixture = fixture(OutputContract::default());
    let both = OpenOptions { read: true, truncate: true, ..CREATE };
    let mut buffer = [7; 4];
    let null = fixture.open("dev/null", both).expect("opened");
    assert_eq!(fixture.files.write_at(null, b"hello", 0), Ok(5));
    assert_eq!(fixture.files.append(null, b"hello"), Ok(5));
    assert_eq!(fixture.files.read_at(null, &mut buffer, 0), Ok(0));
    assert_eq!(fixture.files.stat(null).map(|stat| stat.kind), Ok(FileKind::Device));
    let zero = fixture.open("dev/zero", READ).expect("opened");
    assert_eq!((fixture.files.read_at(zero, &mut buffer, u64::MAX), buffer), (Ok(4), [0; 4]));
    assert_eq!(fixture.files.write_at(zero, b"x", 0), Err(Errno::BadDescriptor));
    // Without a source of randomness, reading fails instead of returning something else.
    let random = fixture.open("dev/urandom", READ).expect("opened");
    assert_eq!(fixture.files.read_at(random, &mut buffer, 0), Err(Errno::Io));
    assert_eq!(fixture.names("dev").expect("listed"), ["null", "random", "urandom", "zero"]);
    let root = fixture.root;
    assert_eq!(fixture.files.unlink_file(root, b"dev/null"), Err(Errno::ReadOnly));
    assert_eq!(fixture.open("dev/new", CREATE), Err(Errno::ReadOnly));
    assert_eq!(fixture.open("dev/null/x", READ), Err(Errno::NotDirectory));
    assert_eq!(fixture.open("dev/sda", READ), Err(Errno::NoEntry));
}

/// As in POSIX, setting times needs no descriptor that writes.
#[test]
fn times_are_set_where_writing_is_allowed() {
    let mut fixture = fixture(OutputContract::default());
    let created = fixture.open("tmp/a", CREATE).expect("created");
    fixture.files.close(created);
    let reading = fixture.open("tmp/a", READ).expect("opened");
    assert_eq!(fixture.files.touch_open(reading), Ok(()));
    for path in ["data/inputs/0", "data/inputs", "data"] {
        let input = fixture.open(path, READ).expect("opened");
        assert_eq!(fixture.files.touch_open(input), Err(Errno::ReadOnly), "{path}");
        fixture.files.close(input);
    }
}

#[test]
fn a_pipe_in_a_dataset_does_not_block() {
    let mut fixture = fixture(OutputContract::default());
    let path = fixture.dataset.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).expect("made");
    assert_eq!(fixture.open("data/inputs/pipe", READ), Err(Errno::Access));
    assert!(!fixture.names("data/inputs").expect("listed").contains(&"pipe".to_owned()));
}
