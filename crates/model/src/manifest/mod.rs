//! How a publisher writes an asset: a short document that becomes a DDO.

mod document;

pub use document::{AssetName, AssetNameError, Manifest, ManifestError};
