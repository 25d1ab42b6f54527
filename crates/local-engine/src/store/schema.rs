//! The database's file: made whole or not at all, brought up to date, and left alone if it is not ours.

use super::Db;
use rusqlite::{Connection, OpenFlags};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// `Cloi` in ASCII: marks the file as this program's.
const APPLICATION_ID: i32 = 0x436c_6f69;

/// What brings a database from each version to the next; the version is how many of them it has had.
const MIGRATIONS: [&str; 1] = [include_str!("version1.sql")];

/// How long to wait for a lock of another program before saying so.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Why a database is not used. Its file was not touched.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Another program's, or no database.
    #[error("`{0}` is not a database of Cloister; move it away, or give another --home")]
    Foreign(PathBuf),
    /// Of a later Cloister.
    #[error(
        "`{path}` is of a newer Cloister (version {found}; this one knows {known}); use that one, or restore a backup"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The last that this program knows.
        known: usize,
    },
    /// Truncated, overwritten, or otherwise not what was written.
    #[error("`{path}` is damaged ({problem}); restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// In use.
    #[error("`{0}` is locked by another program; end it and start again")]
    Locked(PathBuf),
    /// The disk, or rights.
    #[error("`{path}` cannot be opened: {problem}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl DatabaseError {
    pub(super) fn new(path: &Path, error: Db) -> Self {
        let path = path.to_owned();
        match error {
            Db::Damaged(problem) => Self::Damaged { path, problem },
            Db::Locked => Self::Locked(path),
            other @ (Db::Full | Db::Other(_)) => Self::Unusable { path, problem: other.to_string() },
        }
    }
}

/// Whether the file is a database of ours that this program can read. Changes nothing.
pub(super) fn check(path: &Path) -> Result<(), DatabaseError> {
    let unusable = |error: io::Error| DatabaseError::Unusable { path: path.to_owned(), problem: error.to_string() };
    inspect_header(path, fs::metadata(path).map_err(unusable)?.len())?;
    inspect(path)
}

/// Opens the database for writing, made first if there is none.
pub(super) fn open(path: &Path) -> Result<Connection, DatabaseError> {
    let unusable = |error: io::Error| DatabaseError::Unusable { path: path.to_owned(), problem: error.to_string() };
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > 0 => {
            inspect_header(path, metadata.len())?;
            inspect(path)?;
        }
        Ok(_) => make(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?,
        Err(error) => return Err(unusable(error)),
    }
    prepare(path).map_err(|error| DatabaseError::new(path, error))
}

/// The connection that writes.
fn prepare(path: &Path) -> Result<Connection, Db> {
    let mut db =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(PATIENCE)?;
    db.execute_batch("PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA journal_mode=WAL;")?;
    // So much of the log stays on the disk after a busy hour.
    db.execute_batch("PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-16000;")?;
    db.set_prepared_statement_cache_capacity(128);
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: usize = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for migration in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(migration)?;
    }
    if version < MIGRATIONS.len() {
        transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    }
    transaction.commit()?;
    Ok(db)
}

/// Makes a database beside the path and moves it there: whoever looks sees none, or a whole one.
fn make(path: &Path) -> Result<(), DatabaseError> {
    let unusable = |error: io::Error| DatabaseError::Unusable { path: path.to_owned(), problem: error.to_string() };
    let draft = path.with_extension("db.new");
    for leftover in [draft.clone(), path.with_extension("db.new-journal")] {
        match fs::remove_file(&leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(error)),
            _ => {}
        }
    }
    let fill = || -> Result<(), Db> {
        let mut db = Connection::open(&draft)?;
        db.execute_batch("PRAGMA synchronous=FULL;")?;
        let transaction = db.transaction()?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        MIGRATIONS.iter().try_for_each(|migration| transaction.execute_batch(migration))?;
        transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
        transaction.commit()?;
        db.close().map_err(|(_, error)| error)?;
        Ok(())
    };
    fill().map_err(|error| DatabaseError::new(path, error))?;
    fs::rename(&draft, path).map_err(unusable)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(unusable)
}

/// What the first bytes say (<https://sqlite.org/fileformat.html>, section 1.3), before SQLite touches anything.
fn inspect_header(path: &Path, bytes: u64) -> Result<(), DatabaseError> {
    let damaged = |problem: &str| DatabaseError::Damaged { path: path.to_owned(), problem: problem.to_owned() };
    let mut header = [0; 100];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    match read {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(DatabaseError::Foreign(path.to_owned()));
        }
        Err(error) => return Err(DatabaseError::Unusable { path: path.to_owned(), problem: error.to_string() }),
    }
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if &header[..16] != b"SQLite format 3\0" || number(68) != APPLICATION_ID.cast_unsigned() {
        return Err(DatabaseError::Foreign(path.to_owned()));
    }
    check_version(path, i64::from(number(60)))?;
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65536,
        bytes => u64::from(bytes),
    };
    // With a log beside it, SQLite completes the file from there.
    let log = fs::metadata(path.with_extension("db-wal")).is_ok_and(|metadata| metadata.len() > 0);
    if !log && number(24) == number(92) && bytes < page_bytes * u64::from(number(28)) {
        return Err(damaged("the file is shorter than it says"));
    }
    Ok(())
}

/// What SQLite says, through a connection that cannot write.
fn inspect(path: &Path) -> Result<(), DatabaseError> {
    let look = || -> Result<(i32, i64, Vec<String>), Db> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        db.busy_timeout(PATIENCE)?;
        let application = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        let version = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let mut tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
        let tables = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok((application, version, tables))
    };
    let (application, version, tables) = look().map_err(|error| DatabaseError::new(path, error))?;
    if application != APPLICATION_ID {
        return Err(DatabaseError::Foreign(path.to_owned()));
    }
    check_version(path, version)?;
    match TABLES.iter().find(|table| !tables.iter().any(|found| found == *table)) {
        None => Ok(()),
        Some(table) => {
            Err(DatabaseError::Damaged { path: path.to_owned(), problem: format!("the table `{table}` is missing") })
        }
    }
}

fn check_version(path: &Path, found: i64) -> Result<(), DatabaseError> {
    if usize::try_from(found).is_ok_and(|version| version <= MIGRATIONS.len()) {
        return Ok(());
    }
    Err(DatabaseError::Newer { path: path.to_owned(), found, known: MIGRATIONS.len() })
}

/// The tables that every version has.
const TABLES: [&str; 14] = [
    "job", "spec", "label", "outgoing", "result", "report", "kept", "gone", "asset", "key", "nonce", "upload",
    "touched", "audit",
];
