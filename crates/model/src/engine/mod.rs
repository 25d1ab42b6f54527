//! What carries jobs out, seen from the door: the one trait, and what goes through it.

mod contract;
mod job;
mod labels;
mod status;

pub use contract::{
    ByteRange, Engine, EngineError, EngineFuture, EnvironmentStatus, Explanation, JobCursor, JobQuery, ResultFile,
    ResultKind, ReviewVerdict, Shelf,
};
pub use job::{Delivery, JobAlgorithm, JobId, JobIdError, JobInput, JobSource, JobSpec, TimeLimits};
pub use labels::{LabelError, Labels};
pub use status::{Fault, JobStatus, Progress, Reason, StatusError, Step, Timestamp};
