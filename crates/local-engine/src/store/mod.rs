//! The state: one SQLite file, one thread that writes to it, a few connections that read.

mod anchor;
pub(crate) mod assets;
pub(crate) mod audit;
pub(crate) mod claims;
mod copies;
mod fault;
mod forms;
pub(crate) mod jobs;
pub(crate) mod keys;
mod migrate;
mod parsed;
mod readers;
pub(crate) mod receipts;
mod schema;
mod tally;
#[cfg(test)]
mod tests;
pub(crate) mod uploads;
mod writer;

pub use audit::read_audit;
pub(crate) use cloister_lifecycle::Durability;
pub(crate) use copies::{check_database, copy_database};
pub(crate) use fault::{DbError, Fail};
pub(crate) use jobs::Change;
pub use schema::DatabaseError;
pub(crate) use tally::Tally;
pub(crate) use writer::{OnCommit, Write};

use anchor::Anchor;
use cloister_model::{Asset, Did};
use parsed::ParsedAssets;
use readers::Readers;
use rusqlite::Connection;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};
use tokio::sync::{mpsc, oneshot};
use writer::{Call, MOST_WAITING, Request, State};

/// The database, open. Dropping it waits until everything is stored that was begun.
pub(crate) struct Store {
    path: PathBuf,
    requests: mpsc::Sender<Request>,
    writer: Option<JoinHandle<()>>,
    readers: Readers,
    /// For reads that take longer, so that short ones do not wait for them.
    long_readers: Arc<Readers>,
    parsed: ParsedAssets,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database, creates it if there is none, and starts its thread, which calls `on_commit` after every commit.
    pub(crate) fn open(path: &Path, on_commit: OnCommit) -> Result<Self, DatabaseError> {
        let db = schema::open(path)?;
        let unusable = |error: DbError| DatabaseError::Unusable { path: path.to_owned(), problem: error.to_string() };
        let state =
            State { tally: jobs::tally(&db).map_err(unusable)?, audit_head: audit::head(&db).map_err(unusable)? };
        let anchor = Anchor::open(path, &db)?;
        let readers = Readers::open(path).map_err(unusable)?;
        let long_readers = Arc::new(Readers::open(path).map_err(unusable)?);
        on_commit(&state.tally, Vec::new());
        let (requests, inbox) = mpsc::channel(MOST_WAITING);
        let writer = thread::Builder::new()
            .name("database".to_owned())
            .spawn(move || writer::write_on(&db, inbox, state, &on_commit, &anchor))
            .map_err(|error| unusable(DbError::Other(error.to_string())))?;
        let (path, writer) = (path.to_owned(), Some(writer));
        Ok(Self { path, requests, writer, readers, long_readers, parsed: ParsedAssets::default() })
    }

    /// Reads on the calling thread: only for reads that take microseconds.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, DbError>) -> Result<T, DbError> {
        self.readers.read(read)
    }

    /// The asset of this name.
    pub(crate) fn asset(&self, did: &Did) -> Result<Option<Asset>, DbError> {
        self.read(|db| assets::get_unless_parsed(db, did, &self.parsed))
    }

    /// Reads on a thread that may block: for reads that may take longer, such as a list.
    pub(crate) async fn read_long<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, DbError> {
        let readers = Arc::clone(&self.long_readers);
        let done = tokio::task::spawn_blocking(move || readers.read(read)).await;
        done.unwrap_or_else(|_| Err(DbError::Other("a read was cut off".to_owned())))
    }

    /// Runs an operation in the writer's next transaction. Done when it is committed; an operation that fails has changed
    /// nothing. Dropping the future does not undo it.
    pub(crate) async fn write<T, E, F>(&self, durability: Durability, operation: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: FnOnce(&mut Write<'_>) -> Result<T, Fail<E>> + Send + 'static,
    {
        let closed = || E::from(DbError::Ending);
        let (answer, answered) = oneshot::channel();
        let operation = Box::new(Call { operation: Some(operation), outcome: None, answer });
        self.requests.send(Request::Write { durability, operation }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Moves what SQLite's log holds into the database's file, so that the file alone is the whole database. For a clean
    /// shutdown; a log that stays is no harm.
    pub(crate) async fn checkpoint(&self) -> Result<(), DbError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(Request::Checkpoint(answer)).await.map_err(|_| DbError::Ending)?;
        answered.await.map_err(|_| DbError::Ending)?
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The thread ends when it has done what waits and no sender is left.
        self.requests = mpsc::channel(1).0;
        // An operation that was the last to hold this store drops it on that thread, which cannot wait for itself.
        if let Some(writer) = self.writer.take().filter(|writer| writer.thread().id() != thread::current().id()) {
            // What broke it was logged, and nobody is left to be told.
            let _ = writer.join();
        }
    }
}
