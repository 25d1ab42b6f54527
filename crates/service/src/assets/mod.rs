//! Datasets and algorithms: publishing them, changing who may use them, reading and withdrawing them.

mod check;
mod error;
mod files;
mod permissions;
mod precondition;
mod publish;
mod read;
mod sources;

pub use check::{LastProvision, SourcesSeen};
pub use error::AssetError;
pub use files::{AssetFile, KnownFile};
pub use permissions::{AlgorithmName, Inspected, permissions_document};
pub use precondition::Precondition;
pub use publish::Published;
pub use read::{AssetFilter, AssetPage};

pub(crate) use files::RecentFiles;
pub(crate) use read::{may_inspect, may_see};
pub(crate) use sources::ONE_FILE;
