use cloister_model::{Backend, Timestamp};
use std::{net::SocketAddr, pin::Pin, sync::Arc};

/// What the calls of a fixture return.
pub type FixtureFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How an engine is set up. What no case asks for is up to the fixture; an account may have ten inspections under way at
/// least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The most jobs at once; 0: no job starts.
    pub max_jobs: u64,
    /// The most jobs that may wait.
    pub max_queued: u64,
    /// The most jobs of one account that may wait.
    pub max_queued_per_account: u64,
}

impl Default for Conditions {
    /// Four jobs at once, a hundred that wait.
    fn default() -> Self {
        Self { max_jobs: 4, max_queued: 100, max_queued_per_account: 100 }
    }
}

/// One engine with a store of its own, which is empty at first. The store goes when the fixture is dropped.
///
/// The engine must be able to run WebAssembly that was uploaded to it, to give one job 64 MiB of memory, and to fetch from
/// a server that listens on this machine's loopback address.
pub trait Fixture: Send + Sync {
    /// Ends the engine if there is one, as abruptly as the fixture can (a crash is best), and opens it on the same store.
    fn open(&mut self, conditions: Conditions) -> FixtureFuture<'_, Arc<dyn Backend>>;

    /// The name of the environment that jobs give.
    fn environment(&self) -> String;

    /// The present time on the engine's clock.
    fn now(&self) -> Timestamp {
        cloister_testkit::now()
    }

    /// A second process of the same engine, on the same store; none if the engine has one process only.
    fn replica(&self) -> Option<Arc<dyn Backend>> {
        None
    }

    /// The origin under which the engine reaches a server of this machine, such as `http://127.0.0.1:8080`.
    fn origin(&self, server: SocketAddr) -> String {
        format!("http://{server}")
    }
}
