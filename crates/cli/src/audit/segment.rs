//! Archived records in a folder: files of consecutive records, one JSON object per line, named after their first and last record.

use super::{chain::Chain, each_of_file};
use crate::{
    exit::{Ended, FAILED, Usage},
    private_file,
};
use cloister_model::Sha256;
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

/// The most records of one file.
const MOST_RECORDS: u64 = 50_000;

/// Bytes of one file, about.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    first: u64,
    last: u64,
    path: PathBuf,
}

impl Segment {
    fn name(first: u64, last: u64) -> String {
        format!("audit-{first:020}-{last:020}.jsonl")
    }

    fn read(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (first, last) = name.strip_prefix("audit-")?.strip_suffix(".jsonl")?.split_once('-')?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (Self::name(first, last) == name).then_some(Self { first, last, path })
    }

    /// The files of a folder, in the order of their records.
    pub(super) fn all(folder: &Path) -> anyhow::Result<Vec<Self>> {
        let wrong = |error: io::Error| Usage::error(format!("`{}`: {error}", folder.display()));
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(wrong)? {
            found.extend(Self::read(entry.map_err(wrong)?.path()));
        }
        found.sort();
        Ok(found)
    }

    /// Adds its records to a chain: they have to be those that its name says.
    pub(super) fn add_to(&self, chain: &mut Chain) -> anyhow::Result<()> {
        let Self { first, last, path } = self;
        let broken =
            |problem: String| Ended::error(FAILED, format!("the archive `{}` was changed: {problem}", path.display()));
        if let Some((before, _)) = chain.last()
            && before + 1 != *first
        {
            let problem = match before.checked_add(1).filter(|next| next < first) {
                Some(next) => format!("the archive of records {next} to {} is missing", first - 1),
                None => format!("archives overlap: `{}` begins before another one ends", path.display()),
            };
            return Err(Ended::error(FAILED, problem));
        }
        let mut next = *first;
        each_of_file(path, &mut |record| {
            if record.sequence != next {
                return Err(broken(format!("record {next} is expected, and there is record {}", record.sequence)));
            }
            if record.sequence > *last {
                return Err(broken(format!("it goes on after record {last}")));
            }
            chain.add(&record).map_err(|error| broken(error.to_string()))?;
            next += 1;
            Ok(())
        })?;
        if Some(next) == last.checked_add(1) { Ok(()) } else { Err(broken(format!("it ends before record {next}"))) }
    }
}

/// A file that is being written. It has its name once it is whole and on the disk.
#[derive(Debug)]
pub(super) struct Draft {
    folder: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
    first: u64,
    last: (u64, Sha256),
    bytes: u64,
}

impl Draft {
    /// A file whose first record is this one.
    pub(super) fn begin(folder: &Path, (sequence, hash): (u64, Sha256)) -> io::Result<Self> {
        let path = folder.join(".audit.part");
        // What is there is left by a call that was cut off. A link in its place would lead elsewhere, and a file of another user
        // would be read by that user.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = private_file::options().write(true).create_new(true).open(&path)?;
        let (folder, file) = (folder.to_owned(), BufWriter::new(file));
        Ok(Self { folder, path, file, first: sequence, last: (sequence, hash), bytes: 0 })
    }

    /// Adds a record, as the service writes it.
    pub(super) fn add(&mut self, record: (u64, Sha256), value: &Value) -> io::Result<()> {
        let line = format!("{value}\n");
        self.file.write_all(line.as_bytes())?;
        self.bytes = self.bytes.saturating_add(line.len() as u64);
        self.last = record;
        Ok(())
    }

    pub(super) fn is_full(&self) -> bool {
        self.last.0 - self.first + 1 >= MOST_RECORDS || self.bytes >= MOST_BYTES
    }

    /// Puts the file in its place, for good, and returns its last record.
    pub(super) fn seal(self) -> io::Result<(u64, Sha256)> {
        let Self { folder, path, file, first, last, bytes: _ } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        drop(file);
        private_file::rename_for_good(&path, &folder.join(Segment::name(first, last.0)))?;
        Ok(last)
    }
}
