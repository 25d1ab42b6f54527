//! The last audit record that is stored for good, noted in a file of its own beside the database. If the database has lost it
//! (its write-ahead log was removed, an old copy was put back, records were cut off), the next start notices.
//!
//! The note is written after the record is on the disk, and is not flushed itself: after a power cut it may name an earlier
//! record, never one that the database lost. A process that can write the folder can also change the note. Against it helps only a
//! hash that is noted elsewhere.

use super::{DatabaseError, audit};
use cloister_model::Sha256;
use rusqlite::Connection;
use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// The note: a number of 20 digits, a hash, a line feed.
#[derive(Debug)]
pub(super) struct Anchor {
    file: File,
}

impl Anchor {
    /// Opens the note of a database, and checks the database against it.
    pub(super) fn open(database: &Path, db: &Connection) -> Result<Self, DatabaseError> {
        let path = path(database);
        let unusable = |error: io::Error| DatabaseError::Unusable { path: path.clone(), problem: error.to_string() };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(unusable)?;
        let mut text = String::new();
        // What is not a note is replaced.
        let _ = (&mut file).take(128).read_to_string(&mut text);
        if let Some((sequence, hash)) = parse(&text) {
            let read = |error| DatabaseError::new(database, error);
            let found = audit::one(db, sequence).map_err(read)?.map(|record| record.hash);
            // A note that was not flushed may name a record that was archived since.
            let is_archived = sequence <= audit::archived_through(db).map_err(read)?;
            if found != Some(hash) && !is_archived {
                return Err(DatabaseError::Shortened { path: database.to_owned(), sequence, note: path });
            }
        }
        Ok(Self { file })
    }

    /// Notes the last record.
    pub(super) fn note(&self, (sequence, hash): (u64, Sha256)) {
        let written = self.file.write_all_at(format!("{sequence:020} {hash}\n").as_bytes(), 0);
        if let Err(error) = written {
            // It names an earlier record then.
            tracing::debug!(%error, "the last audit record is not noted");
        }
    }
}

fn path(database: &Path) -> PathBuf {
    database.with_extension("audit-head")
}

fn parse(text: &str) -> Option<(u64, Sha256)> {
    let (sequence, hash) = text.strip_suffix('\n')?.split_once(' ')?;
    Some((sequence.parse().ok()?, hash.parse().ok()?))
}
