//! The last step of a job: results, where their consumer can fetch them.

use crate::Watch;
use cloister_model::{ByteRange, JobId, ResultFile, ResultKind};
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// Where results are kept.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// `file:///folder` or `s3://bucket/prefix`.
    pub url: String,
    /// Options of the store, by object_store's names (`endpoint`, `region`, `access_key_id`, ...). Nothing is taken
    /// from the environment.
    pub options: BTreeMap<String, String>,
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig").field("options", &self.options.keys()).finish_non_exhaustive()
    }
}

/// The results of jobs.
#[derive(Debug)]
pub struct ResultStore {}

/// A file that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its name, for the manifest. May be a guest's text.
    pub name: String,
    /// What it is.
    pub kind: ResultKind,
    /// Where it is.
    pub path: PathBuf,
}

/// Why results could not be kept or read. Safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The configuration of the store.
    #[error("result store: {0}")]
    Config(String),
    /// The recipient is not one.
    #[error("results cannot be encrypted: the recipient is not an age X25519 public key (`age1...`)")]
    Recipient,
    /// There is no such result.
    #[error("job {0} has no such result in the store")]
    Missing(JobId),
    /// Somebody ended it.
    #[error("publishing was cancelled")]
    Cancelled,
    /// A file that was to leave cannot be read.
    #[error("a result cannot be read: {0}")]
    File(String),
    /// The store does not answer, or answers nonsense.
    #[error("the result store failed: {0}; it is tried again, and the operator can check its address and keys")]
    Store(String),
}

impl ResultStore {
    /// Opens a store; a local folder is made if it is missing.
    ///
    /// # Errors
    /// If the configuration is not one.
    pub fn open(config: &StoreConfig) -> Result<Self, PublishError> {
        let _ = config;
        Ok(Self {})
    }

    /// Keeps a job's results. Once done, or cut short at any point, the same call again completes it or changes
    /// nothing. Nothing can be read before everything is there.
    ///
    /// # Errors
    /// If a file cannot be read or the store fails.
    #[expect(clippy::unused_async, reason = "not written yet")]
    pub async fn publish(
        &self,
        job: JobId,
        files: &[Outgoing],
        encrypt_to: Option<&str>,
        watch: &Watch,
    ) -> Result<Vec<ResultFile>, PublishError> {
        let _ = (self, job, files, encrypt_to, watch);
        Err(PublishError::Cancelled)
    }

    /// A job's results; none if they were not published, or not completely.
    ///
    /// # Errors
    /// If the store fails.
    #[expect(clippy::unused_async, reason = "not written yet")]
    pub async fn manifest(&self, job: JobId) -> Result<Option<Vec<ResultFile>>, PublishError> {
        let _ = (self, job);
        Err(PublishError::Cancelled)
    }

    /// A part of one result. Shorter than asked for only at its end.
    ///
    /// # Errors
    /// [`PublishError::Missing`], or if the store fails.
    #[expect(clippy::unused_async, reason = "not written yet")]
    pub async fn read(&self, job: JobId, index: u32, range: ByteRange) -> Result<Vec<u8>, PublishError> {
        let _ = (self, job, index, range);
        Err(PublishError::Cancelled)
    }

    /// Removes a job's results, the manifest first. None there is no error.
    ///
    /// # Errors
    /// If the store fails.
    #[expect(clippy::unused_async, reason = "not written yet")]
    pub async fn remove(&self, job: JobId) -> Result<(), PublishError> {
        let _ = (self, job);
        Err(PublishError::Cancelled)
    }

    /// The jobs of which there is anything, complete or not.
    ///
    /// # Errors
    /// If the store fails.
    #[expect(clippy::unused_async, reason = "not written yet")]
    pub async fn jobs(&self) -> Result<Vec<JobId>, PublishError> {
        let _ = self;
        Err(PublishError::Cancelled)
    }
}
