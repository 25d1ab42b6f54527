//! What can be done with a job that exists, and by whom.

mod access;
mod control;
mod error;
mod list;
mod log;
mod notices;
mod outputs;
mod parameters;
mod reviews;
mod watch;

pub use error::JobError;
pub use list::{JobFilter, JobPage, ProviderFilter};
pub use log::JobLog;
pub use notices::ReviewNotice;
pub use outputs::ExplainedJob;
pub use reviews::{ReviewWait, WaitingReview};
pub use watch::JobWatch;

pub(crate) use access::JobAccess;
