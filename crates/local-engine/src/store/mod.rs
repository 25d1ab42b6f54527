//! The state: one SQLite file, one thread that writes to it, a few connections that read.

pub(crate) mod assets;
pub(crate) mod audit;
mod fault;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod nonces;
mod readers;
mod schema;
mod tally;
#[cfg(test)]
mod tests;
pub(crate) mod uploads;
mod writer;

pub use audit::read_audit;
pub(crate) use fault::{Db, Fail};
pub(crate) use jobs::Change;
pub use schema::DatabaseError;
pub(crate) use tally::Tally;
pub(crate) use writer::{Durability, OnCommit, Write};

use readers::Readers;
use rusqlite::Connection;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::{mpsc, oneshot};
use writer::{Call, MOST_WAITING, Request, State};

/// The database, open.
pub(crate) struct Store {
    path: PathBuf,
    requests: mpsc::Sender<Request>,
    readers: Readers,
    /// For what takes longer, so that nobody else waits for it.
    long_readers: Arc<Readers>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database, makes it if there is none, and starts its thread. `told` hears of every commit.
    pub(crate) fn open(path: &Path, told: OnCommit) -> Result<Self, DatabaseError> {
        let db = schema::open(path)?;
        let unusable = |error: Db| DatabaseError::Unusable { path: path.to_owned(), problem: error.to_string() };
        let state =
            State { tally: jobs::tally(&db).map_err(unusable)?, audit_head: audit::head(&db).map_err(unusable)? };
        let readers = Readers::open(path).map_err(unusable)?;
        let long_readers = Arc::new(Readers::open(path).map_err(unusable)?);
        told(&state.tally, Vec::new());
        let (requests, inbox) = mpsc::channel(MOST_WAITING);
        std::thread::Builder::new()
            .name("database".to_owned())
            .spawn(move || writer::write_on(&db, inbox, state, &told))
            .map_err(|error| unusable(Db::Other(error.to_string())))?;
        Ok(Self { path: path.to_owned(), requests, readers, long_readers })
    }

    /// Reads. Only what takes microseconds: it runs where it is asked for.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Db>) -> Result<T, Db> {
        self.readers.read(read)
    }

    /// Reads what may take longer, such as a list, on a thread that may wait.
    pub(crate) async fn read_long<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Db> + Send + 'static,
    ) -> Result<T, Db> {
        let readers = Arc::clone(&self.long_readers);
        let done = tokio::task::spawn_blocking(move || readers.read(read)).await;
        done.unwrap_or_else(|_| Err(Db::Other("a read was cut off".to_owned())))
    }

    /// Runs an operation in the writer's next transaction. Done when it is committed; an operation that fails has changed
    /// nothing. Dropping the future does not take it back.
    pub(crate) async fn write<T, E, F>(&self, durability: Durability, operation: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Db> + Send + 'static,
        F: FnOnce(&mut Write<'_>) -> Result<T, Fail<E>> + Send + 'static,
    {
        let closed = || E::from(Db::Other("the service is ending".to_owned()));
        let (answer, answered) = oneshot::channel();
        let operation = Box::new(Call { operation: Some(operation), said: None, answer });
        self.requests.send(Request { durability, operation }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}
