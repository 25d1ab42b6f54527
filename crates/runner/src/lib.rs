//! The `sandbox` program: started so that it outlives the process that started it, found again by the next, and never started
//! twice. It decides nothing: what a trace means is for `cloister-lifecycle`.
//!
//! Every run has a folder. Two files in it show the state of the run, at any time and to any process:
//!
//! - `claim`: made by the sandbox before it does anything, with its process id in it. It can be made once. If it is not there,
//!   nothing was run yet.
//! - `run.lock`: locked through the open file that is the sandbox's stdout. The kernel releases the lock when the sandbox and
//!   every process that it started have ended, however they end.

#![forbid(unsafe_code)]

mod error;
mod kept;
mod sandbox;
mod stop;
mod trace;

pub use error::RunnerError;
pub use sandbox::{Exit, Run, Running, Sandbox};
pub use stop::stop;
pub use trace::{has_ended, look, wait_for_end};

/// The inputs, in a run's folder: the guest's `/data`.
pub const DATA: &str = "data";
/// What the guest left, in a run's folder.
pub const OUTPUTS: &str = "outputs";
/// The algorithm log, in a run's folder.
pub const LOG: &str = "log";

const CLAIM: &str = "claim";
const LOCK: &str = "run.lock";
const REPORT: &str = "report.json";
const STDERR: &str = "complaints";
