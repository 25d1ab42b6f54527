//! A job: what it is asked to do, where it is, and what comes out of it.

mod card;
mod cursor;
mod labels;
mod results;
mod spec;
mod status;

pub use card::{JobCard, JobRecord, OceanProvider, RecordedAsset, RecordedDataset};
pub use cursor::JobCursor;
pub use labels::{LabelError, Labels};
pub use results::{ByteRange, ResultFile, ResultKind, ResultSet};
pub use spec::{Delivery, JobAlgorithm, JobId, JobIdError, JobInput, JobSource, JobSpec, TimeLimits};
pub use status::{
    Approval, FailureDetail, Fault, JobStatus, LogRelease, Progress, Reason, Review, Seen, StatusError, Step,
    StoreWait, Timestamp, WithheldLog,
};
