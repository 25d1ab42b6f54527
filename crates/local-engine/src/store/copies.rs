//! Copies of the database: of one moment, while it is written.

use super::{DatabaseError, DbError, schema};
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};
use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Between two attempts at a database that is locked.
const PAUSE: Duration = Duration::from_millis(50);

/// Copies the database to an empty file, in one piece: what is written meanwhile is not in the copy, and waits for nothing. The copy
/// has no log beside it.
///
/// # Errors
/// If it is not a database of ours that this program can read, or it is damaged.
pub(crate) fn copy_database(from: &Path, to: &Path) -> Result<(), DatabaseError> {
    schema::check(from)?;
    let copy = || -> Result<(), DbError> {
        let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        source.busy_timeout(schema::PATIENCE)?;
        let mut copy = Connection::open(to)?;
        {
            let backup = Backup::new(&source, &mut copy)?;
            let since = Instant::now();
            // All pages in one step: with several, each write of the service would begin the copy anew.
            loop {
                match backup.step(-1)? {
                    StepResult::Done => break,
                    _ if since.elapsed() > schema::PATIENCE => return Err(DbError::Locked),
                    _ => thread::sleep(PAUSE),
                }
            }
        }
        copy.execute_batch("PRAGMA journal_mode=DELETE;")?;
        copy.close().map_err(|(_, error)| error)?;
        Ok(())
    };
    copy().map_err(|error| DatabaseError::new(from, error))?;
    check_database(to)
}

/// Checks that a file is a database of ours that this program can read, and that it is whole.
///
/// # Errors
/// If it is not.
pub(crate) fn check_database(path: &Path) -> Result<(), DatabaseError> {
    schema::check(path)?;
    let check = || -> Result<(), DbError> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let found: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(DbError::Damaged(found)) }
    };
    check().map_err(|error| DatabaseError::new(path, error))
}
