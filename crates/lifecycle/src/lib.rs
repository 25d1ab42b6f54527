//! The life of a job, once, for every engine: facts in, action out.
//!
//! An engine observes what exists (the stored status, what the run left, what a step returned), calls [`decide`], performs
//! the [`Action`], and looks again. It remembers nothing about a job between two looks that it could not lose: an engine that
//! was killed and one that was not decide the same.
//!
//! ```text
//! observe -> Facts -> decide -> Action -> perform -> observe -> ...
//!                                 |
//!                                 Record(Transition) -> Transition::apply -> the new status and what goes on record
//! ```
//!
//! - [`decide`]: which action comes next.
//! - [`Transition`]: what is stored together when a job takes a step.
//! - `configuration`, `run`, `filtering`, `publishing`, `review`, `stop`: what the report of each step means. The orders for
//!   the steps are part of the actions.
//! - [`StoreAway`]: the wait for a result store that is away or refuses the results.
//! - [`Permission`]: whether it may still run, and its results may still leave.
//! - [`Deadlines`], [`Schedule`], [`fits`], [`explain`]: time, turns, limits, and what the consumer is told.
//! - [`receipt`]: the statement about an ended job.
//!
//! Nothing here reads a file, a clock or the network.

#![forbid(unsafe_code)]

mod answer;
mod audit;
mod configuration;
mod deadlines;
mod decide;
mod explain;
mod filtering;
mod fits;
mod log;
mod permission;
mod publishing;
mod queue;
mod receipt;
mod retention;
mod review;
mod run;
mod step;
mod stop;
mod store_wait;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transition;

pub use answer::{ResultList, StepAnswer, StoredReport};
pub use audit::{ENGINE, Recorded};
pub use deadlines::{Deadlines, Moment, TimeLimit};
pub use decide::{Action, Facts, decide};
pub use explain::{Turn, explain};
pub use fits::{Misfit, fits, fits_job, has_interpreter};
pub use log::{KEPT_LOG_BYTES, LogFate, kept_log_bytes, log_bytes, log_released, run_contract, with_release};
pub use permission::{Asked, AssetNow, AssetRevision, Permission, PublishedFiles};
pub use publishing::{ENCRYPTED, Release, registered};
pub use queue::{Capacity, Lacking, Place, Schedule, Waiting};
pub use receipt::{EndedJob, NoReceipt, receipt};
pub use retention::{Retention, expires_once_unneeded};
pub use review::{AlreadyApproved, ReviewStep, approved_first, review_step, reviewed};
pub use run::{ObservedEnd, RunFacts, RunTrace};
pub use stop::ended_unfit;
pub use store_wait::{StoreAway, store_pause};
pub use transition::{Applied, Durability, NotApplied, Transition};
