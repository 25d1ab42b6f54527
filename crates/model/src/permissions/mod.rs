//! Who may run what on which dataset: the compute service's rules, and the one decision over them.

mod decision;
mod denial;
mod output_policy;
mod request;
mod rules;
mod summary;

pub use decision::{AdmittedBy, AdmittedDataset, Decision, Terms, check_files_checksum, container_denials, decide};
pub use denial::{Denial, DenialRule};
pub use output_policy::{OutputPolicy, plain_sizes};
pub use request::{
    AlgorithmOrigin, Environment, PublishedAlgorithm, RequestError, RequestedAlgorithm, RequestedDataset,
};
pub use rules::{Permissions, RuntimeKind, Trusted, TrustedAlgorithm};
