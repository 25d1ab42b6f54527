use super::{DbError, schema::PATIENCE};
use rusqlite::{Connection, OpenFlags};
use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The number of connections.
const READERS: usize = 4;

/// Connections that only read. The writer never blocks them (SQLite's write-ahead log).
#[derive(Debug)]
pub(super) struct Readers {
    connections: Vec<Mutex<Connection>>,
    turn: AtomicUsize,
}

impl Readers {
    pub(super) fn open(path: &Path) -> Result<Self, DbError> {
        let connect = || -> Result<Mutex<Connection>, DbError> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let db = Connection::open_with_flags(path, flags)?;
            db.busy_timeout(PATIENCE)?;
            db.execute_batch("PRAGMA trusted_schema=OFF; PRAGMA cache_size=-8000;")?;
            db.set_prepared_statement_cache_capacity(64);
            Ok(Mutex::new(db))
        };
        let connections = (0..READERS).map(|_| connect()).collect::<Result<_, _>>()?;
        Ok(Self { connections, turn: AtomicUsize::new(0) })
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, DbError>) -> Result<T, DbError> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        for turn in 0..READERS {
            if let Some(connection) = self.connections.get(first.wrapping_add(turn) % READERS)
                && let Ok(db) = connection.try_lock()
            {
                return read(&db);
            }
        }
        let Some(connection) = self.connections.get(first % READERS) else {
            return Err(DbError::Other("no connection to read with; this is a bug".to_owned()));
        };
        read(&connection.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
