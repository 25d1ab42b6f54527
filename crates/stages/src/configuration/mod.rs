//! The first step of a job: every input and the algorithm, laid out as the guest sees them.

use crate::{Cache, FetchError, ResultStore, SourcePolicy, Watch};
use cloister_model::{Did, Fault, FileDigest, FilesChecksum, JobSpec};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Fetches files.
#[derive(Debug)]
pub struct Fetcher {}

/// A policy that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum FetcherError {
    /// A folder of local files.
    #[error("local root: {0}")]
    LocalRoot(String),
    /// TLS could not be set up.
    #[error("requests cannot be made: {0}")]
    Client(String),
}

/// What a guest will see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// The datasets, in the order of `DIDS`.
    pub datasets: Vec<Did>,
    /// Every file, by its path below `/data`, sorted.
    pub files: Vec<(String, FileDigest)>,
    /// The algorithm's files.
    pub algorithm: FilesChecksum,
}

/// Why a job could not be configured. Safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// A dataset could not be provided.
    #[error("{did}: {reason}")]
    Data {
        /// Which.
        did: Did,
        /// Why.
        reason: String,
        /// Whose doing it was.
        fault: Fault,
    },
    /// The algorithm could not be provided.
    #[error("the algorithm: {reason}")]
    Algorithm {
        /// Why.
        reason: String,
        /// Whose doing it was.
        fault: Fault,
    },
    /// Somebody ended it.
    #[error("configuration was cancelled")]
    Cancelled,
    /// This machine failed.
    #[error("{0}")]
    System(String),
}

impl Fetcher {
    /// One that keeps this policy, fetches into this cache, and finds uploads and results there.
    ///
    /// # Errors
    /// If the policy cannot be kept: a local root that does not exist, say.
    pub fn new(
        policy: SourcePolicy,
        cache: Arc<Cache>,
        uploads: PathBuf,
        results: Arc<ResultStore>,
    ) -> Result<Self, FetcherError> {
        let _ = (policy, cache, uploads, results);
        Ok(Self {})
    }

    /// Lays out `into` as a job's `/data`: `inputs/<did>/<n>`, `inputs/algoCustomData.json`, `ddos/<did>` and
    /// `transformations/algorithm`, all read-only.
    ///
    /// # Errors
    /// The first thing that could not be provided. What was laid out by then is left for the caller to remove.
    #[expect(clippy::unused_async, reason = "not written yet")]
    pub async fn configure(&self, job: &JobSpec, into: &Path, watch: &Watch) -> Result<Configured, ConfigurationError> {
        let _ = (self, job, into, watch);
        Err(ConfigurationError::System("not written yet".to_owned()))
    }

    /// Fetches files into the cache and says what they are, in their order.
    ///
    /// # Errors
    /// The first file that could not be had.
    #[expect(clippy::unused_async, reason = "not written yet")]
    pub async fn fetch(&self, files: &Value, watch: &Watch) -> Result<Vec<FileDigest>, FetchError> {
        let _ = (self, files, watch);
        Err(FetchError::Cancelled)
    }

    /// A JSON document behind a URL, by the same rules as any source, at most so many bytes.
    ///
    /// # Errors
    /// If it cannot be had, is larger, or is not JSON.
    #[expect(clippy::unused_async, reason = "not written yet")]
    pub async fn get_json(&self, url: &str, most_bytes: usize) -> Result<Value, FetchError> {
        let _ = (self, url, most_bytes);
        Err(FetchError::Cancelled)
    }
}
