//! Jobs: a small row for the status, and others for what a status does not need to be read for.

mod list;
mod read;
mod write;

pub(crate) use list::list;
pub(crate) use read::{
    Outgoing, kept_job, lingers, next_expiry, outgoing, report, results, spec, status, tally, unended,
};
pub(crate) use write::{
    Change, Refused, ask_to_stop, expired, forget_gone, gone, insert, progress, put_outgoing, put_report, put_results,
    remove, step, unkeep, unneeded,
};

use cloister_model::{JobId, Timestamp};

/// The bytes of a job's name, as the key of its row.
fn key(job: JobId) -> [u8; 16] {
    // The type shows its bytes as text only.
    u128::from_str_radix(&job.to_string(), 16).unwrap_or_default().to_be_bytes()
}

/// A moment as SQLite's integer; the end of time for what no clock shows.
fn ms(at: Timestamp) -> i64 {
    i64::try_from(at.unix_ms()).unwrap_or(i64::MAX)
}
