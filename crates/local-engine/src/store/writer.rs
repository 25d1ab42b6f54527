//! The one thread that writes. It takes every operation that waits, runs each in a savepoint of one transaction, commits
//! once, and answers all: many callers share one flush of the disk.

use super::{Change, Db, Fail, Tally};
use cloister_model::Sha256;
use rusqlite::Connection;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use tokio::sync::{mpsc, oneshot};

/// The most operations of one transaction.
const MOST_AT_ONCE: usize = 256;
/// The most operations that wait; whoever comes then waits for room.
pub(super) const MOST_WAITING: usize = 1024;

/// Whether an operation's answer is a promise that outlives a power cut. One that is not outlives the program all the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It does.
    Disk,
    /// It need not.
    Process,
}

/// What an operation works on.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    pub(crate) db: &'a Connection,
    /// How many jobs are in each phase. Rolled back with the operation.
    pub(crate) tally: &'a mut Tally,
    /// The last record of the audit log.
    pub(crate) audit_head: &'a mut Option<(u64, Sha256)>,
    /// What followers, scheduler and counters are told once it is committed.
    pub(crate) changes: &'a mut Vec<Change>,
}

/// What is told of every commit, in the order of commits, before anybody is answered.
pub(crate) type OnCommit = Arc<dyn Fn(&Tally, Vec<Change>) + Send + Sync>;

pub(super) trait Operation: Send {
    fn run(&mut self, write: &mut Write<'_>) -> bool;
    fn answer(self: Box<Self>, committed: Result<(), Db>);
}

pub(super) struct Request {
    pub(super) durability: Durability,
    pub(super) operation: Box<dyn Operation>,
}

/// An operation with its way back.
pub(super) struct Call<T, E, F> {
    pub(super) operation: Option<F>,
    pub(super) said: Option<Result<T, Fail<E>>>,
    pub(super) answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Operation for Call<T, E, F>
where
    T: Send,
    E: From<Db> + Send,
    F: FnOnce(&mut Write<'_>) -> Result<T, Fail<E>> + Send,
{
    fn run(&mut self, write: &mut Write<'_>) -> bool {
        let Some(operation) = self.operation.take() else { return false };
        let said = catch_unwind(AssertUnwindSafe(|| operation(write)))
            .unwrap_or_else(|_| Err(Fail::Db(Db::Other("an operation failed; this is a bug".to_owned()))));
        let ok = said.is_ok();
        self.said = Some(said);
        ok
    }

    fn answer(self: Box<Self>, committed: Result<(), Db>) {
        let answer = match (self.said, committed) {
            (Some(Err(said)), _) => Err(said.into_said()),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(Db::Other("an operation was not run; this is a bug".to_owned()).into()),
        };
        // Whoever asked may have gone.
        let _ = self.answer.send(answer);
    }
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) tally: Tally,
    pub(super) audit_head: Option<(u64, Sha256)>,
}

/// Works until nobody can ask any more.
pub(super) fn write_on(db: &Connection, mut requests: mpsc::Receiver<Request>, mut state: State, told: &OnCommit) {
    let mut durability = None;
    while let Some(first) = requests.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < MOST_AT_ONCE
            && let Ok(next) = requests.try_recv()
        {
            batch.push(next);
        }
        let wanted = match batch.iter().any(|request| request.durability == Durability::Disk) {
            true => Durability::Disk,
            false => Durability::Process,
        };
        if durability != Some(wanted) {
            let level = if wanted == Durability::Disk { "FULL" } else { "NORMAL" };
            // What cannot be set is tried again with the next batch; until then, the stricter one must be in force.
            durability = db.pragma_update(None, "synchronous", level).ok().map(|()| wanted);
            if durability.is_none() {
                batch.into_iter().for_each(|request| {
                    request.operation.answer(Err(Db::Other("the disk's promise could not be asked for".to_owned())));
                });
                continue;
            }
        }
        let mut after = state.clone();
        let mut changes = Vec::new();
        let committed = transact(db, &mut batch, &mut after, &mut changes);
        match &committed {
            Ok(()) => {
                state = after;
                told(&state.tally, changes);
            }
            Err(error) => {
                tracing::error!(%error, operations = batch.len(), "a commit failed");
                if !db.is_autocommit() {
                    let _ = db.execute_batch("ROLLBACK");
                }
            }
        }
        batch.into_iter().for_each(|request| request.operation.answer(committed.clone()));
    }
}

fn transact(db: &Connection, batch: &mut [Request], state: &mut State, changes: &mut Vec<Change>) -> Result<(), Db> {
    let run = |sql: &str| db.prepare_cached(sql).and_then(|mut statement| statement.execute([]).map(drop));
    run("BEGIN IMMEDIATE")?;
    for request in batch {
        run("SAVEPOINT operation")?;
        let before = (state.clone(), changes.len());
        let State { tally, audit_head } = &mut *state;
        let kept = request.operation.run(&mut Write { db, tally, audit_head, changes });
        if db.is_autocommit() {
            // A full disk makes SQLite give up the whole transaction, and with it what others were promised in it.
            return Err(Db::Full);
        }
        if kept {
            run("RELEASE operation")?;
        } else {
            *state = before.0;
            changes.truncate(before.1);
            run("ROLLBACK TO operation")?;
            run("RELEASE operation")?;
        }
    }
    run("COMMIT")?;
    Ok(())
}
