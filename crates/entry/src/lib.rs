//! Process 1 of the container of an algorithm.
//!
//! The container's image is a stranger's, and so is everything in it but this program, which comes from another image by way of
//! a read-only mount. It puts up the walls that it can put up without any right of its own (`walls`), starts the command of
//! the algorithm behind them, keeps what is printed within bounds, and says by its exit code how that ended
//! ([`ContainerEnd`](cloister_model::ContainerEnd)).
//!
//! The same program is the canary of an environment: in a pod like those of algorithms, without the walls that it could put up
//! itself, it says what the cluster lets such a pod reach.
//!
//! The algorithm runs as the same user in the same container. So nothing that it could write is a report: neither a file nor
//! a termination message. What a reader may believe is the exit code of this process, which the algorithm can neither reach
//! into nor end, and what the kubelet itself saw.

#![forbid(unsafe_code)]

mod arguments;
mod begin;
mod canary;
mod memory;
mod run;
mod walls;

pub use arguments::{Begin, Canary, Order, Run, UsageError, read};
pub use begin::begin;
pub use canary::canary;
pub use run::run;
