//! The engine of this machine keeps the promises that every engine must keep. Runs the built sandbox program.

#![expect(clippy::panic, reason = "a fixture fails tests by panicking")]

use cloister_engine_tests::{Conditions, Fixture, FixtureFuture, conformance_tests};
use cloister_local_engine::{EnvironmentOptions, LocalEngine, OpenError, Options};
use cloister_model::Backend;
use cloister_sources::SourcePolicy;
use cloister_testkit::EndsSandboxes;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;

const MIB: u64 = 1024 * 1024;

/// One folder, and the engine that uses it.
struct Folder {
    engine: Option<Arc<LocalEngine>>,
    _sandboxes: EndsSandboxes,
    directory: TempDir,
    sandbox: PathBuf,
}

fn folder() -> Folder {
    let sandbox = cloister_testkit::program("sandbox").unwrap_or_else(|missing| panic!("{missing}"));
    let directory = tempfile::tempdir().expect("a directory");
    Folder { engine: None, _sandboxes: EndsSandboxes::of(directory.path()), directory, sandbox }
}

impl Folder {
    fn options(&self, conditions: Conditions) -> Options {
        let Conditions { max_jobs, max_queued, max_queued_per_account } = conditions;
        Options {
            home: self.directory.path().join("home"),
            sandbox: self.sandbox.clone(),
            sandbox_home: None,
            environment: EnvironmentOptions {
                id: self.environment().parse().expect("a name"),
                description: "conformance".to_owned(),
                max_jobs,
                cpus: 4,
                memory_bytes: 1024 * MIB,
                job_memory_bytes: 512 * MIB,
                max_queued,
                reserved_jobs: 0,
                max_queued_per_account,
                min_free_bytes: 0,
                max_wall_ms: 600_000,
            },
            sources: SourcePolicy {
                allow_networks: vec!["127.0.0.0/8".parse().expect("a network")],
                ..SourcePolicy::default()
            },
            cache_bytes: 64 * MIB,
            results: None,
        }
    }
}

impl Fixture for Folder {
    /// Drops the engine wherever it is, without a shutdown, and opens the next one when the folder is free.
    fn open(&mut self, conditions: Conditions) -> FixtureFuture<'_, Arc<dyn Backend>> {
        Box::pin(async move {
            self.engine = None;
            let engine = loop {
                match LocalEngine::open(self.options(conditions)).await {
                    Ok(engine) => break engine,
                    // What the engine before was doing on other threads is not over yet.
                    Err(OpenError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
                    Err(error) => panic!("{error}"),
                }
            };
            self.engine = Some(Arc::clone(&engine));
            engine as Arc<dyn Backend>
        })
    }

    fn environment(&self) -> String {
        "local".to_owned()
    }
}

conformance_tests!(folder);
