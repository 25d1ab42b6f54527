//! The words of Cloister, as types.
//!
//! Everything that crosses a border between parts (assets and their permissions, the workflow, a job's phases, limits,
//! the output contract, what a module asks for, how a run ended, the report) is defined here once, together with the pure decisions about it. Nothing in this crate reads a
//! file, a clock or the network.

#![forbid(unsafe_code)]

mod account;
mod admission;
mod asset;
mod checksum;
mod container;
mod did;
mod digest;
mod entrypoint;
mod escape;
mod inputs;
mod inspected;
mod isolation;
mod job;
mod json;
mod limits;
mod manifest;
mod names;
mod orders;
mod outcome;
mod output_contract;
mod parameters;
mod permissions;
mod phase;
mod ports;
mod profile;
mod receipt;
mod recipient;
mod release;
mod report;
mod secret;
mod shell;
mod size;
mod source;
mod variables;
mod workflow;

pub use account::{Account, AccountError};
pub use admission::{Admission, Capability, Import, MemoryType, ModuleKind, Refusal, Rule, Toolchain, Verdict};
pub use asset::{
    Algorithm, AssetKind, AssetSummary, Column, ColumnType, Container, Credentials, CredentialsEntry, Ddo, DdoError,
    MOST_DDO_BYTES, Metadata, Service, ServiceError, ServiceFiles, ServiceKind, ServiceSummary, TableSchema,
};
pub use checksum::{FilesChecksum, FilesChecksumError, MOST_FILES, container_section_checksum};
pub use container::{
    ALGORITHM_FILE, CanaryMessage, CanaryVersion, Command, CommandError, ContainerEnd, ImageError, PinnedImage,
};
pub use did::{Did, DidError};
pub use digest::{DigestError, Sha256};
pub use entrypoint::{
    CommandLine, EntrypointError, FillError, MOST_ARGUMENT_BYTES, MOST_ARGUMENTS, MOST_INPUT_BYTES, StandardInput,
    check_arguments, fill_arguments,
};
pub use escape::{Escaped, escape};
pub use inputs::{InputFile, Inputs, MountedFile, MountedFiles};
pub use inspected::{InspectedProgram, InspectedScript};
pub use isolation::{Isolation, Wall, WallState};
pub use job::{
    Approval, ByteRange, Delivery, FailureDetail, Fault, JobAlgorithm, JobCard, JobCursor, JobId, JobIdError, JobInput,
    JobRecord, JobSource, JobSpec, JobStatus, LabelError, Labels, LogRelease, OceanProvider, Progress, Reason,
    RecordedAsset, RecordedDataset, ResultFile, ResultKind, ResultSet, Review, Seen, StatusError, Step, StoreWait,
    TimeLimits, Timestamp, WithheldLog,
};
pub use json::{FieldError, FieldProblem, WithoutDuplicates};
pub use limits::{CompileLimits, Limit, Limits, LimitsError};
pub use manifest::{AssetName, AssetNameError, Manifest, ManifestError};
pub use names::{EnvironmentId, InterpreterId, NameError};
pub use orders::{
    ConfigureOrder, FilterOrder, GuestFile, ListDigest, MOST_MESSAGE_BYTES, MessageVersion, OrderedAlgorithm,
    PublishOrder, RunEnd, RunSummary, Said, StepFailure, StepMessage, StepName, StepReport, StepResult, StepVersion,
};
pub use outcome::{Outcome, TrapKind};
pub use output_contract::{NamePattern, NamePatternError, OutputContract, OutputContractError};
pub use parameters::{
    MOST_PARAMETER_BYTES, Parameter, ParameterError, ParameterKind, ParameterRule, resolve_parameters,
};
pub use permissions::{
    AdmittedBy, AdmittedDataset, AlgorithmOrigin, Decision, Denial, DenialRule, Environment, OutputPolicy, Permissions,
    PublishedAlgorithm, RequestError, RequestedAlgorithm, RequestedDataset, RuntimeKind, Terms, Trusted,
    TrustedAlgorithm, check_files_checksum, container_denials, decide, plain_sizes,
};
pub use phase::{Event, ImpossibleStep, Phase};
pub use ports::{
    ApiKey, Archived, Asset, AssetLimit, AssetList, AssetQuery, AuditAction, AuditBreak, AuditEvent, AuditLog,
    AuditRecord, Backend, CheckedSource, Claim, ClaimKind, Claims, Distribution, EngineError, EngineFigures,
    EngineFuture, EnvironmentStatus, Explanation, FileDigest, Inspection, Inspections, JobParameters, JobQuery, Jobs,
    KeyId, KeyIdError, Keyring, LastCheck, LogPart, LogScope, Outputs, PhaseChange, Quota, QuotaExceeded, Registry,
    ReviewVerdict, Role, SourceCheck, SourceOutcome, StoreError, StoreFuture, StrangerLimit, Unavailability, Upload,
    UploadLimits, UploadQuery, Uploads,
};
pub use profile::Profile;
pub use receipt::{Opening, RECEIPT_VERSION, Receipt, ReceiptDataset, ReceiptOutputs, Sealed, StoredReceipt};
pub use recipient::{AgeRecipient, AgeRecipientError};
pub use release::{
    Check, ColumnMinimum, CsvRules, FieldMinimum, JsonRules, MOST_CHECKS, MOST_REVIEWERS, MediaPattern,
    MediaPatternError, NumberMinimum, ReleaseRules, Zero,
};
pub use report::{AlgorithmReport, EngineReport, FileReport, LogReport, REPORT_VERSION, Report, RuntimeReport, Usage};
pub use secret::Secret;
pub use size::{ByteSize, ByteSizeError};
pub use source::{
    Headers, HttpMethod, HttpSource, HttpUrl, HttpUrlError, IpfsPath, LocalPath, Location, S3Credentials, S3Object,
    Source, Sources, StoredResults, StoredResultsError, StoredResultsFuture, UnsupportedSources,
};
pub use variables::algorithm_variables;
pub use workflow::{
    MOST_RAWCODE_BYTES, MOST_WORKFLOW_BYTES, Remote, Workflow, WorkflowAlgorithm, WorkflowError, WorkflowInput,
    WorkflowOrigin, WorkflowSource,
};
