//! The last step of a job: results, where their consumer can fetch them. Nothing of a job can be read before everything
//! is there.
//!
//! ```text
//! <job>/files/<index>    one result, as it is or encrypted; never a name that a guest chose
//! <job>/parts/<index>    while publishing: that a file of a megabyte or more is complete, and of what
//! <job>/manifest.json    names and digests; written last, and no result is read without it
//! <job>/report.json      the report of the run, where an engine keeps it here; whether it may be shown, the engine decides
//! <job>/log              likewise what the algorithm printed
//! <job>/held/<index>     likewise outputs that wait for a reviewer, as they are, where the results are encrypted
//! <job>/held.json        their names and digests; written last
//! uploads/<sha256>       a file that accounts sent, where an engine keeps uploads here
//! uploaders/<account>/   which files an account may name; the account is a digest, never a name
//! <job>/parameters       likewise the parameters of a job that was archived, sealed
//! archive/<name>         records of jobs that ended long ago, sealed, where an engine moves them here
//! drafts/<random>        in a folder: what is being written by one of several processes
//! ```
//!
//! [`Incoming`] takes uploads in, in a folder of the machine that receives them.

#![forbid(unsafe_code)]

mod backend;
mod error;
mod folder;
mod incoming;
mod kept;
mod manifest;
mod objects;
mod opening;
mod outgoing;
mod part;
mod paths;
mod place;
mod publish;
mod sealed;
mod store;
mod upload_names;
mod uploads;

pub use error::PublishError;
pub use incoming::{Arrived, Incoming};
pub use outgoing::Outgoing;
pub use sealed::{SealingKey, Unsealed};
pub use store::{ResultStore, StoreConfig};
pub use uploads::UploadError;
