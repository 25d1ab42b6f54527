//! Unpacking archives into the guest's tree: an author's folder of files, and the data of an interpreter's packages.
//!
//! An author's archive comes from a stranger. It is only read here: in the guest's process, behind all walls, and its
//! content is charged to the guest's memory before it is unpacked. What this code does not understand is refused.

use crate::{
    account::Account,
    fs::{Content, FileSystem, PlaceError},
};
use flate2::read::MultiGzDecoder;
use std::{
    cell::Cell,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt as _,
    rc::Rc,
    sync::Arc,
};
use zip::{CompressionMethod, ZipArchive};

/// The most files in an archive.
const MAX_FILES: usize = 10_000;
/// The longest path in an archive, in bytes.
const MAX_PATH_BYTES: usize = 512;
/// The most directories in a path.
const MAX_DEPTH: usize = 32;
/// The bytes charged for a file in addition to its content: a generous bound for the record and its name.
const FILE_BYTES: u64 = 1024;
/// The most bytes of a zip archive that are read to list its files. The list is in this process's own memory, where each file takes
/// several times the bytes of its entry.
const MAX_LIST_BYTES: u64 = 8 * 1024 * 1024;
/// The size of a block of a tar archive.
const BLOCK: usize = 512;
/// The most bytes of a tar archive's long names and extended headers, each.
const MAX_HEADER_BYTES: u64 = 64 * 1024;

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// What is wrong with it.
    #[error("{0}")]
    Bad(String),
    /// Its content is more than the guest's memory. The account has the denial.
    #[error("more than the memory limit")]
    Memory,
}

/// Whether a file begins as an archive does that can be unpacked: zip, or tar compressed with gzip.
pub(crate) fn is_archive(file: &File) -> bool {
    kind(file).is_some()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Zip,
    TarGz,
}

fn kind(file: &File) -> Option<Kind> {
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic, 0).ok()?;
    match magic {
        [b'P', b'K', 3, 4] => Some(Kind::Zip),
        [0x1f, 0x8b, 8, _] => Some(Kind::TarGz),
        _ => None,
    }
}

/// A file of an archive.
#[derive(Debug)]
struct Member {
    path: String,
    content: Content,
    size: u64,
}

/// Unpacks an archive below `root`, a directory from the guest's root. If everything is in one folder, as in what source
/// forges offer, the folder is left out. If there are `entries`, one of these files must be at the top.
///
/// # Errors
/// If it is not an archive, is damaged, holds anything but files and folders with plain names, holds none of the `entries`, or is
/// more than the memory limit.
pub(crate) fn unpack(
    archive: &File,
    root: &str,
    entries: &[String],
    files: &mut FileSystem,
    account: &Account,
) -> Result<(), UnpackError> {
    let mut members = match kind(archive) {
        Some(Kind::Zip) => zip(archive, account)?,
        Some(Kind::TarGz) => tar(MultiGzDecoder::new(Positioned::new(archive, u64::MAX)?), account)?,
        None => return Err(bad("not an archive")),
    };
    if !entries.is_empty() {
        leave_out_folder(&mut members, entries);
        if !members.iter().any(|member| entries.contains(&member.path)) {
            return Err(bad(match entries {
                [entry] => format!("it has no `{entry}` at its top, which is what runs"),
                several => format!("nothing says what runs: it has none of `{}` at its top", several.join("`, `")),
            }));
        }
    }
    for Member { path, content, size } in members {
        files.add(&format!("{root}/{path}"), content, size).map_err(|error| match error {
            PlaceError::Taken(_) => bad(format!("two files for `{path}`, or a file where a folder is")),
            PlaceError::Host { error, .. } => unreadable(error),
        })?;
    }
    Ok(())
}

/// A file with a position of its own. The descriptor's position belongs to the supervisor as well, which reads the same file at
/// the same time.
#[derive(Debug)]
struct Positioned {
    file: Arc<File>,
    length: u64,
    position: u64,
    /// How many bytes may still be read.
    left: Rc<Cell<u64>>,
}

impl Positioned {
    fn new(file: &File, left: u64) -> Result<Self, UnpackError> {
        let length = file.metadata().map_err(unreadable)?.len();
        let file = Arc::new(file.try_clone().map_err(unreadable)?);
        Ok(Self { file, length, position: 0, left: Rc::new(Cell::new(left)) })
    }
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other("the list of its files is too long"));
        }
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.file.read_at(&mut buffer[..most], self.position)?;
        self.position += read as u64;
        self.left.set(left - read as u64);
        Ok(read)
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Leaves out the folder that everything is in, if one of the entries is in it.
fn leave_out_folder(members: &mut [Member], entries: &[String]) {
    let Some((folder, _)) = members.first().and_then(|member| member.path.split_once('/')) else { return };
    let folder = format!("{folder}/");
    if members.iter().all(|member| member.path.starts_with(&folder))
        && members
            .iter()
            .filter_map(|member| member.path.strip_prefix(&folder))
            .any(|name| entries.iter().any(|entry| entry == name))
    {
        for member in members {
            member.path.drain(..folder.len());
        }
    }
}

fn bad(problem: impl Into<String>) -> UnpackError {
    UnpackError::Bad(problem.into())
}

fn unreadable(error: impl std::fmt::Display) -> UnpackError {
    bad(format!("it cannot be read: {error}"))
}

/// Refuses paths that are not plain, as this host names files: relative, with `/`, without `..` and control characters.
fn check_path(path: &str) -> Result<(), UnpackError> {
    let segments: Vec<&str> = path.split('/').collect();
    let plain = |segment: &&str| !matches!(*segment, "" | "." | "..") && segment.len() <= 255;
    let is_plain = segments.iter().all(plain)
        && path.len() <= MAX_PATH_BYTES
        && segments.len() <= MAX_DEPTH
        && !path.chars().any(|letter| letter.is_control() || letter == '\\');
    if is_plain {
        Ok(())
    } else {
        Err(bad(format!("a file has the name `{path}`, which is not a plain relative path")))
    }
}

fn charge(account: &Account, members: usize, bytes: u64) -> Result<(), UnpackError> {
    if members >= MAX_FILES {
        return Err(bad(format!("it holds more than {MAX_FILES} files")));
    }
    account.take_memory(bytes.saturating_add(FILE_BYTES)).map_err(|_| UnpackError::Memory)
}

/// Exactly `size` bytes, which have been charged. Grows with what is there, so that a wrong size costs nothing.
fn exactly(source: &mut impl Read, size: u64) -> Result<Arc<[u8]>, UnpackError> {
    let mut bytes = Vec::new();
    source.take(size).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 == size { Ok(bytes.into()) } else { Err(bad("a file in it is shorter than it says")) }
}

fn zip(archive: &File, account: &Account) -> Result<Vec<Member>, UnpackError> {
    let source = Positioned::new(archive, MAX_LIST_BYTES)?;
    let (file, length, left) = (Arc::clone(&source.file), source.length, Rc::clone(&source.left));
    let mut archive = ZipArchive::new(source).map_err(unreadable)?;
    if archive.len() > 2 * MAX_FILES {
        return Err(bad(format!("it holds more than {MAX_FILES} files")));
    }
    // The library keeps one of them. Another program may show the other.
    if archive.has_duplicate_names() {
        return Err(bad("two files in it have one name"));
    }
    left.set(u64::MAX);
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).map_err(unreadable)?;
        let path = member.name().map_err(unreadable)?.into_owned();
        if member.is_dir() {
            check_path(path.trim_end_matches('/'))?;
            continue;
        }
        check_path(&path)?;
        // The upper half of the mode says what it is: nothing, or a regular file.
        if member.unix_mode().is_some_and(|mode| !matches!(mode & 0o170_000, 0 | 0o100_000)) {
            return Err(bad(format!("`{path}` is a link or a special file")));
        }
        let size = member.size();
        let stored = member.compression() == CompressionMethod::Stored && !member.encrypted();
        let content = match member.data_start().filter(|_| stored) {
            // Not copied: the guest reads it where it is.
            Some(start) => {
                charge(account, members.len(), 0)?;
                if start.checked_add(size).is_none_or(|end| end > length) {
                    return Err(bad("a file in it is shorter than it says"));
                }
                Content::Range { file: Arc::clone(&file), start, length: size }
            }
            None => {
                charge(account, members.len(), size)?;
                Content::Memory(exactly(&mut member, size)?)
            }
        };
        members.push(Member { path, content, size });
    }
    Ok(members)
}

/// Reads a tar archive: the old form, ustar, and the long names of GNU and POSIX.
fn tar(mut source: impl Read, account: &Account) -> Result<Vec<Member>, UnpackError> {
    let mut members: Vec<Member> = Vec::new();
    let mut long_name = None;
    let mut headers = 0;
    loop {
        let mut header = [0; BLOCK];
        if let Err(error) = source.read_exact(&mut header) {
            // Some programs leave out the empty blocks at the end.
            let at_end = error.kind() == std::io::ErrorKind::UnexpectedEof && !members.is_empty();
            return if at_end { Ok(members) } else { Err(unreadable(error)) };
        }
        if header.iter().all(|byte| *byte == 0) {
            return Ok(members);
        }
        headers += 1;
        if headers > 3 * MAX_FILES {
            return Err(bad(format!("it holds more than {MAX_FILES} files")));
        }
        check_sum(&header)?;
        let size = octal(&header[124..136])?;
        let small = |size: u64| if size > MAX_HEADER_BYTES { Err(bad("a header in it is too long")) } else { Ok(()) };
        match header[156] {
            b'0' | 0 => {
                let path = long_name.take().map_or_else(|| header_path(&header), Ok)?;
                let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
                check_path(&path)?;
                charge(account, members.len(), size)?;
                let content = Content::Memory(exactly(&mut source, size)?);
                members.push(Member { path, content, size });
            }
            b'5' => {
                let path = long_name.take().map_or_else(|| header_path(&header), Ok)?;
                let path = path.trim_start_matches("./").trim_end_matches('/');
                if !matches!(path, "" | ".") {
                    check_path(path)?;
                }
                exactly(&mut source, 0)?;
            }
            // GNU: the name of the next file.
            b'L' => {
                small(size)?;
                let bytes = exactly(&mut source, size)?;
                long_name = Some(text(bytes.split(|byte| *byte == 0).next().unwrap_or_default())?);
            }
            // POSIX: records about the next file, or about all.
            b'x' => {
                small(size)?;
                if let Some(path) = record(&exactly(&mut source, size)?, "path")? {
                    long_name = Some(path);
                }
            }
            b'g' => {
                small(size)?;
                exactly(&mut source, size)?;
            }
            _ => return Err(bad(format!("`{}` is a link or a special file", header_path(&header)?))),
        }
        // Contents are padded to whole blocks. A folder has none, whatever its size says.
        if header[156] != b'5' {
            let padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
            exactly(&mut source, padding)?;
        }
    }
}

fn text(bytes: &[u8]) -> Result<String, UnpackError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| bad("a name in it is not UTF-8"))
}

/// The path in a header: a name, and in ustar a prefix.
fn header_path(header: &[u8; BLOCK]) -> Result<String, UnpackError> {
    let field = |range: std::ops::Range<usize>| text(header[range].split(|byte| *byte == 0).next().unwrap_or_default());
    let name = field(0..100)?;
    // GNU's own form has other fields in the place of the prefix.
    let prefix = if header[257..263] == *b"ustar\0" { field(345..500)? } else { String::new() };
    Ok(if prefix.is_empty() { name } else { format!("{prefix}/{name}") })
}

fn octal(field: &[u8]) -> Result<u64, UnpackError> {
    let digits = text(field)?;
    let digits = digits.trim_matches(|letter| matches!(letter, ' ' | '\0'));
    if digits.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(digits, 8).map_err(|_| bad("a number in it is damaged"))
}

fn check_sum(header: &[u8; BLOCK]) -> Result<(), UnpackError> {
    let own = |index: usize| (148..156).contains(&index);
    let sum = header.iter().enumerate().map(|(at, byte)| if own(at) { 32 } else { u64::from(*byte) }).sum::<u64>();
    if sum == octal(&header[148..156])? { Ok(()) } else { Err(bad("not a tar archive, or damaged")) }
}

/// A record of an extended header: `LENGTH KEY=VALUE\n`.
fn record(mut bytes: &[u8], key: &str) -> Result<Option<String>, UnpackError> {
    let damaged = || bad("an extended header in it is damaged");
    let mut found = None;
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or_else(damaged)?;
        let length: usize = text(&bytes[..space])?.parse().map_err(|_| damaged())?;
        let line = bytes.get(space + 1..length).and_then(|line| line.strip_suffix(b"\n")).ok_or_else(damaged)?;
        bytes = &bytes[length..];
        if let Some(value) = line.strip_prefix(key.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) {
            found = Some(text(value)?);
        }
        // It would change how many bytes follow.
        if line.starts_with(b"size=") {
            return Err(bad("a file in it is too large"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
