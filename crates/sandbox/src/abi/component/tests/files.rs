//! Tests that call the interfaces as the generated code does.

use super::{CALL_BYTES, HANDLES, Host, INPUT, OUTPUT_BYTES};
use crate::{clock::EPOCH_SECONDS, fs::Errno, guest::Guest};
use cloister_model::Limit;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    DynInputStream, FsResult,
    bindings::{
        cli::{stderr, stdin, stdout},
        filesystem::preopens::Host as _,
        sync::{
            filesystem::types::{
                self, Descriptor, DescriptorFlags, DescriptorType, ErrorCode, Host as _, HostDescriptor as _,
                HostDirectoryEntryStream as _, NewTimestamp, OpenFlags, PathFlags,
            },
            io::streams::{self, Host as _, HostInputStream, HostOutputStream, OutputStream},
        },
    },
};
use wasmtime_wasi_io::streams::StreamError;

const READ: DescriptorFlags = DescriptorFlags::READ;
const WRITE: DescriptorFlags = DescriptorFlags::WRITE;

/// The argument that the generated code passes for a handle that the guest keeps.
fn lend<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(resource.rep())
}

fn root(guest: &mut Guest) -> Resource<Descriptor> {
    let mut preopens = guest.get_directories().expect("preopens");
    assert_eq!(preopens.len(), 1);
    let (root, name) = preopens.remove(0);
    assert_eq!(name, "/");
    root
}

fn open(
    guest: &mut Guest,
    base: &Resource<Descriptor>,
    path: &str,
    open: OpenFlags,
    flags: DescriptorFlags,
) -> Result<Resource<Descriptor>, ErrorCode> {
    let opened = guest.open_at(lend(base), PathFlags::empty(), path.to_owned(), open, flags);
    answer(guest, opened)
}

/// The error code that the guest gets.
fn answer<T>(guest: &mut Guest, result: FsResult<T>) -> Result<T, ErrorCode> {
    result.map_err(|error| guest.convert_error_code(error).expect("an error code, no trap"))
}

/// The error code of a failed stream, found as a C library does; `None` if the stream is closed.
fn failure<T>(guest: &mut Guest, result: Result<T, StreamError>) -> Option<ErrorCode> {
    let error = result.err().expect("a failure");
    match guest.convert_stream_error(error).expect("no trap") {
        streams::StreamError::Closed => None,
        streams::StreamError::LastOperationFailed(error) => {
            let code = guest.filesystem_error_code(lend(&error)).expect("no trap");
            wasmtime_wasi_io::bindings::wasi::io::error::HostError::drop(guest, error).expect("no trap");
            Some(code.expect("a file's error"))
        }
    }
}

/// The number of open file handles.
fn is_clean(guest: &mut Guest) -> bool {
    // One of them is preview 1's root.
    let more: Vec<_> = (1..HANDLES).map_while(|_| guest.files.open_root().ok()).collect();
    let clean = more.len() == HANDLES as usize - 1;
    more.into_iter().for_each(|handle| guest.files.close(handle));
    clean
}

#[test]
fn an_input_is_read_and_never_written() {
    let host = Host::new();
    let guest = &mut host.guest();
    let root = root(guest);
    let path = "data/inputs/d/0";
    let file = open(guest, &root, path, OpenFlags::empty(), READ).expect("an input");

    let (bytes, at_end) = types::HostDescriptor::read(guest, lend(&file), 9, 4).expect("bytes");
    assert_eq!((bytes.as_slice(), at_end), (&INPUT[4..13], false));
    let (bytes, at_end) = types::HostDescriptor::read(guest, lend(&file), u64::MAX, 4).expect("bytes");
    assert_eq!((bytes.as_slice(), at_end), (&INPUT[4..], true));

    let stream = guest.read_via_stream(lend(&file), 4).expect("a stream");
    // The stream stays usable after the descriptor is dropped.
    types::HostDescriptor::drop(guest, file).expect("no trap");
    assert_eq!(HostInputStream::read(guest, lend(&stream), 3).expect("bytes"), &INPUT[4..7]);
    assert_eq!(guest.skip(lend(&stream), 2).expect("a number"), 2);
    assert_eq!(guest.blocking_read(lend(&stream), 1000).expect("bytes"), &INPUT[9..]);
    assert!(matches!(HostInputStream::read(guest, lend(&stream), 1), Err(StreamError::Closed)));
    assert!(matches!(guest.skip(lend(&stream), 1), Err(StreamError::Closed)));
    HostInputStream::drop(guest, stream).expect("no trap");

    assert_eq!(open(guest, &root, path, OpenFlags::empty(), READ | WRITE).err(), Some(ErrorCode::ReadOnly));
    assert_eq!(open(guest, &root, "data/inputs/d/1", OpenFlags::CREATE, WRITE).err(), Some(ErrorCode::ReadOnly));
    assert_eq!(open(guest, &root, "data/inputs/d/1", OpenFlags::empty(), READ).err(), Some(ErrorCode::NoEntry));
    assert_eq!(open(guest, &root, "../etc/passwd", OpenFlags::empty(), READ).err(), Some(ErrorCode::NotPermitted));
    types::HostDescriptor::drop(guest, root).expect("no trap");
    assert!(is_clean(guest));
}

#[test]
fn reads_are_bounded_by_the_call_limit() {
    let host = Host::new();
    std::fs::write(host.inputs.path().join("large"), vec![1; 20_000]).expect("an input");
    let guest = &mut host.guest();
    let root = root(guest);
    let file = open(guest, &root, "data/inputs/d/large", OpenFlags::empty(), READ).expect("an input");
    let (bytes, at_end) = types::HostDescriptor::read(guest, lend(&file), u64::MAX, 0).expect("bytes");
    assert_eq!((bytes.len() as u64, at_end), (CALL_BYTES, false));
    let stream = guest.read_via_stream(lend(&file), 0).expect("a stream");
    let mut lengths = Vec::new();
    while let Ok(bytes) = HostInputStream::read(guest, lend(&stream), u64::MAX) {
        lengths.push(bytes.len());
    }
    assert_eq!(lengths, [8192, 8192, 3616]);
}

#[test]
fn an_output_is_written_up_to_its_quota_and_never_read() {
    let host = Host::new();
    let guest = &mut host.guest();
    let root = root(guest);
    let create = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    assert_eq!(open(guest, &root, "data/outputs/a", create, READ).err(), Some(ErrorCode::Access));
    // Opened for both, it can only be written.
    let file = open(guest, &root, "data/outputs/a", create, READ | WRITE).expect("an output");
    assert_eq!(guest.get_flags(lend(&file)).expect("flags"), WRITE);
    let read = guest.read_via_stream(lend(&file), 0);
    assert_eq!(answer(guest, read).err(), Some(ErrorCode::BadDescriptor));

    let stream = guest.write_via_stream(lend(&file), 0).expect("a stream");
    assert_eq!(guest.check_write(lend(&stream)).expect("a permit"), CALL_BYTES);
    HostOutputStream::write(guest, lend(&stream), b"begin".to_vec()).expect("written");
    guest.write_zeroes(lend(&stream), 3).expect("written");
    guest.blocking_write_and_flush(lend(&stream), b"end".to_vec()).expect("written");
    guest.blocking_flush(lend(&stream)).expect("nothing to flush");
    assert_eq!(host.output("a"), b"begin\0\0\0end");

    let appender = guest.append_via_stream(lend(&file)).expect("a stream");
    HostOutputStream::write(guest, lend(&appender), b"!".to_vec()).expect("written");
    assert_eq!(types::HostDescriptor::write(guest, lend(&file), b"B".to_vec(), 0).expect("written"), 1);
    assert_eq!(host.output("a"), b"Begin\0\0\0end!");
    assert_eq!(guest.stat(lend(&file)).expect("a stat").size, 12);

    // At the quota, a write does everything or nothing. The stream then reports the error once and is closed.
    guest.write_zeroes(lend(&appender), 8000).expect("written");
    let beyond = guest.write_zeroes(lend(&appender), 2000);
    assert_eq!(failure(guest, beyond), Some(ErrorCode::Quota));
    let closed = guest.check_write(lend(&appender));
    assert_eq!(failure(guest, closed), None);
    assert_eq!(host.output("a").len(), 8012);
    let size = guest.set_size(lend(&file), OUTPUT_BYTES + 1);
    assert_eq!(answer(guest, size), Err(ErrorCode::Quota));
    assert_eq!(host.account.denial().map(|denial| denial.limit), Some(Limit::OutputBytes));
}

#[test]
fn writes_beyond_the_permit_trap() {
    let mut host = Host::new();
    let guest = &mut host.guest();
    let stream = stdout::Host::get_stdout(guest).expect("stdout");
    for written in [
        HostOutputStream::write(guest, lend(&stream), vec![b'-'; 8193]),
        guest.write_zeroes(lend(&stream), 8193),
        guest.write_zeroes(lend(&stream), u64::MAX),
        guest.blocking_write_and_flush(lend(&stream), vec![b'-'; 4097]),
        guest.blocking_write_zeroes_and_flush(lend(&stream), 4097),
    ] {
        assert!(matches!(written, Err(StreamError::Trap(_))), "{written:?}");
    }
    assert_eq!(host.printed(), "");
}

#[test]
fn standard_streams_end_at_once_and_go_to_the_log() {
    let mut host = Host::new();
    let guest = &mut host.guest();
    let input = stdin::Host::get_stdin(guest).expect("stdin");
    assert!(matches!(guest.blocking_read(lend(&input), 1), Err(StreamError::Closed)));
    let streams = [stdout::Host::get_stdout(guest).expect("stdout"), stderr::Host::get_stderr(guest).expect("stderr")];
    for (stream, text) in streams.iter().zip(["out ", "err"]) {
        guest.blocking_write_and_flush(lend(stream), text.into()).expect("never fails");
    }
    // Beyond the log's limit, too.
    HostOutputStream::write(guest, lend(&streams[0]), vec![b'.'; 5000]).expect("never fails");
    assert_eq!(host.printed(), format!("out err{}", ".".repeat(993)));
    assert_eq!(host.account.log_dropped(), 4007);
}

#[test]
fn standard_input_is_one_file_for_all_its_streams() {
    let host = Host::new();
    let guest = &mut host.guest();
    guest.give_stdin("/data/inputs/d/0").expect("an input");
    let input = stdin::Host::get_stdin(guest).expect("stdin");
    assert_eq!(guest.blocking_read(lend(&input), 4).expect("its beginning"), b"the ");
    HostInputStream::drop(guest, input).expect("dropped");
    let (one, other) = (stdin::Host::get_stdin(guest).expect("stdin"), stdin::Host::get_stdin(guest).expect("stdin"));
    assert_eq!(guest.blocking_read(lend(&one), 6).expect("it goes on"), b"whole ");
    assert_eq!(guest.blocking_skip(lend(&other), 3).expect("it goes on"), 3);
    assert_eq!(guest.blocking_read(lend(&one), 100).expect("the rest"), b"the input");
    for stream in [&one, &other] {
        assert!(matches!(guest.blocking_read(lend(stream), 1), Err(StreamError::Closed)));
    }
    for (path, expected) in [
        ("/data/inputs/d/9", Errno::NoEntry),
        ("/data/inputs/d/deeper", Errno::IsDirectory),
        ("/data/outputs", Errno::IsDirectory),
        ("/dev/zero", Errno::Access),
        ("/../x", Errno::NotPermitted),
    ] {
        assert_eq!(guest.give_stdin(path), Err(expected), "{path}");
    }
}

#[test]
fn splice_copies_until_either_side_ends() {
    let host = Host::new();
    let guest = &mut host.guest();
    let root = root(guest);
    let from = open(guest, &root, "data/inputs/d/0", OpenFlags::empty(), READ).expect("an input");
    let to = open(guest, &root, "tmp/copy", OpenFlags::CREATE, READ | WRITE).expect("a file");
    let source = guest.read_via_stream(lend(&from), 0).expect("a stream");
    let target = guest.write_via_stream(lend(&to), 0).expect("a stream");
    assert_eq!(guest.splice(lend(&target), lend(&source), 4).expect("a number"), 4);
    assert_eq!(guest.blocking_splice(lend(&target), lend(&source), u64::MAX).expect("a number"), 18);
    assert!(matches!(guest.splice(lend(&target), lend(&source), 1), Err(StreamError::Closed)));
    assert_eq!(types::HostDescriptor::read(guest, lend(&to), 100, 0).expect("bytes").0, INPUT);

    // A file that grows can be read further.
    let reader = guest.read_via_stream(lend(&to), 22).expect("a stream");
    assert!(matches!(HostInputStream::read(guest, lend(&reader), 9), Err(StreamError::Closed)));
    HostOutputStream::write(guest, lend(&target), b" more".to_vec()).expect("written");
    assert_eq!(HostInputStream::read(guest, lend(&reader), 9).expect("bytes"), b" more");
}

#[test]
fn a_listing_is_a_snapshot() {
    let host = Host::new();
    let guest = &mut host.guest();
    let root = root(guest);
    let directory = open(guest, &root, "tmp", OpenFlags::DIRECTORY, READ | WRITE).expect("/tmp");
    let make = |guest: &mut Guest, name| {
        let file = open(guest, &directory, name, OpenFlags::CREATE, WRITE).expect("a file");
        types::HostDescriptor::drop(guest, file).expect("no trap");
    };
    let empty = guest.read_directory(lend(&directory)).expect("a listing");
    make(guest, "b");
    make(guest, "a");
    guest.create_directory_at(lend(&directory), "c".to_owned()).expect("a directory");
    let full = guest.read_directory(lend(&directory)).expect("a listing");
    guest.unlink_file_at(lend(&directory), "a".to_owned()).expect("unlinked");
    guest.rename_at(lend(&directory), "b".to_owned(), lend(&directory), "0".to_owned()).expect("renamed");

    assert!(guest.read_directory_entry(lend(&empty)).expect("an end").is_none());
    let mut names = Vec::new();
    while let Some(entry) = guest.read_directory_entry(lend(&full)).expect("an entry") {
        names.push((entry.name, entry.type_));
    }
    let file = DescriptorType::RegularFile;
    let expected = [("a", file), ("b", file), ("c", DescriptorType::Directory)];
    assert_eq!(names, expected.map(|(name, kind)| (name.to_owned(), kind)));
    assert!(guest.read_directory_entry(lend(&full)).expect("an end").is_none());

    types::HostDirectoryEntryStream::drop(guest, empty).expect("no trap");
    types::HostDirectoryEntryStream::drop(guest, full).expect("no trap");
    let outputs = open(guest, &root, "data/outputs", OpenFlags::DIRECTORY, READ).expect("the outputs");
    let listing = guest.read_directory(lend(&outputs));
    let listing = answer(guest, listing).expect("the names that it made itself");
    types::HostDirectoryEntryStream::drop(guest, listing).expect("no trap");
    for descriptor in [directory, outputs, root] {
        types::HostDescriptor::drop(guest, descriptor).expect("no trap");
    }
    assert!(is_clean(guest));
}

#[test]
fn metadata_reveals_nothing_about_the_host() {
    let host = Host::new();
    let guest = &mut host.guest();
    let root = root(guest);
    let path = || "data/inputs/d/0".to_owned();
    let stat = guest.stat_at(lend(&root), PathFlags::empty(), path()).expect("a stat");
    assert_eq!((stat.type_, stat.link_count, stat.size), (DescriptorType::RegularFile, 1, INPUT.len() as u64));
    for time in [stat.data_access_timestamp, stat.data_modification_timestamp, stat.status_change_timestamp] {
        assert_eq!(time.map(|time| (time.seconds, time.nanoseconds)), Some((EPOCH_SECONDS, 0)));
    }
    let file = open(guest, &root, &path(), OpenFlags::empty(), READ).expect("an input");
    let again = open(guest, &root, &path(), OpenFlags::empty(), READ).expect("an input");
    assert!(guest.is_same_object(lend(&file), lend(&again)).expect("no trap"));
    assert!(!guest.is_same_object(lend(&file), lend(&root)).expect("no trap"));
    let hash = guest.metadata_hash(lend(&file)).expect("a hash");
    let other = Host::new().guest().metadata_hash_at_root(&path());
    assert_eq!((hash.lower, hash.upper), other);
}

impl Guest {
    /// The metadata of the same path in another run.
    fn metadata_hash_at_root(&mut self, path: &str) -> (u64, u64) {
        let root = root(self);
        let hash = self.metadata_hash_at(root, PathFlags::empty(), path.to_owned()).expect("a hash");
        (hash.lower, hash.upper)
    }
}

#[test]
fn links_and_times_are_refused() {
    let host = Host::new();
    let guest = &mut host.guest();
    let root = root(guest);
    let names = || ("data/inputs/d/0".to_owned(), "tmp/link".to_owned());
    let linked = guest.link_at(lend(&root), PathFlags::empty(), names().0, lend(&root), names().1);
    assert_eq!(answer(guest, linked), Err(ErrorCode::Unsupported));
    let linked = guest.symlink_at(lend(&root), names().0, names().1);
    assert_eq!(answer(guest, linked), Err(ErrorCode::Unsupported));
    let touched =
        guest.set_times_at(lend(&root), PathFlags::empty(), names().0, NewTimestamp::Now, NewTimestamp::NoChange);
    assert_eq!(answer(guest, touched), Err(ErrorCode::ReadOnly));
    let file = open(guest, &root, "tmp/file", OpenFlags::CREATE, WRITE).expect("a file");
    guest.set_times(lend(&file), NewTimestamp::Now, NewTimestamp::Now).expect("no effect");
    let unlinked = guest.unlink_file_at(lend(&root), names().0);
    assert_eq!(answer(guest, unlinked), Err(ErrorCode::ReadOnly));
}

#[test]
fn opening_too_many_files_fails_without_side_effects() {
    let host = Host::new();
    let guest = &mut host.guest();
    let root = root(guest);
    let mut files: Vec<_> =
        (0..).map_while(|_| open(guest, &root, "data/inputs/d/0", OpenFlags::empty(), READ).ok()).collect();
    assert_eq!(files.len(), HANDLES as usize - 2);
    let made = open(guest, &root, "tmp/made", OpenFlags::CREATE, WRITE);
    assert_eq!(made.err(), Some(ErrorCode::InsufficientMemory));
    assert_eq!(host.account.denial().map(|denial| denial.limit), Some(Limit::Handles));
    let stat = guest.stat_at(lend(&root), PathFlags::empty(), "tmp/made".to_owned());
    assert_eq!(answer(guest, stat).err(), Some(ErrorCode::NoEntry));
    let file = files.pop().expect("one");
    types::HostDescriptor::drop(guest, file).expect("no trap");
    open(guest, &root, "tmp/made", OpenFlags::CREATE, WRITE).expect("room again");
}

#[test]
fn a_handle_of_another_kind_traps() {
    let host = Host::new();
    let guest = &mut host.guest();
    let root = root(guest);
    let as_input = Resource::<DynInputStream>::new_borrow(root.rep());
    assert!(matches!(HostInputStream::read(guest, as_input, 1), Err(StreamError::Trap(_))));
    let as_output = Resource::<OutputStream>::new_borrow(root.rep());
    assert!(matches!(guest.check_write(as_output), Err(StreamError::Trap(_))));
    let nothing = guest.stat(Resource::new_borrow(1000)).expect_err("a trap");
    assert!(guest.convert_error_code(nothing).is_err());
    types::HostDescriptor::drop(guest, lend(&root)).expect("no trap");
    types::HostDescriptor::drop(guest, root).expect_err("dropped already");
}
