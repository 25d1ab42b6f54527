//! A job: what it is asked to do, where it is, and what comes out of it.

mod card;
mod cursor;
mod job;
mod labels;
mod results;
mod status;

pub use card::{JobCard, JobRecord, RecordedAsset, RecordedDataset};
pub use cursor::JobCursor;
pub use job::{Delivery, JobAlgorithm, JobId, JobIdError, JobInput, JobSource, JobSpec, TimeLimits};
pub use labels::{LabelError, Labels};
pub use results::{ByteRange, ResultFile, ResultKind, ResultSet};
pub use status::{Fault, JobStatus, Progress, Reason, Review, Seen, StatusError, Step, Timestamp};
