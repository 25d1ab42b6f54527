//! An author's archive, unpacked as a worker does it. Whatever the bytes are: no more memory than the limit, nothing over an input, and
//! what was unpacked has the file that runs.
//!
//! The first byte says what the others are: `z` the archive itself, `t` a tar archive that is compressed here, because no fuzzer guesses
//! checksums, and `e` or `p` lines with a kind, a name and a content each, for a tar or zip archive that is made here.

#![no_main]

// The modules by themselves: the whole sandbox would bring a compiler along, to be compiled with coverage.
#[allow(dead_code, reason = "the rest of the sandbox uses the rest")]
#[path = "../../crates/sandbox/src/account.rs"]
mod account;
#[allow(dead_code, reason = "as above")]
#[path = "../../crates/sandbox/src/fs/mod.rs"]
mod fs;
#[allow(dead_code, reason = "as above")]
#[path = "../../crates/sandbox/src/unpack/mod.rs"]
mod unpack;

use account::{Account, Counters};
use flate2::{Compression, write::GzEncoder};
use fs::{Build, FileSystem, HandleId, OpenOptions};
use libfuzzer_sys::fuzz_target;
use std::{
    io::{Cursor, Write as _},
    sync::Arc,
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

const MEMORY: u64 = 1 << 20;
const ROOT: &str = "data/transformations/algorithm";
const MAIN: &str = "__main__.py";
const BLOCK: usize = 512;

fuzz_target!(|bytes: &[u8]| {
    let Some((how, rest)) = bytes.split_first() else { return };
    let archive = match how {
        b'z' => rest.to_vec(),
        b't' => compressed(rest),
        b'e' => compressed(&tar(rest)),
        b'p' => zip(rest),
        _ => return,
    };
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&archive).expect("written");
    let mut input = tempfile::tempfile().expect("a file");
    input.write_all(b"data").expect("written");

    let account = Account::new(Arc::new(Counters::create().expect("counters").0), MEMORY);
    let build = Build::new(account.clone(), 8).file("/data/inputs/d/0", input).expect("placed");
    let mut files = build.directory(&format!("/{ROOT}")).expect("placed").finish();
    let root = files.open_root().expect("a root");
    let unpacked = unpack::unpack(&file, ROOT, &[MAIN.to_owned()], &mut files, &account).is_ok();
    assert!(account.peak_memory() <= MEMORY, "more memory than the limit");
    assert_eq!(read(&mut files, root, "data/inputs/d/0").as_deref(), Some(&b"data"[..]));
    if unpacked {
        assert!(read(&mut files, root, &format!("{ROOT}/{MAIN}")).is_some(), "unpacked without what runs");
    }
});

fn read(files: &mut FileSystem, root: HandleId, path: &str) -> Option<Vec<u8>> {
    let options = OpenOptions { read: true, follow: true, ..OpenOptions::default() };
    let handle = files.open(root, path.as_bytes(), options).ok()?;
    let mut bytes = vec![0; 64];
    let length = files.read_at(handle, &mut bytes, 0).ok()?;
    files.close(handle);
    bytes.truncate(length);
    Some(bytes)
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

/// Kind, name and content of each line.
fn members(lines: &[u8]) -> impl Iterator<Item = (u8, &[u8], &[u8])> {
    lines.split(|byte| *byte == b'\n').filter_map(|line| {
        let (kind, rest) = line.split_first()?;
        let mut parts = rest.splitn(3, |byte| *byte == b' ');
        Some((*kind, parts.nth(1)?, parts.next().unwrap_or_default()))
    })
}

fn tar(lines: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, name, content) in members(lines) {
        let mut header = [0; BLOCK];
        let length = name.len().min(100);
        header[..length].copy_from_slice(&name[..length]);
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = kind;
        header[257..263].copy_from_slice(b"ustar\0");
        header[148..156].fill(b' ');
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend(header);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

fn zip(lines: &[u8]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (kind, name, content) in members(lines) {
        let method = if kind == b'8' { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        let options = SimpleFileOptions::default().compression_method(method);
        if writer.start_file(String::from_utf8_lossy(name), options).is_ok() {
            writer.write_all(content).expect("written");
        }
    }
    writer.finish().expect("finished").into_inner()
}
