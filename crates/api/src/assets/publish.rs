use crate::{
    auth::sha256,
    ethereum::Address,
    problem::Problem,
    state::Shared,
    submission::{OWNER, service_files},
};
use cloister_model::{
    Account, Asset, AssetKind, AuditAction, AuditEvent, Ddo, FileDigest, JobId, Location, Manifest, ManifestError,
    ServiceFiles, ServiceKind, StoreError,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

/// An asset that was published or changed.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) asset: Asset,
    /// Whether there was none of its name before.
    pub(crate) new: bool,
}

/// Publishes what a manifest or a DDO describes, or changes it. Done when it is stored and on record.
///
/// The files of an algorithm are fetched once, to know what they are: publishers of data can then trust these very bytes. A
/// dataset's are not.
pub(crate) async fn publish(
    shared: &Shared,
    owner: &Account,
    kind: AssetKind,
    document: Value,
) -> Result<Published, Problem> {
    let (ddo, name) = describe(owner, document)?;
    if ddo.kind() != kind {
        let detail = match kind {
            AssetKind::Dataset => "this is an algorithm; send it to /v1/algorithms",
            AssetKind::Algorithm => "this is a dataset; send it to /v1/datasets",
        };
        return Err(Problem::field("kind", detail));
    }
    check_sources(shared, owner, &ddo).await?;
    check_programs(shared, owner, &ddo).await?;
    let before = shared.backend.asset(ddo.id().clone()).await?;
    if before.as_ref().is_some_and(|asset| asset.owner != *owner || asset.ddo.kind() != kind) {
        return Err(Problem::conflict("did-taken", "another asset has this DID; publish under another one"));
    }
    let unchanged = |asset: &Asset| asset.withdrawn.is_none() && asset.ddo == ddo && asset.name == name;
    if kind == AssetKind::Dataset
        && let Some(asset) = before.clone().filter(unchanged)
    {
        return Ok(Published { asset, new: false });
    }
    let files = match kind {
        AssetKind::Algorithm => Some(fetch(shared, &ddo).await?),
        AssetKind::Dataset => None,
    };
    let now = shared.now();
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
    store(shared, owner, AuditAction::AssetPublished, &asset, &json!({"name": asset.name})).await?;
    Ok(Published { asset, new: before.is_none() })
}

/// Stores an asset and puts that on record.
pub(super) async fn store(
    shared: &Shared,
    actor: &Account,
    action: AuditAction,
    asset: &Asset,
    detail: &Value,
) -> Result<(), Problem> {
    let mut detail = detail.clone();
    detail["revision"] = asset.revision.into();
    let event = AuditEvent {
        at: shared.now(),
        actor: actor.key().to_owned(),
        action,
        subject: asset.ddo.id().to_string(),
        detail: detail.to_string(),
    };
    shared.backend.put_asset(asset.clone(), event).await.map_err(|error| match error {
        StoreError::Conflict => Problem::conflict(
            "conflict",
            "it was changed meanwhile, or you have another asset of this name; read it again and repeat the change",
        ),
        other => other.into(),
    })
}

/// The DDO, and its owner's name for it: a DDO that comes as such is called by its identifier.
fn describe(owner: &Account, document: Value) -> Result<(Ddo, String), Problem> {
    if Manifest::is_meant(&document) {
        let manifest = Manifest::from_value(&document)?;
        return Ok((manifest.ddo(owner)?, manifest.name().to_string()));
    }
    let ddo = Ddo::from_value(document).map_err(ManifestError::from)?;
    if !may_be_called(&ddo) {
        let detail = "is not the one that belongs to `nftAddress` and `chainId`; keep the DDO as the catalogue has it";
        return Err(Problem::field("id", detail));
    }
    let name = ddo.id().id().to_owned();
    Ok((ddo, name))
}

/// Whether a DDO that comes as such may have its DID. One of 64 hexadecimal digits looks like those that this registry makes
/// of owner and name: it must be what Ocean makes of the asset's NFT and chain (SHA-256 of the address, with the letter
/// case of its checksum, and the number), so that nobody takes the name of somebody else's asset first.
fn may_be_called(ddo: &Ddo) -> bool {
    let id = ddo.id().id();
    if id.len() != 64 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return true;
    }
    let (Some(address), Some(chain)) = (ddo.nft_address(), ddo.chain_id()) else { return false };
    let Ok(parsed) = address.parse::<Address>() else { return false };
    sha256(format!("{}{chain}", parsed.checksummed()).as_bytes()).to_string() == id.to_ascii_lowercase()
}

/// What is fetched later is fetched as this Cloister, which may read what the publisher may not: so that uploads and results
/// must be the publisher's own. (Which paths of this machine may be read is the operator's word, kept by the engine.)
async fn check_sources(shared: &Shared, owner: &Account, ddo: &Ddo) -> Result<(), Problem> {
    if ddo.services().is_empty() {
        return Err(Problem::field("services", "an asset without a service is of no use to anybody; give it one"));
    }
    for (at, service) in ddo.services().iter().enumerate() {
        let path = format!("services[{at}].files");
        let files = match &service.files {
            Some(ServiceFiles::Open(files)) => files,
            Some(ServiceFiles::Unsupported(error)) => return Err(error.clone().into()),
            Some(ServiceFiles::Encrypted(_)) => {
                return Err(Problem::field(path, "is encrypted for somebody else; describe the files in the clear"));
            }
            None => return Err(Problem::field(path, "is missing; say where the files are")),
        };
        for (n, source) in files.files().iter().enumerate() {
            let own = match source.location() {
                Location::Upload(sha256) => shared.backend.upload(*sha256, owner.clone()).await?.is_some(),
                Location::Result { job, index: _ } => owns(shared, owner, *job).await?,
                Location::Local(path) => may_name(&shared.settings.local_roots, owner, path.as_path()),
                Location::Url(_) | Location::Ipfs(_) | Location::S3(_) | Location::Inline(_) => true,
            };
            if !own {
                let detail = match source.location() {
                    Location::Local(_) => "is in no folder whose files you may name; ask the operator for one",
                    _ => "names nothing of yours; upload it first",
                };
                return Err(Problem::field(format!("{path}[{n}]"), detail));
            }
        }
    }
    Ok(())
}

/// Programs that are asked about outputs must be there, and the publisher's own: what somebody else sent is theirs.
pub(super) async fn check_programs(shared: &Shared, owner: &Account, ddo: &Ddo) -> Result<(), Problem> {
    for (at, service) in ddo.services().iter().enumerate() {
        let ServiceKind::Compute(permissions) = &service.kind else { continue };
        for (n, check) in permissions.output_contract.release.checks.iter().enumerate() {
            if shared.backend.upload(check.sha256, owner.clone()).await?.is_none() {
                let path = format!("services[{at}].compute.outputContract.checks[{n}]");
                return Err(Problem::field(path, "names no program of yours; upload it first"));
            }
        }
    }
    Ok(())
}

/// Whether a file of this machine may be the account's: it lies in a folder that the operator has given to it. Told by the
/// letters of the path alone, so that nothing is learnt of what is there.
fn may_name(roots: &BTreeMap<String, Vec<PathBuf>>, owner: &Account, path: &Path) -> bool {
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let given = [owner.key(), "*"].into_iter().filter_map(|account| roots.get(account)).flatten();
    plain && given.into_iter().any(|root| path.starts_with(root))
}

async fn owns(shared: &Shared, owner: &Account, job: JobId) -> Result<bool, Problem> {
    match shared.backend.status(job).await {
        Ok(status) => Ok(status.labels.get(OWNER) == Some(owner.key())),
        Err(cloister_model::EngineError::NoSuchJob(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What an algorithm's files are: those of the service that is chosen if none is named.
async fn fetch(shared: &Shared, ddo: &Ddo) -> Result<Vec<FileDigest>, Problem> {
    let computes = |service: &&cloister_model::Service| matches!(service.kind, ServiceKind::Compute(_));
    let service = ddo.services().iter().find(computes).or_else(|| ddo.services().first());
    let files = service.and_then(service_files).ok_or_else(|| Problem::field("services", "have no files"))?;
    Ok(shared.backend.fetch_files(files.clone()).await?)
}

impl From<ManifestError> for Problem {
    fn from(error: ManifestError) -> Self {
        let detail = error.to_string();
        let field = match error {
            ManifestError::Field(error) | ManifestError::Ddo(cloister_model::DdoError::Field(error)) => {
                Some(error.field)
            }
            ManifestError::Ddo(_) => None,
        };
        Self { field, ..Self::field("", detail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_this_machine_belongs_to_whom_the_operator_gave_its_folder() {
        let roots = BTreeMap::from([
            ("alice".to_owned(), vec![PathBuf::from("/srv/alice")]),
            ("*".to_owned(), vec![PathBuf::from("/srv/all")]),
        ]);
        for (who, path, expected) in [
            ("alice", "/srv/alice/a.csv", true),
            ("alice", "/srv/all/a.csv", true),
            ("bob", "/srv/all/a.csv", true),
            ("bob", "/srv/alice/a.csv", false),
            ("alice", "/srv/alice2/a.csv", false),
            ("bob", "/srv/all/../alice/a.csv", false),
            ("alice", "/etc/passwd", false),
        ] {
            assert_eq!(may_name(&roots, &who.parse().expect("an account"), Path::new(path)), expected, "{who} {path}");
        }
    }

    #[test]
    fn nobody_takes_a_name_first() {
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
