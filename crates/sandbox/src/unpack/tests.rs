use super::*;
use crate::{
    account::Counters,
    fs::{Build, HandleId, OpenOptions},
};
use std::io::Write as _;
use zip::{ZipWriter, write::SimpleFileOptions};

const MEMORY: u64 = 1 << 20;
const MAIN: &str = "__main__.py";

struct Guest {
    files: FileSystem,
    root: HandleId,
    account: Account,
}

fn guest() -> Guest {
    let account = Account::new(Arc::new(Counters::create().expect("counters").0), MEMORY);
    let mut files =
        Build::new(account.clone(), 8).directory("/data/transformations/algorithm").expect("placed").finish();
    let root = files.open_root().expect("a root");
    Guest { files, root, account }
}

impl Guest {
    fn unpack(&mut self, archive: &[u8]) -> Result<(), UnpackError> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(archive).expect("written");
        let entries = [MAIN.to_owned()];
        unpack(&file, "data/transformations/algorithm", &entries, &mut self.files, &self.account)
    }

    fn read(&mut self, path: &str) -> Option<Vec<u8>> {
        let path = format!("data/transformations/algorithm/{path}");
        let options = OpenOptions { read: true, follow: true, ..OpenOptions::default() };
        let handle = self.files.open(self.root, path.as_bytes(), options).ok()?;
        let mut bytes = vec![0; 100_000];
        let length = self.files.read_at(handle, &mut bytes, 0).ok()?;
        self.files.close(handle);
        bytes.truncate(length);
        Some(bytes)
    }
}

fn zip_of(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).expect("started");
        writer.write_all(content).expect("written");
    }
    writer.finish().expect("finished").into_inner()
}

/// A tar archive of (type, name, content), compressed.
fn tar_of(entries: &[(u8, &str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, name, content) in entries {
        let mut header = [0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = *kind;
        header[257..263].copy_from_slice(b"ustar\0");
        header[148..156].fill(b' ');
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        bytes.extend(header);
        bytes.extend(*content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    compressed(&bytes)
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}

fn problem(archive: &[u8]) -> String {
    match guest().unpack(archive) {
        Ok(()) => "unpacked".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn files_are_found_below_the_algorithm() {
    let big = vec![7; 50_000];
    let entries: [(&str, &[u8]); 3] = [(MAIN, b"import helper"), ("helper.py", b"x = 1"), ("data/big.bin", &big)];
    let tar_entries = entries.map(|(name, content)| (b'0', name, content));
    for archive in [
        zip_of(&entries, CompressionMethod::Stored),
        zip_of(&entries, CompressionMethod::Deflated),
        tar_of(&tar_entries),
    ] {
        let mut guest = guest();
        guest.unpack(&archive).expect("unpacked");
        assert_eq!(guest.read(MAIN).as_deref(), Some(&b"import helper"[..]));
        assert_eq!(guest.read("data/big.bin").as_deref(), Some(&big[..]));
        assert_eq!(guest.read("data/none"), None);
    }
}

#[test]
fn a_folder_around_everything_is_left_out() {
    let archive =
        tar_of(&[(b'5', "app-1.0/", b""), (b'0', "app-1.0/__main__.py", b"1"), (b'0', "./app-1.0/lib/a.py", b"2")]);
    let mut guest = guest();
    guest.unpack(&archive).expect("unpacked");
    assert_eq!(guest.read("lib/a.py").as_deref(), Some(&b"2"[..]));
    // Not if the entry would not be at the top then.
    assert!(problem(&zip_of(&[("app/main.py", b"")], CompressionMethod::Stored)).contains(MAIN));
    assert!(problem(&zip_of(&[("app/__main__.py", b""), ("b", b"")], CompressionMethod::Stored)).contains(MAIN));
}

#[test]
fn one_of_several_entries_is_enough() {
    let entries = ["package.json", "index.js"].map(str::to_owned);
    let unpacked = |name: &str| {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&zip_of(&[(name, b"1")], CompressionMethod::Stored)).expect("written");
        let Guest { mut files, account, .. } = guest();
        unpack(&file, "data/transformations/algorithm", &entries, &mut files, &account)
    };
    for name in ["package.json", "index.js", "app/index.js"] {
        unpacked(name).expect(name);
    }
    let told = unpacked("main.py").expect_err("no entry").to_string();
    assert!(told.contains("none of `package.json`, `index.js`"), "{told}");
}

#[test]
fn long_names_of_both_kinds_are_read() {
    let long = format!("{}/a.py", "d".repeat(120));
    let record = format!("{} path={long}\n", long.len() + 10);
    for (kind, content) in [(b'L', format!("{long}\0")), (b'x', record)] {
        let archive = tar_of(&[(b'0', MAIN, b"1"), (kind, "long", content.as_bytes()), (b'0', "cut", b"2")]);
        let mut guest = guest();
        guest.unpack(&archive).expect("unpacked");
        assert_eq!(guest.read(&long).as_deref(), Some(&b"2"[..]), "{}", char::from(kind));
    }
}

#[test]
fn names_that_are_not_plain_are_refused() {
    for name in ["../x", "/etc/passwd", "a/../../x", "a//b", "a/./b", "a\\b", "a\u{1b}[2J", &"x".repeat(256)] {
        if name.len() <= 100 {
            let told = problem(&tar_of(&[(b'0', MAIN, b"1"), (b'0', name, b"2")]));
            assert!(told.contains("not a plain relative path"), "{name}: {told}");
        }
        let told = problem(&zip_of(&[(MAIN, b"1"), (name, b"2")], CompressionMethod::Stored));
        assert!(told.contains("not a plain relative path"), "{name}: {told}");
    }
}

#[test]
fn links_special_files_and_names_given_twice_are_refused() {
    for kind in *b"1234" {
        let told = problem(&tar_of(&[(b'0', MAIN, b"1"), (kind, "link", b"")]));
        assert!(told.contains("link or a special file"), "{}: {told}", char::from(kind));
    }
    let mut writer = ZipWriter::new(io::Cursor::new(Vec::new()));
    writer.add_symlink("link", "/etc/passwd", SimpleFileOptions::default()).expect("added");
    let told = problem(&writer.finish().expect("finished").into_inner());
    assert!(told.contains("link or a special file"), "{told}");
    let twice = [(b'0', MAIN, &b"1"[..]), (b'0', MAIN, b"2")];
    assert!(problem(&tar_of(&twice)).contains("two files"));
    let mut twice = zip_of(&[(MAIN, b"1"), ("__main__.pz", b"2")], CompressionMethod::Stored);
    while let Some(at) = twice.windows(11).position(|name| name == b"__main__.pz") {
        twice[at + 10] = b'y';
    }
    assert!(problem(&twice).contains("two files"), "{}", problem(&twice));
    let within = [(b'0', MAIN, &b"1"[..]), (b'0', "__main__.py/x", b"2")];
    assert!(problem(&tar_of(&within)).contains("a file where a folder is"));
}

/// A small archive cannot take more memory than the guest may have, whatever it says of itself.
#[test]
fn content_is_charged_before_it_is_unpacked() {
    let zeros = vec![0; 2 * 1024 * 1024];
    for archive in [zip_of(&[(MAIN, &zeros)], CompressionMethod::Deflated), tar_of(&[(b'0', MAIN, &zeros)])] {
        assert!(archive.len() < 10_000, "compressed to {}", archive.len());
        assert!(matches!(guest().unpack(&archive), Err(UnpackError::Memory)));
    }
    let many: Vec<String> = (0..MEMORY / FILE_BYTES + 1).map(|number| number.to_string()).collect();
    let entries: Vec<_> = many.iter().map(|name| (b'0', name.as_str(), &b""[..])).collect();
    assert!(matches!(guest().unpack(&tar_of(&entries)), Err(UnpackError::Memory)));
}

/// The list of a zip archive's files is not in the guest's memory, but in that of the process around it.
#[test]
fn an_archive_of_a_million_files_is_not_even_listed() {
    let count = 1_000_000;
    let entry = [&b"PK\x01\x02"[..], &[0; 24], &[1, 0], &[0; 16], b"x"].concat();
    assert_eq!(entry.len(), 47);
    let mut archive = zip_of(&[(MAIN, b"1")], CompressionMethod::Stored);
    archive.truncate(archive.windows(4).position(|magic| magic == b"PK\x01\x02").expect("a list"));
    let start = archive.len() as u64;
    archive.extend(entry.repeat(count));
    let end = archive.len() as u64;
    let number = |value: u64| value.to_le_bytes();
    // The end of the list, with 64 bits; where that is; and the end with 16 bits, which refers to it.
    archive.extend([&b"PK\x06\x06"[..], &number(44), &[45, 0, 45, 0], &[0; 8]].concat());
    archive.extend([number(count as u64), number(count as u64), number(end - start), number(start)].concat());
    archive.extend([&b"PK\x06\x07"[..], &[0; 4], &number(end), &[1, 0, 0, 0]].concat());
    archive.extend([&b"PK\x05\x06"[..], &[0; 4], &[255; 12], &[0; 2]].concat());
    let told = problem(&archive);
    assert!(told.contains("cannot be read"), "{told}");
}

/// Other programs see the files of every member of gzip.
#[test]
fn a_tar_archive_in_several_members_of_gzip_is_one() {
    let tar = |name: &str, ends: bool| {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut MultiGzDecoder::new(&tar_of(&[(b'0', name, b"1")])[..]), &mut bytes).expect("read");
        bytes.truncate(if ends { bytes.len() } else { 2 * BLOCK });
        compressed(&bytes)
    };
    let mut guest = guest();
    guest.unpack(&[tar(MAIN, false), tar("helper.py", true)].concat()).expect("unpacked");
    assert_eq!(guest.read("helper.py").as_deref(), Some(&b"1"[..]));
    let told = problem(&[tar(MAIN, false), b"not gzip, but more than a header".to_vec()].concat());
    assert!(told.contains("cannot be read"), "{told}");
}

#[test]
fn damaged_archives_are_refused_wherever_they_are_cut_or_changed() {
    let entries: [(&str, &[u8]); 2] = [(MAIN, &[1; 3000]), ("b", &[2; 3000])];
    let archives = [
        zip_of(&entries, CompressionMethod::Deflated),
        zip_of(&entries, CompressionMethod::Stored),
        tar_of(&entries.map(|(name, content)| (b'0', name, content))),
    ];
    for archive in archives {
        for length in (0..archive.len()).step_by(7) {
            // Cut after the last file, a tar archive may still be complete; nothing else may be.
            let whole = guest().unpack(&archive[..length]).is_ok();
            assert!(!whole || archive[0] == 0x1f, "unpacked {length} of {}", archive.len());
        }
        for at in 0..archive.len() {
            let mut changed = archive.clone();
            changed[at] ^= 0x41;
            // Refused or not, it must not panic, and the entry is there if it is not refused.
            let mut guest = guest();
            if guest.unpack(&changed).is_ok() {
                assert!(guest.read(MAIN).is_some(), "byte {at}");
            }
        }
    }
    assert!(problem(&compressed(b"not a tar archive at all")).contains("cannot be read"));
    assert!(problem(&compressed(&[1; BLOCK])).contains("damaged"));
}
