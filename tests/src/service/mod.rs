//! Runs the built `cloister serve` the way its users do: a folder of its own, a port of its own, and HTTP.
//!
//! ```no_run
//! # use cloister_tests::service::Service;
//! # use serde_json::json;
//! let service = Service::start();
//! let alice = service.account("alice", "publisher");
//! let did = service.publish_dataset(&alice, "d", &json!({"files": [{"type": "inline", "content": "data"}]}));
//! ```

mod actions;
mod guests;
mod http;
mod issuer;
mod python_server;
mod s3;
mod server;
mod setup;
mod tools;

pub use actions::{manifest, phase, text};
pub use guests::{
    CAT, ENDLESS, EXITS_WITH_7, NOTHING, PRINTS_AND_SLEEPS, copying, printing, printing_for_ever, writing,
};
pub use http::{Answer, Request, Stream};
pub use issuer::Issuer;
pub use s3::S3;
pub use server::{Conversation, Server};
pub use setup::{Setup, cloister};
pub use tools::{Python, faketime, tool};

use crate::service::setup::Started;
use cloister_testkit::EndsSandboxes;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long anything may take that has to happen. Generous: other things run on the machine.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// An account of a service, with a key.
#[derive(Clone, Debug)]
pub struct Who {
    /// The account.
    pub account: String,
    /// The public part of the key.
    pub id: String,
    /// The whole key.
    pub key: String,
}

/// A running service. Ends with the test; what it logged is shown if the test fails.
#[derive(Debug)]
pub struct Service {
    setup: Setup,
    folder: TempDir,
    child: Option<Child>,
    address: SocketAddr,
    /// The account that operates it.
    pub operator: Who,
}

impl Service {
    /// One with the settings of all tests.
    #[must_use]
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The first part of its URLs.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its process.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running service").id()
    }

    /// Its home folder.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.setup.home_in(self.folder.path())
    }

    /// A folder whose files publishers may name.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A place for whatever a test needs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a file into [`Service::data`], and gives its path.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.data().join(name);
        fs::write(&path, content).expect("written");
        path.display().to_string()
    }

    /// Everything that it logged, over all restarts.
    #[must_use]
    pub fn logs(&self) -> String {
        setup::read_log(self.folder.path())
    }

    /// Ends it at once (SIGKILL), with nothing but itself.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Asks it to end (SIGTERM), and gives how it did.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a running service");
        setup::terminate(child.id());
        wait_for("the service to end", || child.try_wait().expect("a child"))
    }

    /// Starts it again in the same folder.
    ///
    /// # Panics
    /// If it runs, or does not start.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let Started { child, address } = self.setup.run(self.folder.path()).unwrap_or_else(|why| panic!("{why}"));
        (self.child, self.address) = (Some(child), address);
    }

    /// Changes how it is set up from the next start on.
    pub fn setup(&mut self) -> &mut Setup {
        &mut self.setup
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
        drop(EndsSandboxes::of(self.folder.path()));
        if std::thread::panicking() {
            setup::show_log(self.folder.path());
        }
    }
}

/// Asks again until there is an answer.
///
/// # Panics
/// If there is none in [`PATIENCE`].
#[track_caller]
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(20));
    }
}
