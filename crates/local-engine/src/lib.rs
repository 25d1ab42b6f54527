//! Jobs on this machine: one SQLite file, one folder, one sandbox process for each job that runs.
//!
//! ```text
//! DIR/lock          held by the running service
//! DIR/cloister.db   the state
//! DIR/cache         input files, shared by jobs
//! DIR/uploads       what consumers and publishers sent, by digest
//! DIR/jobs/<job>    where a job works; removed at its end
//! DIR/logs/<job>    the log of an ended job
//! DIR/results       the results, unless they are stored elsewhere
//! DIR/sandbox       what the sandbox program keeps: compiled code, interpreters
//! ```
//!
//! - `store` is the database: one thread writes, many read.
//! - `active_jobs` is the index of unfinished jobs, from which tasks start.
//! - `drive` observes a job, asks `cloister-lifecycle` what comes next, and performs it. `work_folder` is where a job works.
//! - `engine` starts, recovers and tidies up; `backend` implements the ports.
//! - `backup` copies the folder while the engine works, and puts it back.
//!
//! An engine that is killed at any moment leaves every job where the next one takes it up. An algorithm is run at most
//! once: the sandbox makes a claim before it begins, and a claim can be made once.

#![forbid(unsafe_code)]

mod active_jobs;
mod backend;
mod backoff;
mod backup;
mod clock;
mod drive;
mod engine;
mod followers;
mod hold;
mod home;
mod interpreters;
mod keys;
mod options;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod work_folder;

pub use backup::{BackupError, Restored, Saved, ToSave, back_up, restore};
pub use engine::LocalEngine;
pub use options::{EnvironmentOptions, OpenError, Options};
pub use store::{DatabaseError, read_audit};
