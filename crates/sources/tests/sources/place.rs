//! A place where things are fetched, and the jobs that ask for them.

use cloister_files::Watch;
use cloister_model::{Did, FileDigest, JobAlgorithm, JobInput, JobSource, JobSpec, Secret, Sha256, Sources, Timestamp};
use cloister_results::{ResultStore, StoreConfig};
use cloister_sources::{Cache, FetchError, Fetcher, SourcePolicy};
use serde_json::{Value, json};
use sha2::Digest as _;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;

pub(crate) struct Place {
    pub(crate) home: TempDir,
    pub(crate) cache: Arc<Cache>,
    pub(crate) results: Arc<ResultStore>,
    pub(crate) fetcher: Arc<Fetcher>,
}

/// Few attempts, so that what must fail fails soon; loopback is allowed.
pub(crate) fn policy() -> SourcePolicy {
    SourcePolicy {
        allow_networks: vec!["127.0.0.0/8".parse().expect("a network")],
        max_file_bytes: 4 << 30,
        attempts: 3,
        connect_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(60),
        deadline: Duration::from_secs(300),
        ..SourcePolicy::default()
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with(policy())
    }

    pub(crate) fn with(policy: SourcePolicy) -> Self {
        Self::at(tempfile::tempdir().expect("a folder"), |_| policy)
    }

    pub(crate) fn at(home: TempDir, policy: impl FnOnce(&Path) -> SourcePolicy) -> Self {
        let cache = Arc::new(Cache::open(&home.path().join("cache"), 8 << 30).expect("a cache"));
        let url = format!("file://{}/results", home.path().display());
        let results = Arc::new(ResultStore::open(&StoreConfig { url, options: BTreeMap::new() }).expect("a store"));
        fs::create_dir_all(home.path().join("uploads")).expect("a folder");
        let policy = policy(home.path());
        let fetcher = Fetcher::new(policy, cache.clone(), home.path().join("uploads"), results.clone());
        Self { home, cache, results, fetcher: Arc::new(fetcher.expect("a fetcher")) }
    }

    pub(crate) async fn fetch(&self, object: Value) -> Result<FileDigest, FetchError> {
        self.fetcher.fetch(&files(json!([object])), &Watch::unwatched()).await.map(|mut files| files.remove(0))
    }

    pub(crate) async fn fetch_url(&self, url: &str) -> Result<FileDigest, FetchError> {
        self.fetch(json!({"type": "url", "url": url})).await
    }

    /// Nothing is left of downloads. The thread that writes one removes it as soon as it sees that the download was given up.
    pub(crate) async fn nothing_left(&self) {
        let in_flight = || {
            let folders = fs::read_dir(self.home.path().join("cache/partial")).expect("a folder");
            let folders = folders.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
            folders.map(|folder| fs::read_dir(folder).expect("a folder").count()).sum::<usize>()
        };
        while in_flight() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) fn content(&self, file: FileDigest) -> Vec<u8> {
        fs::read(self.cache.path(file.sha256).expect("in the cache")).expect("a file")
    }
}

pub(crate) fn digest(bytes: &[u8]) -> FileDigest {
    FileDigest { sha256: Sha256::from_bytes(sha2::Sha256::digest(bytes).into()), bytes: bytes.len() as u64 }
}

pub(crate) fn files(value: Value) -> Sources {
    serde_json::from_value(value).expect("sources")
}

/// As a job stores it, so that it need not be one that can be fetched.
pub(crate) fn source(files: Value) -> JobSource {
    serde_json::from_value(json!({ "files": files })).expect("a source")
}

pub(crate) fn did(name: &str) -> Did {
    name.parse().expect("a DID")
}

pub(crate) fn input(name: &str, files: Value) -> JobInput {
    JobInput { did: did(name), ddo: Some(json!({"id": format!("did:op:{name}")})), source: source(files) }
}

pub(crate) fn job(inputs: Vec<JobInput>, algorithm: JobSource) -> JobSpec {
    let job = cloister_testkit::job(1, Timestamp::from_unix_ms(1));
    JobSpec {
        inputs,
        algorithm: JobAlgorithm {
            did: Some(did("algo")),
            ddo: Some(json!({"id": "did:op:algo"})),
            source: algorithm,
            ..job.algorithm
        },
        parameters: Some(Secret::new(json!({"k": 5}))),
        ..job
    }
}

/// Every file below a folder, by its path.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.is_symlink() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
                // A link says where it leads, wherever that is.
                let link = fs::read_link(&path).map(|to| to.to_string_lossy().into_owned().into_bytes());
                found.insert(name, link.unwrap_or_else(|_| fs::read(&path).expect("a file")));
            }
        }
    }
    found
}

/// The most memory that this process had, in bytes.
pub(crate) fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
