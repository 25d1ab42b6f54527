//! What can be done with a job once it is there, and by whom: the same for both APIs.

mod access;
mod act;
mod files;
mod follow;
mod log;

pub(crate) use access::{Access, Found, find, report, status};
pub(crate) use act::{remove, review, stop};
pub(crate) use files::send;
pub(crate) use follow::{Change, Follower, changes};
pub(crate) use log::{follow_log, log_file};
