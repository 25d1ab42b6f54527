use super::{AuditEvent, LastCheck, StoreFuture};
use crate::{Account, AssetKind, AssetSummary, Ddo, Did, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An asset as the registry holds it: its DDO with all its sources, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Asset {
    /// The description, sources in the clear included: see [`Ddo::without_open_sources`].
    pub ddo: Ddo,
    /// Who published it.
    pub owner: Account,
    /// What its owner calls it: unique among the owner's assets of its kind.
    pub name: String,
    /// When it was published first.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
    /// Grows by one with every change, from 1.
    pub revision: u64,
    /// When it was withdrawn: it can still be read by its owner, and no job may use it.
    pub withdrawn: Option<Timestamp>,
    /// Digests and sizes of its files in order, as they were when it was published; none if they were not read then.
    pub files: Option<Vec<super::FileDigest>>,
}

/// Which assets are asked for. Sorted by DID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetQuery {
    /// Datasets, or algorithms.
    pub kind: AssetKind,
    /// Those of this owner; none: of all owners.
    pub owner: Option<Account>,
    /// Those after this one; none: from the first on.
    pub after: Option<Did>,
    /// Withdrawn ones, too.
    pub withdrawn: bool,
    /// At most so many.
    pub at_most: u32,
}

/// A part of the assets that are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssetList {
    /// The assets, sorted by DID.
    pub assets: Vec<AssetSummary>,
    /// The asset after which the rest begins; none: this is the end.
    pub next: Option<Did>,
}

/// The assets of this Cloister.
pub trait Registry: fmt::Debug + Send + Sync {
    /// Stores an asset whose revision is one above the stored one's, 1 for a new one, and puts that on record: both or
    /// neither. Done when it is stored for good.
    ///
    /// # Errors
    /// [`StoreError::Conflict`](super::StoreError::Conflict) if it is not, or if the owner has another asset of that kind and name;
    /// [`StoreError::Quota`](super::StoreError::Quota) if the asset is new and its owner has `most` assets, also if several are
    /// stored at once.
    fn put_asset(&self, asset: Asset, most: u64, record: AuditEvent) -> StoreFuture<'_, ()>;

    /// One asset; none if there is none, withdrawn ones included.
    fn asset(&self, did: Did) -> StoreFuture<'_, Option<Asset>>;

    /// One asset by its owner's name for it.
    fn asset_named(&self, owner: Account, kind: AssetKind, name: String) -> StoreFuture<'_, Option<Asset>>;

    /// How many assets an account has, withdrawn ones included, and those that its unfinished jobs will register, as far as
    /// they were submitted [within](crate::Claim::within) a limit.
    fn asset_count(&self, owner: Account) -> StoreFuture<'_, u64>;

    /// The assets that are asked for, without their descriptions. A list ends earlier than asked for once it has about a
    /// megabyte.
    fn assets(&self, query: AssetQuery) -> StoreFuture<'_, AssetList>;

    /// Keeps the result of a check of the sources of a dataset, instead of that of an earlier check. It is not about
    /// rights, changes no revision, and is not on record: losing it loses a convenience. Of two at once, one counts.
    ///
    /// # Errors
    /// [`StoreError::Missing`](super::StoreError::Missing) if there is no such dataset.
    fn put_check(&self, dataset: Did, check: LastCheck) -> StoreFuture<'_, ()>;

    /// The result of the last check of the sources of a dataset; none if they were not checked, or there is no such dataset.
    fn last_check(&self, dataset: Did) -> StoreFuture<'_, Option<LastCheck>>;
}
