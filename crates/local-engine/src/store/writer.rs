//! The one thread that writes. It takes every operation that waits, runs each in a savepoint of one transaction, commits
//! once, and answers all: many callers share one flush of the disk.

use super::{Change, DbError, Fail, Tally, anchor::Anchor};
use cloister_lifecycle::Durability;
use cloister_model::Sha256;
use rusqlite::Connection;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use tokio::sync::{mpsc, oneshot};

/// The most operations of one transaction.
const MOST_AT_ONCE: usize = 256;
/// The most operations that wait. Further callers wait for room.
pub(super) const MOST_WAITING: usize = 1024;

/// What an operation works on.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    pub(crate) db: &'a Connection,
    /// How many jobs are in each phase. Rolled back with the operation.
    pub(crate) tally: &'a mut Tally,
    /// The last record of the audit log.
    pub(crate) audit_head: &'a mut Option<(u64, Sha256)>,
    /// What followers, scheduler and counters learn once it is committed.
    pub(crate) changes: &'a mut Vec<Change>,
}

/// Called after every commit, in the order of commits, before the callers get their answers.
pub(crate) type OnCommit = Arc<dyn Fn(&Tally, Vec<Change>) + Send + Sync>;

pub(super) trait Operation: Send {
    fn run(&mut self, write: &mut Write<'_>) -> bool;
    fn answer(self: Box<Self>, committed: Result<(), DbError>);
}

pub(super) enum Request {
    /// An operation, for the next transaction.
    Write { durability: Durability, operation: Box<dyn Operation> },
    /// Write SQLite's log into the file, and truncate the log.
    Checkpoint(oneshot::Sender<Result<(), DbError>>),
}

/// An operation, and where its answer goes.
pub(super) struct Call<T, E, F> {
    pub(super) operation: Option<F>,
    pub(super) outcome: Option<Result<T, Fail<E>>>,
    pub(super) answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Operation for Call<T, E, F>
where
    T: Send,
    E: From<DbError> + Send,
    F: FnOnce(&mut Write<'_>) -> Result<T, Fail<E>> + Send,
{
    fn run(&mut self, write: &mut Write<'_>) -> bool {
        let Some(operation) = self.operation.take() else { return false };
        let outcome = catch_unwind(AssertUnwindSafe(|| operation(write)))
            .unwrap_or_else(|_| Err(Fail::Db(DbError::Other("an operation failed; this is a bug".to_owned()))));
        let ok = outcome.is_ok();
        self.outcome = Some(outcome);
        ok
    }

    fn answer(self: Box<Self>, committed: Result<(), DbError>) {
        let answer = match (self.outcome, committed) {
            (Some(Err(fail)), _) => Err(fail.into_error()),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (_, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(DbError::Other("an operation was not run; this is a bug".to_owned()).into()),
        };
        // The caller may be gone.
        let _ = self.answer.send(answer);
    }
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) tally: Tally,
    pub(super) audit_head: Option<(u64, Sha256)>,
}

/// Works until every sender is gone.
pub(super) fn write_on(
    db: &Connection,
    mut requests: mpsc::Receiver<Request>,
    mut state: State,
    on_commit: &OnCommit,
    anchor: &Anchor,
) {
    let mut durability = None;
    while let Some(first) = requests.blocking_recv() {
        let (mut batch, mut checkpoints) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Write { durability, operation } => batch.push((durability, operation)),
                Request::Checkpoint(answer) => checkpoints.push(answer),
            }
            next = if batch.len() < MOST_AT_ONCE { requests.try_recv().ok() } else { None };
        }
        if !batch.is_empty() {
            write(db, batch, &mut state, &mut durability, on_commit, anchor);
        }
        for answer in checkpoints {
            let done = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            let _ = answer.send(done.map_err(DbError::from));
        }
    }
}

type Batch = Vec<(Durability, Box<dyn Operation>)>;

fn write(
    db: &Connection,
    mut batch: Batch,
    state: &mut State,
    durability: &mut Option<Durability>,
    on_commit: &OnCommit,
    anchor: &Anchor,
) {
    let wanted = match batch.iter().any(|(durability, _)| *durability == Durability::Disk) {
        true => Durability::Disk,
        false => Durability::Process,
    };
    if *durability != Some(wanted) {
        let level = if wanted == Durability::Disk { "FULL" } else { "NORMAL" };
        // If it cannot be set, the next batch tries again: until then, no answer may promise more than is in force.
        *durability = db.pragma_update(None, "synchronous", level).ok().map(|()| wanted);
        if durability.is_none() {
            batch.into_iter().for_each(|(_, operation)| {
                operation.answer(Err(DbError::Other("the durability of a commit could not be set".to_owned())));
            });
            return;
        }
    }
    let mut after = state.clone();
    let mut changes = Vec::new();
    let committed = transact(db, &mut batch, &mut after, &mut changes);
    match &committed {
        Ok(()) => {
            let before = std::mem::replace(state, after);
            if let Some(head) = state.audit_head.filter(|head| before.audit_head != Some(*head))
                && wanted == Durability::Disk
            {
                anchor.note(head);
            }
            on_commit(&state.tally, changes);
        }
        Err(error) => {
            tracing::error!(%error, operations = batch.len(), "a commit failed");
            if !db.is_autocommit() {
                let _ = db.execute_batch("ROLLBACK");
            }
        }
    }
    batch.into_iter().for_each(|(_, operation)| operation.answer(committed.clone()));
}

fn transact(db: &Connection, batch: &mut Batch, state: &mut State, changes: &mut Vec<Change>) -> Result<(), DbError> {
    let run = |sql: &str| db.prepare_cached(sql).and_then(|mut statement| statement.execute([]).map(drop));
    run("BEGIN IMMEDIATE")?;
    for (_, operation) in batch {
        run("SAVEPOINT operation")?;
        let before = (state.clone(), changes.len());
        let State { tally, audit_head } = &mut *state;
        let kept = operation.run(&mut Write { db, tally, audit_head, changes });
        if db.is_autocommit() {
            // A full disk makes SQLite roll the whole transaction back, the operations before this one included.
            return Err(DbError::Full);
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
