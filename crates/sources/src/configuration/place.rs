use crate::fetch::{Ask, Clients, Failure, HttpFile, Remote, S3File, SourcePolicy, ipfs_file};
use cloister_model::{JobId, Location, Sha256};
use std::path::Path;

/// Where a file is, for the code that reads it: on another machine, or which of the stores of this one.
pub(super) enum Place<'a> {
    Remote(Remote),
    Local(&'a Path),
    Inline(&'a [u8]),
    Upload(Sha256),
    Result { job: JobId, index: u32 },
}

impl<'a> Place<'a> {
    /// The place that a location names. Nothing is asked yet.
    ///
    /// # Errors
    /// If it cannot be asked for.
    pub(super) fn of(location: &'a Location, clients: &Clients, policy: &SourcePolicy) -> Result<Self, Failure> {
        Ok(match location {
            Location::Url(source) => Self::Remote(Remote::Http(Box::new(HttpFile::new(Ask::of(source)?)))),
            Location::Ipfs(path) => {
                Self::Remote(Remote::Http(Box::new(ipfs_file(policy.ipfs.as_ref(), path.as_str())?)))
            }
            Location::S3(object) => Self::Remote(Remote::S3(Box::new(S3File::new(object, clients)?))),
            Location::Local(path) => Self::Local(path.as_path()),
            Location::Inline(content) => Self::Inline(content.expose()),
            Location::Upload(sha256) => Self::Upload(*sha256),
            Location::Result { job, index } => Self::Result { job: *job, index: *index },
        })
    }
}
