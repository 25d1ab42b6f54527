//! How a publisher writes an asset: a short document that becomes a DDO.

mod document;
mod files;

pub use document::{AssetName, AssetNameError, Manifest, ManifestError};
pub use files::{SourceKind, file_objects};
