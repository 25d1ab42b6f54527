use super::AssetError;
use crate::{Principal, UseCases, submission::MANY};
use cloister_model::{
    Account, Asset, AssetKind, AssetList, AssetName, AssetQuery, AssetSummary, AuditAction, Credentials, Did, Manifest,
    Role,
};
use serde_json::json;

/// Assets that are read from the registry at once for one page of an answer.
const MOST_AT_ONCE: u32 = 1000;

/// Which assets are asked for.
#[derive(Clone, Debug)]
pub struct AssetFilter {
    /// Datasets or algorithms.
    pub kind: AssetKind,
    /// Those of this account.
    pub owner: Option<Account>,
    /// Those that their owner calls this.
    pub name: Option<String>,
    /// Those after this one; none: from the first on.
    pub after: Option<Did>,
    /// At most so many.
    pub at_most: u32,
}

/// A part of a list of assets, sorted by DID.
#[derive(Clone, Debug, Default)]
pub struct AssetPage {
    /// The assets.
    pub assets: Vec<AssetSummary>,
    /// The asset after which the rest begins: the last of this page; none: this is the end. An asset that the reader may not see is
    /// never named here, and decides neither whether a page is full nor whether there is a rest.
    pub next: Option<Did>,
}

/// Whether a principal may see that an asset exists: its owner and operators always, others as long as it is not withdrawn
/// and its `credentials` admit them, or its author asks them to inspect it.
pub(crate) fn may_see(asset: &Asset, who: &Principal) -> bool {
    may(who, &asset.owner, asset.withdrawn.is_some(), asset.ddo.credentials())
        || (asset.withdrawn.is_none() && may_inspect(asset, who))
}

/// The same, for an asset of a list, which does not say whom the author asks to inspect it.
fn may_see_listed(asset: &AssetSummary, who: &Principal) -> bool {
    may(who, &asset.owner, asset.withdrawn.is_some(), &asset.credentials)
}

fn may(who: &Principal, owner: &Account, withdrawn: bool, credentials: &Credentials) -> bool {
    who.is_or_operates(owner) || (!withdrawn && credentials.admit(&who.account))
}

/// Whether the author of an algorithm asks a principal to inspect it: then its files can be read, too.
pub(crate) fn may_inspect(asset: &Asset, who: &Principal) -> bool {
    asset.ddo.metadata().algorithm.as_ref().is_some_and(|algorithm| algorithm.inspectors.contains(&who.account))
}

impl UseCases {
    /// An asset of this kind.
    ///
    /// # Errors
    /// [`AssetError::NotFound`], [`AssetError::Store`].
    pub async fn asset(&self, who: &Principal, kind: AssetKind, did: Did) -> Result<Asset, AssetError> {
        let may = |asset: &Asset| asset.ddo.kind() == kind && may_see(asset, who);
        self.read_asset(&who.account, did, may).await?.ok_or(AssetError::NotFound)
    }

    /// An asset of this kind that the principal may change: its owner, and operators if `operators`.
    pub(super) async fn find_own(
        &self,
        who: &Principal,
        kind: AssetKind,
        did: Did,
        operators: bool,
    ) -> Result<Asset, AssetError> {
        let may_change = |asset: &Asset| asset.owner == who.account || (operators && who.is(Role::Operator));
        let may = |asset: &Asset| asset.ddo.kind() == kind && may_change(asset);
        self.read_asset(&who.account, did, may).await?.ok_or(AssetError::NotFound)
    }

    /// The assets that a principal may see and asks for.
    ///
    /// # Errors
    /// [`AssetError::Store`].
    pub async fn assets(&self, who: &Principal, filter: AssetFilter) -> Result<AssetPage, AssetError> {
        let AssetFilter { kind, owner, name, mut after, at_most } = filter;
        if let (Some(owner), Some(name)) = (&owner, &name) {
            let named = (owner.clone(), kind, name.clone());
            let found = self.read_asset_named(&who.account, named, |asset| may_see(asset, who)).await?;
            let assets = found.into_iter().map(|asset| asset.summary()).collect();
            return Ok(AssetPage { assets, next: None });
        }
        // Reading on until there is something to show is work, so an account does it for few lists at once.
        let _share = self.shares().take(&who.account, MANY).await;
        let mut assets: Vec<AssetSummary> = Vec::new();
        // One more than asked for, to know whether there is a rest. Where most are hidden, more and more.
        let mut at_once = at_most.saturating_add(1);
        loop {
            let withdrawn = owner.as_ref().is_some_and(|owner| who.is_or_operates(owner));
            let query = AssetQuery { kind, owner: owner.clone(), after: after.clone(), withdrawn, at_most: at_once };
            let AssetList { assets: page, next } = self.backend().assets(query).await?;
            for asset in page {
                let is_named = name.as_ref().is_none_or(|name| asset.name == *name);
                if is_named && may_see_listed(&asset, who) {
                    if assets.len() >= at_most as usize {
                        let next = assets.last().map(|last| last.did.clone());
                        return Ok(AssetPage { assets, next });
                    }
                    // Who may see it was its use.
                    assets.push(AssetSummary { credentials: Credentials::default(), ..asset });
                }
            }
            if next.is_none() {
                return Ok(AssetPage { assets, next: None });
            }
            (after, at_once) = (next, at_once.saturating_mul(2).min(MOST_AT_ONCE));
        }
    }

    /// Withdraws an asset: no job can use it any more. For its owner and operators. Withdrawing it again changes nothing.
    ///
    /// # Errors
    /// Why not.
    pub async fn withdraw(&self, who: &Principal, kind: AssetKind, did: Did) -> Result<(), AssetError> {
        let asset = self.find_own(who, kind, did, true).await?;
        self.put_withdrawn(&who.account, asset).await
    }

    /// Withdraws what a manifest of this kind and name has published for its owner, who says so in a manifest again: see
    /// [`UseCases::publish_manifest`]. If there is nothing of it, nothing changes.
    ///
    /// # Errors
    /// Why not.
    pub async fn withdraw_manifest(
        &self,
        owner: &Account,
        kind: AssetKind,
        name: &AssetName,
    ) -> Result<(), AssetError> {
        match self.backend().asset(Manifest::did(owner, kind, name)).await? {
            Some(asset) if asset.owner == *owner => self.put_withdrawn(owner, asset).await,
            Some(_) | None => Ok(()),
        }
    }

    async fn put_withdrawn(&self, actor: &Account, asset: Asset) -> Result<(), AssetError> {
        if asset.withdrawn.is_some() {
            return Ok(());
        }
        let now = self.now();
        let asset = Asset { withdrawn: Some(now), updated: now, revision: asset.revision + 1, ..asset };
        let counted = self.count(actor, &asset.ddo).await;
        self.put_asset(actor, AuditAction::AssetWithdrawn, &asset, json!({}), &counted).await
    }
}
