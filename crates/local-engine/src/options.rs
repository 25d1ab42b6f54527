use crate::store::DatabaseError;
use cloister_model::EnvironmentId;
use cloister_results::StoreConfig;
use cloister_sources::SourcePolicy;
use std::{io, path::PathBuf};

/// The settings of an engine on this machine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its folder. One engine at a time uses it.
    pub home: PathBuf,
    /// The `sandbox` program.
    pub sandbox: PathBuf,
    /// Where that program keeps compiled code and interpreters; none: below the folder. Several services may share one.
    pub sandbox_home: Option<PathBuf>,
    /// What jobs may use of this machine.
    pub environment: EnvironmentOptions,
    /// Where files may come from.
    pub sources: SourcePolicy,
    /// The most bytes of input files that are cached for later jobs.
    pub cache_bytes: u64,
    /// Where results are stored; none: below the folder.
    pub results: Option<StoreConfig>,
}

/// The one environment of this machine.
#[derive(Clone, Debug)]
pub struct EnvironmentOptions {
    /// Its name, which jobs give.
    pub id: EnvironmentId,
    /// Its description, written by the operator.
    pub description: String,
    /// The most jobs at once, from the start of their configuration to their end. With twice as many as processors, some
    /// compute while the results of others are stored.
    pub max_jobs: u64,
    /// Processors for all jobs. Each job takes one until its outputs are checked.
    pub cpus: u32,
    /// Memory for all jobs, in bytes.
    pub memory_bytes: u64,
    /// The most memory of one job, in bytes.
    pub job_memory_bytes: u64,
    /// Jobs beyond `max_jobs` and `cpus` for accounts that have no job in progress, so that long jobs of one account do not
    /// keep all others out. They share the processors.
    pub reserved_jobs: u64,
    /// The most jobs that may wait.
    pub max_queued: u64,
    /// The most jobs of one account that may wait.
    pub max_queued_per_account: u64,
    /// No job starts while the disk of the folder has fewer free bytes: it would fail for want of room.
    pub min_free_bytes: u64,
    /// The longest that one algorithm may run, in milliseconds.
    pub max_wall_ms: u64,
}

/// Why an engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder, or something in it.
    #[error("`{path}`: {error}")]
    Home {
        /// Where.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// Another service uses the folder.
    #[error("`{home}` is used by a running service{}; stop that one, or give another --home",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    InUse {
        /// The folder.
        home: PathBuf,
        /// The process of that service, if its lock file names it.
        pid: Option<u32>,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The sandbox program.
    #[error("the sandbox program `{path}` cannot be run: {problem}")]
    Sandbox {
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The setting of the result store cannot be used.
    #[error("{0}; correct where results are kept")]
    Results(String),
    /// Sources, cache or result store, with their own message.
    #[error("{what}: {problem}")]
    Stage {
        /// Which of them.
        what: &'static str,
        /// Its message.
        problem: String,
    },
}
