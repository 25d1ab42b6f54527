//! What carries jobs out, seen from the door: the one trait, and what goes through it.

mod contract;
mod job;
mod labels;
mod status;

pub use contract::{ByteRange, Engine, EngineError, EngineFuture, ResultFile, ResultKind};
pub use job::{JobAlgorithm, JobId, JobIdError, JobInput, JobSource, JobSpec};
pub use labels::{LabelError, Labels};
pub use status::{Fault, JobStatus, Reason, StatusError, Timestamp};
