//! The database's file: created whole or not at all, brought up to date, and not touched if it is not ours.

use super::{
    DbError,
    migrate::{MIGRATIONS, migrate, tables},
};
use rusqlite::{Connection, OpenFlags};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// `Cloi` in ASCII: marks the file as this program's.
const APPLICATION_ID: i32 = 0x436c_6f69;

/// How long to wait for a lock of another program before giving up.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Why a database cannot be used. Its file was not touched.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It belongs to another program, or is not a database.
    #[error("`{0}` is not a database of Cloister; move it away, or give another --home")]
    Foreign(PathBuf),
    /// A later version of Cloister wrote it.
    #[error(
        "`{path}` was written by a newer Cloister (version {found}; this one knows {known}); run that one, or restore a \
         backup"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The last that this program knows.
        known: usize,
    },
    /// It was truncated, overwritten, or changed by another program.
    #[error("`{path}` is damaged ({problem}); restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It lacks an audit record that was stored for good.
    #[error(
        "`{path}` has lost audit record {sequence} and what came after it: the write-ahead log beside it was removed, an \
         older copy was put back, or records were cut off. Restore the folder from a backup. To go on without what is lost, \
         remove `{note}`"
    )]
    Shortened {
        /// The file.
        path: PathBuf,
        /// The record.
        sequence: u64,
        /// The file that names the record.
        note: PathBuf,
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
    pub(super) fn new(path: &Path, error: DbError) -> Self {
        let path = path.to_owned();
        match error {
            DbError::Damaged(problem) => Self::Damaged { path, problem },
            DbError::Locked => Self::Locked(path),
            other @ (DbError::Full | DbError::Disk(_) | DbError::Ending | DbError::Other(_)) => {
                Self::Unusable { path, problem: other.to_string() }
            }
        }
    }
}

/// Checks that the file is a database of ours that this program can read. Changes nothing.
pub(super) fn check(path: &Path) -> Result<(), DatabaseError> {
    inspect_header(path)?;
    inspect(path)
}

/// Opens the database for writing, and creates it if there is none.
pub(super) fn open(path: &Path) -> Result<Connection, DatabaseError> {
    let unusable = |error: io::Error| DatabaseError::Unusable { path: path.to_owned(), problem: error.to_string() };
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > 0 => {
            inspect_header(path)?;
            inspect(path)?;
        }
        Ok(_) => create(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
        Err(error) => return Err(unusable(error)),
    }
    prepare(path).map_err(|error| DatabaseError::new(path, error))
}

/// The connection that writes.
fn prepare(path: &Path) -> Result<Connection, DbError> {
    let mut db =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(PATIENCE)?;
    db.execute_batch("PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA journal_mode=WAL;")?;
    // The size to which SQLite truncates its log after a busy hour.
    db.execute_batch("PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-16000;")?;
    // Every operation has a savepoint, for which SQLite copies each page that it changes: into a file, if there are more than 15.
    db.execute_batch("PRAGMA temp_store=MEMORY;")?;
    // Pages of the log that are written into the file at once. Many commits change the same pages.
    db.execute_batch("PRAGMA wal_autocheckpoint=4000;")?;
    db.set_prepared_statement_cache_capacity(128);
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: usize = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    migrate(&transaction, version)?;
    transaction.commit()?;
    Ok(db)
}

/// Creates a database beside the path and renames it: a reader sees none, or a whole one.
fn create(path: &Path) -> Result<(), DatabaseError> {
    let unusable = |error: io::Error| DatabaseError::Unusable { path: path.to_owned(), problem: error.to_string() };
    let draft = path.with_extension("db.new");
    for leftover in [draft.clone(), path.with_extension("db.new-journal")] {
        match fs::remove_file(&leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(error)),
            _ => {}
        }
    }
    let fill = || -> Result<(), DbError> {
        let mut db = Connection::open(&draft)?;
        db.execute_batch("PRAGMA synchronous=FULL;")?;
        let transaction = db.transaction()?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        migrate(&transaction, 0)?;
        transaction.commit()?;
        db.close().map_err(|(_, error)| error)?;
        Ok(())
    };
    fill().map_err(|error| DatabaseError::new(path, error))?;
    fs::rename(&draft, path).map_err(unusable)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(unusable)
}

/// Checks the first bytes of the file (<https://sqlite.org/fileformat.html>, section 1.3). By hand, because SQLite would
/// replay a log into a file before it could be asked whether the file is ours.
fn inspect_header(path: &Path) -> Result<(), DatabaseError> {
    let damaged = |problem: &str| DatabaseError::Damaged { path: path.to_owned(), problem: problem.to_owned() };
    let mut header = [0; 100];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header).map(|()| file));
    let file = match read {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(DatabaseError::Foreign(path.to_owned()));
        }
        Err(error) => return Err(DatabaseError::Unusable { path: path.to_owned(), problem: error.to_string() }),
    };
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if &header[..16] != b"SQLite format 3\0" || number(68) != APPLICATION_ID.cast_unsigned() {
        return Err(DatabaseError::Foreign(path.to_owned()));
    }
    check_version(path, i64::from(number(60)))?;
    let page_bytes = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65536,
        bytes => u64::from(bytes),
    };
    // SQLite completes the file from a log beside it.
    let log = fs::metadata(path.with_extension("db-wal")).is_ok_and(|metadata| metadata.len() > 0);
    // Last: a service that works on the file meanwhile moves its log into it, and the file grows.
    let bytes = file.metadata().map_or(u64::MAX, |metadata| metadata.len());
    if !log && number(24) == number(92) && bytes < page_bytes * u64::from(number(28)) {
        return Err(damaged("the file is shorter than it says"));
    }
    Ok(())
}

/// Checks what SQLite reads from the file, through a connection that cannot write.
fn inspect(path: &Path) -> Result<(), DatabaseError> {
    let look = || -> Result<(i32, i64, Vec<String>), DbError> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        db.busy_timeout(PATIENCE)?;
        let application = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        let version = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let mut tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
        let tables = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok((application, version, tables))
    };
    let (application, version, found) = look().map_err(|error| DatabaseError::new(path, error))?;
    if application != APPLICATION_ID {
        return Err(DatabaseError::Foreign(path.to_owned()));
    }
    let version = check_version(path, version)?;
    match tables(version).into_iter().find(|table| !found.iter().any(|found| found == table)) {
        None => Ok(()),
        Some(table) => {
            Err(DatabaseError::Damaged { path: path.to_owned(), problem: format!("the table `{table}` is missing") })
        }
    }
}

fn check_version(path: &Path, found: i64) -> Result<usize, DatabaseError> {
    let known = MIGRATIONS.len();
    let version = usize::try_from(found).ok().filter(|version| *version <= known);
    version.ok_or_else(|| DatabaseError::Newer { path: path.to_owned(), found, known })
}
