//! The custom resources of `cloister.dev/v1alpha1`, one kind a file.
//!
//! Rules that every kind keeps, checked by the tests of this folder:
//!
//! - Every text has a `maxLength` and every list a `maxItems`: the API server estimates what a rule costs from them, and
//!   refuses a definition whose rules could cost too much.
//! - A field that restricts access is never pruned silently. Where people write restrictions (`Dataset`, `Algorithm`),
//!   unknown fields are kept, read, and refused; where programs write them (`ComputeJob`), they are one text that its
//!   reader refuses to read in part.
//! - No field holds a secret. Secrets are Secrets, and a resource names them.
//! - A moment is written as RFC 3339 with milliseconds, in UTC.

#![expect(clippy::duplicated_attributes, reason = "columns have the same fields, each with a value of its own")]
#![expect(unreachable_pub, reason = "kube's derive repeats each struct with rules inside a function")]

mod algorithm;
mod api_key;
mod asset;
mod compute_job;
mod condition;
mod dataset;
mod definitions;
mod environment;
mod job_request;
mod moment;
mod order;
mod payload;
mod schema;
mod status;
#[cfg(test)]
mod tests;

pub use algorithm::{Algorithm, AlgorithmSpec};
pub use api_key::{ApiKey, ApiKeySpec, ApiKeyStatus, NotAKey};
pub use asset::{AssetResource, AssetStatus, MOST_RULES_BYTES, StoredAsset, Unusable, manifest, secrets_named};
pub use compute_job::{
    ComputeJob, ComputeJobSpec, FirstApproval, LogDecision, PublishRequest, Registration, Removal, ReviewDecision,
    StopRequest, Verdict,
};
pub use condition::{Condition, ConditionStatus};
pub use dataset::{Dataset, DatasetSpec};
pub use definitions::{SCHEMA_HASH, definitions, schema_hash};
pub use environment::{
    Environment, EnvironmentLimits, EnvironmentSpec, EnvironmentStatus, FoundWall, Interpreter, Isolation,
    KERNELS_COMPLETE, NETWORK_POLICY_ENFORCED, NodeIsolation, Root, RootClaim, RuntimeRules, STORAGE_WORKS,
    StepResources, Steps, Storage, StorageMode, Toleration,
};
pub use job_request::{JobRequest, JobRequestSpec, JobRequestStatus, RequestedAlgorithm, RequestedInput};
pub use moment::{Moment, NotAMoment};
pub use order::{MOST_DOCUMENT_BYTES, Order, OrderError, OrderedAlgorithm};
pub use payload::{Payload, PayloadError};
pub use status::{
    Attempts, ComputeJobStatus, HistoryStep, JobDetail, JobProgress, JobReason, ReportDigest, ResultsDigest,
    StatusFormError, StoredReview, StoredWait,
};

/// The API group of every kind.
pub const GROUP: &str = "cloister.dev";

/// The version of every kind.
pub const VERSION: &str = "v1alpha1";

/// The standard label of everything that the engine makes, and its value.
pub(crate) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "cloister");
