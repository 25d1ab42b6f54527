use super::{AssetError, Precondition};
use crate::{EthereumAddress, Principal, UseCases, submission::Counted};
use cloister_model::{
    Account, Asset, AssetKind, AuditAction, AuditEvent, Ddo, FileDigest, Inspection, Manifest, ManifestError, Role,
    Sha256,
};
use serde_json::{Value, json};

/// An asset that was published or changed.
#[derive(Clone, Debug)]
pub struct Published {
    /// As it is stored now.
    pub asset: Asset,
    /// Whether there was no asset of its DID before.
    pub new: bool,
}

impl UseCases {
    /// Publishes what a manifest or a DDO describes, or changes it. Done when it is stored and on record.
    ///
    /// The files of an algorithm are fetched once, to know their digests: publishers of data can then trust exactly these
    /// bytes. The files of a dataset are not fetched.
    ///
    /// # Errors
    /// Why not. [`AssetError::Pending`] while the files of an algorithm are being fetched: the same call again continues.
    /// [`AssetError::Changed`] if the precondition does not hold.
    pub async fn publish(
        &self,
        who: &Principal,
        kind: AssetKind,
        document: Value,
        precondition: &Precondition,
    ) -> Result<Published, AssetError> {
        who.must_be(match kind {
            AssetKind::Algorithm => Role::Author,
            AssetKind::Dataset => Role::Publisher,
        })?;
        let owner = &who.account;
        if Manifest::is_meant(&document) {
            let manifest = Manifest::from_value(&document)?;
            if manifest.kind() != kind {
                return Err(AssetError::OtherKind(manifest.kind()));
            }
            return self.publish_as_written(owner, &manifest, precondition).await;
        }
        let (ddo, name) = read_ddo(document)?;
        if ddo.kind() != kind {
            return Err(AssetError::OtherKind(ddo.kind()));
        }
        self.publish_described(owner, ddo, name, precondition).await
    }

    /// As [`UseCases::publish`], for an owner whose right to publish does not come from this service: the operator of a cluster,
    /// who gave the account a namespace to apply manifests in.
    ///
    /// # Errors
    /// As [`UseCases::publish`].
    pub async fn publish_manifest(&self, owner: &Account, manifest: &Manifest) -> Result<Published, AssetError> {
        self.publish_as_written(owner, manifest, &Precondition::Any).await
    }

    /// Publishes a manifest. Errors name fields as they stand in it.
    async fn publish_as_written(
        &self,
        owner: &Account,
        manifest: &Manifest,
        precondition: &Precondition,
    ) -> Result<Published, AssetError> {
        let (ddo, name) = (manifest.ddo(owner)?, manifest.name().to_string());
        let published = self.publish_described(owner, ddo, name, precondition).await;
        published.map_err(|error| match error {
            AssetError::Field { field: Some(field), problem } => {
                AssetError::Field { field: Some(manifest.place(&field)), problem }
            }
            error => error,
        })
    }

    async fn publish_described(
        &self,
        owner: &Account,
        ddo: Ddo,
        name: String,
        precondition: &Precondition,
    ) -> Result<Published, AssetError> {
        let kind = ddo.kind();
        let counted = self.count(owner, &ddo).await;
        let before = self.backend().asset(ddo.id().clone()).await?;
        self.check_sources(owner, &ddo, before.as_ref()).await?;
        self.check_programs(owner, &ddo).await?;
        if before.as_ref().is_some_and(|asset| asset.owner != *owner || asset.ddo.kind() != kind) {
            return Err(AssetError::DidTaken);
        }
        if let Precondition::Revisions(revisions) = precondition
            && !before.as_ref().is_some_and(|asset| revisions.contains(&asset.revision))
        {
            return Err(AssetError::Changed);
        }
        if before.is_none() {
            self.check_asset_quota(owner).await?;
        }
        let unchanged = |asset: &Asset| asset.withdrawn.is_none() && asset.ddo == ddo && asset.name == name;
        if kind == AssetKind::Dataset
            && let Some(asset) = before.clone().filter(unchanged)
        {
            return Ok(Published { asset, new: false });
        }
        let files = match kind {
            AssetKind::Algorithm => self.inspect_algorithm(owner, &ddo).await?,
            AssetKind::Dataset => None,
        };
        let now = self.now();
        let asset = Asset {
            owner: owner.clone(),
            name,
            created: before.as_ref().map_or(now, |asset| asset.created),
            updated: now,
            revision: before.as_ref().map_or(1, |asset| asset.revision + 1),
            withdrawn: None,
            files,
            ddo,
        };
        self.put_asset(owner, AuditAction::AssetPublished, &asset, json!({"name": asset.name}), &counted).await?;
        Ok(Published { asset, new: before.is_none() })
    }

    /// Stores an asset that was counted, together with its record.
    pub(super) async fn put_asset(
        &self,
        actor: &Account,
        action: AuditAction,
        asset: &Asset,
        mut detail: Value,
        _counted: &Counted,
    ) -> Result<(), AssetError> {
        detail["revision"] = asset.revision.into();
        let record = AuditEvent {
            at: self.now(),
            actor: actor.key().to_owned(),
            action,
            subject: asset.ddo.id().to_string(),
            detail: detail.to_string(),
        };
        Ok(self.backend().put_asset(asset.clone(), self.options().quotas.assets, record).await?)
    }

    /// The digests of an algorithm's files: those of the service that is meant if a request names none. None if several
    /// services could be meant: then every request names one, and its files are checked when they run.
    async fn inspect_algorithm(&self, owner: &Account, ddo: &Ddo) -> Result<Option<Vec<FileDigest>>, AssetError> {
        let Ok(service) = ddo.service_meant(None) else { return Ok(None) };
        let files = service.open_files().ok_or_else(|| AssetError::field("services", "have no files"))?;
        match self.backend().inspect(owner.clone(), files.clone(), self.options().patience).await? {
            Inspection::Ready(files) => Ok(Some(files)),
            Inspection::Pending => Err(AssetError::Pending),
            Inspection::Failed(why) => Err(AssetError::Source(why)),
        }
    }
}

/// Reads an asset that is published as a DDO. Its name is the identifier in its DID.
fn read_ddo(document: Value) -> Result<(Ddo, String), AssetError> {
    let ddo = Ddo::from_value(document).map_err(ManifestError::from)?;
    if !may_be_called(&ddo) {
        let problem = "is not the one that belongs to `nftAddress` and `chainId`; keep the DDO as the catalogue has it";
        return Err(AssetError::field("id", problem));
    }
    let name = ddo.id().id().to_owned();
    Ok((ddo, name))
}

/// Whether an asset that is published as a DDO may have its DID. A DID of 64 hexadecimal digits looks like those that this
/// registry derives from owner and name. So it must be the one that Ocean derives from the asset's NFT and chain (SHA-256 of
/// the address in its checksummed spelling, and the number); otherwise, a publisher could take the DID of another publisher's
/// asset before the asset is published.
fn may_be_called(ddo: &Ddo) -> bool {
    let id = ddo.id().id();
    if id.len() != 64 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return true;
    }
    let (Some(address), Some(chain)) = (ddo.nft_address(), ddo.chain_id()) else { return false };
    let Ok(parsed) = address.parse::<EthereumAddress>() else { return false };
    Sha256::of(format!("{}{chain}", parsed.checksummed()).as_bytes()).to_string() == id.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_did_cannot_be_taken_before_its_owner_publishes() {
        let ddo = |id: &str, chain: u64| {
            let document = json!({"id": format!("did:op:{id}"), "chainId": chain,
                "nftAddress": "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
                "metadata": {"type": "dataset", "name": "d"}, "services": []});
            Ddo::from_value(document).expect("a DDO")
        };
        // printf 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed8996 | sha256sum
        let own = "1e668768111c2204e99f176a14a31ff1d1fb432765519483826bb24c1f52b94f";
        assert!(may_be_called(&ddo(own, 8996)) && !may_be_called(&ddo(own, 1)));
        let owner = "alice".parse().expect("an account");
        let registered = Manifest::did(&owner, AssetKind::Dataset, &"penguins".parse().expect("a name"));
        assert!(!may_be_called(&ddo(registered.id(), 8996)));
        assert!(may_be_called(&ddo("penguins", 8996)), "a name of another form");
    }
}
