//! The stored forms: how rows of the database are written, apart from the types that the program works with, so that
//! those may change.
//!
//! Rules, which the databases in `tests/fixtures` check:
//!
//! - A field is never renamed and never changes its meaning. A new field has a default (`#[serde(default)]`) that says what
//!   rows without it mean, so that old rows stay readable.
//! - Unknown fields, which a newer minor version wrote, are ignored where nothing depends on them (status, card, results,
//!   uploads, receipts). Where an unknown field may be a restriction (specification, terms, delivery, assets, keys), the row is
//!   refused rather than read without it.
//! - Values with a public text form (identifiers, digests, accounts, phases) and public documents with defaults for every
//!   field ([`OutputContract`], [`ReleaseRules`], [`Limits`]) are written as they are. So are a [`Ddo`], which carries
//!   whatever its publisher wrote, and two documents that have a version or a hash of their own and must stay letter for
//!   letter: [`Report`] and [`AuditRecord`].
//!
//! [`OutputContract`]: cloister_model::OutputContract
//! [`ReleaseRules`]: cloister_model::ReleaseRules
//! [`Limits`]: cloister_model::Limits
//! [`Ddo`]: cloister_model::Ddo
//! [`Report`]: cloister_model::Report
//! [`AuditRecord`]: cloister_model::AuditRecord

mod asset;
mod card;
mod key;
mod receipt;
mod results;
mod spec;
mod status;
mod summary;
mod terms;
#[cfg(test)]
mod tests;
mod upload;

pub(crate) use asset::AssetForm;
pub(crate) use card::CardForm;
pub(crate) use key::KeyForm;
pub(crate) use receipt::ReceiptForm;
pub(crate) use results::FileForm;
pub(crate) use spec::{Documents, SpecForm};
pub(crate) use status::StatusForm;
pub(crate) use summary::SummaryForm;
pub(crate) use upload::UploadForm;
