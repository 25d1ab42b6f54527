//! What tests of every crate need: values of the model with every field filled in, tiny guests, and the programs that
//! were built.
//!
//! A function returns a complete, valid value. A test changes the fields that it is about:
//!
//! ```
//! use cloister_model::{JobSpec, TimeLimits, Timestamp};
//!
//! let job = JobSpec {
//!     times: TimeLimits { queue_ms: 200, ..TimeLimits::default() },
//!     ..cloister_testkit::job(1, Timestamp::from_unix_ms(5))
//! };
//! assert_eq!(job.queue, "alice");
//! ```

#![forbid(unsafe_code)]

mod asset;
mod built;
pub mod guests;
mod job;
mod report;
mod sandboxes;
mod source;
mod source_server;

pub use asset::{api_key, dataset};
pub use built::{Missing, guest, program, root, target};
pub use job::{OWNER, account, event, job, job_id, labels, now, recorded_dataset, status_in, terms};
pub use report::report;
pub use sandboxes::{EndsSandboxes, sandboxes_in};
pub use source::{inline, missing_upload, uploaded, url};
pub use source_server::SourceServer;
