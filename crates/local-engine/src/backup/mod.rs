//! Copies of a service's folder: made while the service works, and put back elsewhere.
//!
//! ```text
//! DIR/backup.json   the version of this layout, when it was made and by what
//! DIR/home/...      the files, as in the service's folder
//! DIR/SHA256SUMS    the digests of all files above, written last: without it the backup is not complete
//! ```
//!
//! The database is copied first, at one moment, and then the files that it names. Files are written whole before the database
//! names them, so none is missing; what is removed in between was not wanted any more. `SHA256SUMS` has the form of coreutils, so
//! that `sha256sum --check` verifies a backup without this program. No digest protects against a person who can write the
//! backup: that person can write the digests, too.

mod copy;
mod restore;
mod save;
mod sums;

pub use restore::{Restored, restore};
pub use save::{Saved, ToSave, back_up};

use crate::store::DatabaseError;
use serde::{Deserialize, Serialize};
use std::{io, path::PathBuf};

/// The version of the layout that this program writes and reads.
const VERSION: &str = "cloister.dev/backup/v1";

/// What describes a backup.
const DESCRIPTION: &str = "backup.json";
/// The digests.
const SUMS: &str = "SHA256SUMS";
/// The files.
const FILES: &str = "home";

/// The folders of a service's folder that are copied whole. Results are copied as well, if they are kept there.
const FOLDERS: [&str; 2] = ["uploads", "logs"];
const RESULTS: &str = "results";
/// The folder of unfinished jobs. Of each, everything is copied except inputs and running checks, which are made again.
const JOBS: &str = "jobs";

/// What `backup.json` holds.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    version: String,
    /// RFC 3339.
    created: String,
    /// The version of the program that made it.
    program: String,
    /// Whether results are in it.
    results: bool,
}

/// Why there is no backup, or why it was not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or a folder.
    #[error("`{path}`: {error}")]
    File {
        /// Where.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// No service has used the folder.
    #[error("`{0}` is not the folder of a service: it has no database; name that folder with --home")]
    NoService(PathBuf),
    /// The folder that is to be written has something in it.
    #[error("`{0}` is not empty, and nothing is written over it; name a folder that does not exist, or empty it")]
    NotEmpty(PathBuf),
    /// Another user's files would be mixed with those of this user.
    #[error(
        "`{path}` belongs to the user with the number {owner}; run this as that user, such as with `runuser -u cloister --`"
    )]
    OtherUser {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// A copy into the folder that is copied.
    #[error("`{0}` lies in the service's folder; name a place outside, on another disk if there is one")]
    Inside(PathBuf),
    /// The folder is not a backup, or copying was cut short.
    #[error("`{0}` is not a complete backup: it has no SHA256SUMS, which is written last; use another one")]
    Incomplete(PathBuf),
    /// A backup of another version of this layout.
    #[error(
        "the backup has the version `{found}`, and this program reads `{VERSION}`; use the Cloister that made it, or a newer one"
    )]
    Version {
        /// Its version, made safe to show.
        found: String,
    },
    /// A file of the backup is not what it was.
    #[error("the backup is damaged: `{path}` {problem}; nothing was restored; use another backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl BackupError {
    fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| Self::File { path, error }
    }
}

#[cfg(test)]
mod tests;
