//! The use cases of Cloister: what can be done with jobs, assets, keys and uploads, and by whom.
//!
//! No HTTP and no store: every use case asks the [`Backend`](cloister_model::Backend) and answers with values and domain
//! errors. The native API, Ocean's API and any other way in call the same functions, so none of them has a weaker rule or
//! leaves less on record.

#![forbid(unsafe_code)]

mod actor;
mod address;
mod assets;
mod audit;
mod audit_view;
mod denials;
mod downloads;
mod jobs;
mod key_text;
mod keys;
mod labels;
mod permits;
mod principal;
mod quotas;
mod receipts;
mod submission;
mod uploads;
mod uploads_kept;
mod use_cases;

pub use actor::{Actor, Provider};
pub use address::{AddressError, EthereumAddress};
pub use assets::{
    AlgorithmName, AssetError, AssetFile, AssetFilter, AssetPage, Inspected, KnownFile, LastProvision, Precondition,
    Published, SourcesSeen, permissions_document,
};
pub use audit::{AuditError, AuditPage};
pub use audit_view::{AuditEntry, AuditFilter, AuditSelection};
pub use downloads::{DownloadError, OpenFile, ReadableFile};
pub use jobs::{
    ExplainedJob, JobError, JobFilter, JobLog, JobPage, JobWatch, ProviderFilter, ReviewNotice, ReviewWait,
    WaitingReview,
};
pub use keys::{KeyError, KeyLifetimes, KeyRefusal, KeyRequest, NewKey, given_key, new_key};
pub use labels::{AGREEMENT, ALGORITHM, ENVIRONMENT, OWNER, OWNER_AS_SENT, PROVIDER, UPLOAD, datasets_of, label_of};
pub use permits::{Permit, Permits, TooMany};
pub use principal::{NeedsRole, Principal, Via};
pub use quotas::Quotas;
pub use receipts::{ReceiptError, SignedReceipt};
pub use submission::{
    Agreement, AlgorithmRef, DatasetRef, Explained, Identity, JobLabel, JobLabelError, RawSource, Register, Submission,
    SubmitError, Submitted, WantedLimits,
};
pub use uploads::{UploadError, UploadInProgress, Uploaded};
pub use uploads_kept::{UploadList, UsedBy};
pub use use_cases::{Clock, Options, OptionsError, UseCases};
