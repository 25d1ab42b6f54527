//! The process that starts the others, waits for them, kills them at their deadline and writes the report. It never
//! runs guest code.

mod collect;
mod execute;
mod initialise;
mod inputs;
mod job;
mod outcome;
mod outputs;
mod report;
mod run;
mod walls;
mod watch;

pub use collect::CollectError;
pub(crate) use initialise::{SNAPSHOT_ENGINE, initialise};
pub use inputs::{InputError, datasets_in};
pub use job::{Job, JobError, RuntimeChoice, Stdin};
pub use run::{machine_memory_bytes, run};
pub(crate) use watch::{Ended, Watched, watch};

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading the algorithm.
    Reading,
    /// Checking and compiling it.
    Compiling,
    /// Running the guest.
    Running,
    /// Reading the outputs.
    Collecting,
}

/// Follows the progress of a run.
pub trait Observer {
    /// A phase begins.
    fn phase(&mut self, phase: Phase);
    /// Called several times a second while a child process runs.
    fn tick(&mut self);
    /// The guest printed these bytes, and they fit into the log's limit. They are untrusted: escape them before showing
    /// them.
    fn log(&mut self, bytes: &[u8]);
}

/// Ignores all progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn phase(&mut self, _: Phase) {}
    fn tick(&mut self) {}
    fn log(&mut self, _: &[u8]) {}
}
