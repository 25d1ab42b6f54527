use crate::{
    problem::Problem,
    state::Shared,
    submission::{OWNER, service_files},
};
use cloister_model::{
    Account, Asset, AssetKind, AuditAction, AuditEvent, Ddo, FileDigest, JobId, Manifest, ManifestError, Secret,
    ServiceKind, SourceKind, Sources, StoreError, file_objects,
};
use serde_json::{Value, json};

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
    let before = shared.backend.asset(ddo.id().clone()).await?;
    if before.as_ref().is_some_and(|asset| asset.owner != *owner || asset.ddo.kind() != kind) {
        return Err(Problem::conflict("did-taken", "another asset has this DID; publish under another one"));
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
    shared.backend.put_asset(asset.clone()).await.map_err(|error| match error {
        StoreError::Conflict => Problem::conflict(
            "conflict",
            "it was changed meanwhile, or you have another asset of this name; read it again and repeat the change",
        ),
        other => other.into(),
    })?;
    let mut detail = detail.clone();
    detail["revision"] = asset.revision.into();
    let event = AuditEvent {
        at: shared.now(),
        actor: actor.key().to_owned(),
        action,
        subject: asset.ddo.id().to_string(),
        detail: detail.to_string(),
    };
    Ok(shared.backend.record(vec![event]).await?)
}

/// The DDO, and its owner's name for it: a DDO that comes as such is called by its identifier.
fn describe(owner: &Account, document: Value) -> Result<(Ddo, String), Problem> {
    if Manifest::is_meant(&document) {
        let manifest = Manifest::from_value(&document)?;
        return Ok((manifest.ddo(owner)?, manifest.name().to_string()));
    }
    let ddo = Ddo::from_value(document).map_err(ManifestError::from)?;
    let name = ddo.id().id().to_owned();
    Ok((ddo, name))
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
            Some(Sources::Open(files)) => files.expose(),
            Some(Sources::Encrypted(_)) => {
                return Err(Problem::field(path, "is encrypted for somebody else; describe the files in the clear"));
            }
            None => return Err(Problem::field(path, "is missing; say where the files are")),
        };
        let (_, kinds) = file_objects(&path, files)?;
        for (n, kind) in kinds.iter().enumerate() {
            let own = match kind {
                SourceKind::Upload(sha256) => shared.backend.upload(*sha256, owner.clone()).await?.is_some(),
                SourceKind::Result(job) => owns(shared, owner, job).await?,
                SourceKind::Url | SourceKind::Ipfs | SourceKind::S3 | SourceKind::Local | SourceKind::Inline => true,
            };
            if !own {
                return Err(Problem::field(format!("{path}[{n}]"), "names nothing of yours; upload it first"));
            }
        }
    }
    Ok(())
}

async fn owns(shared: &Shared, owner: &Account, job: &str) -> Result<bool, Problem> {
    let Ok(id) = job.parse::<JobId>() else { return Ok(false) };
    match shared.backend.status(id).await {
        Ok(status) => Ok(status.labels.get(OWNER) == Some(owner.key())),
        Err(cloister_model::EngineError::NoSuchJob(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What an algorithm's files are: those of the service that is chosen if none is named.
async fn fetch(shared: &Shared, ddo: &Ddo) -> Result<Vec<FileDigest>, Problem> {
    let computes = |service: &&cloister_model::Service| matches!(service.kind, ServiceKind::Compute(_));
    let service = ddo.services().iter().find(computes).or_else(|| ddo.services().first());
    let files = service.and_then(service_files).unwrap_or_default();
    Ok(shared.backend.fetch_files(Secret::new(files.into())).await?)
}

impl From<ManifestError> for Problem {
    fn from(error: ManifestError) -> Self {
        let detail = error.to_string();
        let field = match error {
            ManifestError::Field(error) | ManifestError::Ddo(cloister_model::DdoError::Field(error)) => {
                Some(error.field)
            }
            ManifestError::Unknown { path, .. } => Some(path),
            ManifestError::Ddo(_) => None,
        };
        Self { field, ..Self::field("", detail) }
    }
}
