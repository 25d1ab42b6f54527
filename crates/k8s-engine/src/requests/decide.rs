use cloister_model::{Account, JobId};
use serde_json::Value;
use std::{fmt, pin::Pin};

/// What [`Decide`] returns.
pub type Deciding<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The use cases behind the HTTP API, for requests that come through the cluster.
pub trait Decide: fmt::Debug + Send + Sync {
    /// Decides about a request, written as the body of `POST /v1/jobs`, for an account. The same key again finds the same job.
    fn request(&self, account: Account, key: String, request: Value) -> Deciding<'_, Decided>;

    /// The released results of a job of this account, by their names.
    fn results(&self, account: Account, job: JobId) -> Deciding<'_, Results>;

    /// Stops a job of this account, unless it has ended.
    fn stop(&self, account: Account, job: JobId) -> Deciding<'_, Result<(), String>>;
}

/// What was decided about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// Its job is in the queue.
    Allowed(JobId),
    /// It may not run.
    Denied {
        /// The rules, one a line.
        rules: Vec<String>,
        /// The interpreter that is not installed, if that is one of the rules.
        interpreter: Option<String>,
    },
    /// It is no request for a job, or names what does not exist: what to change. Safe to show.
    Invalid(String),
    /// It cannot be decided at present. Safe to show.
    Later {
        /// Why.
        reason: String,
    },
}

/// The results of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Results {
    /// Names and contents, in order: at most [`Results::MOST_BYTES`] together.
    Files(Vec<(String, Vec<u8>)>),
    /// So many bytes, which are too many for a Secret.
    TooLarge(u64),
    /// They cannot be had at present, and why.
    Unavailable(String),
}

impl Results {
    /// The most bytes of results that are put into a Secret. It holds a mebibyte, a third of which base64 takes.
    pub const MOST_BYTES: u64 = 700 * 1024;
}
