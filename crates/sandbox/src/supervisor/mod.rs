//! The process that starts the others, waits for them, kills them when their time is up, and writes the report. It
//! never runs a byte of the guest's.

mod collect;
mod inputs;
mod job;
mod outcome;
mod outputs;
mod run;
mod watch;

pub use collect::CollectError;
pub use inputs::{InputError, datasets_in};
pub use job::{Job, JobError, RuntimeChoice};
pub use run::{machine_memory_bytes, run};
pub(crate) use watch::{Ended, Watched, watch};

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading the algorithm.
    Reading,
    /// Checking and compiling it.
    Compiling,
    /// The guest runs.
    Running,
    /// Reading what it left.
    Collecting,
}

/// Somebody who wants to see a run happen.
pub trait Observer {
    /// A phase begins.
    fn phase(&mut self, phase: Phase);
    /// A moment has passed.
    fn tick(&mut self);
    /// The guest printed something that is kept. A stranger's bytes: escape them before showing.
    fn log(&mut self, bytes: &[u8]);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn phase(&mut self, _: Phase) {}
    fn tick(&mut self) {}
    fn log(&mut self, _: &[u8]) {}
}
