//! Jobs: a small row for the status, and others for what a status does not need to be read for.

mod documents;
mod kept;
mod list;
mod read;
mod write;

pub(crate) use kept::{is_kept, keep, unkeep, unkeep_unneeded, unneeded};
pub(crate) use list::list;
pub(crate) use read::{
    card, lingers, next_expiry, outgoing, report, results, spec, spec_without_documents, status, tally, unended,
};
pub(crate) use write::{
    Change, NewJob, ask_to_publish, ask_to_stop, expired, forget_gone, gone, insert, progress, put_log_release,
    put_outgoing, put_report, put_results, put_status, remove, result_bytes,
};

use cloister_model::Timestamp;

/// A moment as SQLite's integer, clamped to its largest.
fn ms(at: Timestamp) -> i64 {
    i64::try_from(at.unix_ms()).unwrap_or(i64::MAX)
}
