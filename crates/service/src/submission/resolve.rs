use super::{AlgorithmRef, DatasetRef, RawSource, Share, SubmitError};
use crate::{UseCases, assets::ONE_FILE};
use cloister_model::{Account, Asset, Container, Did, JobSource, OceanProvider, Service, Source, Sources};

/// Bytes that the descriptions of all datasets of a job may have together.
const MOST_DESCRIPTION_BYTES: usize = 8 * 1024 * 1024;

/// A dataset that was found, and the service that is meant.
#[derive(Clone, Debug)]
pub(super) struct Dataset {
    pub(super) asset: Asset,
    pub(super) service: Service,
    pub(super) source: JobSource,
}

/// An algorithm that was found.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// The asset, and the service that is meant; none: the job brings the program.
    pub(super) published: Option<(Asset, Service)>,
    pub(super) container: Container,
    pub(super) source: JobSource,
}

pub(super) async fn datasets(
    use_cases: &UseCases,
    (owner, provider): (&Account, Option<&OceanProvider>),
    wanted: &[DatasetRef],
    share: &Share,
) -> Result<Vec<Dataset>, SubmitError> {
    let (mut datasets, mut bytes) = (Vec::with_capacity(wanted.len()), 0_usize);
    for DatasetRef { did, service, field } in wanted {
        let (asset, service) = find(use_cases, owner, did, service.as_deref(), field, share).await?;
        // A Provider can speak for whom it likes. What is not meant for it is not there.
        if provider.is_some_and(|provider| !asset.ddo.is_meant_for(provider.account.as_ref())) {
            return Err(SubmitError::NoSuchAsset { field: field.clone() });
        }
        if asset.ddo.metadata().algorithm.is_some() {
            return Err(SubmitError::field(field, "the asset is an algorithm; name a dataset"));
        }
        // They are in memory at once, and every job gives its program a copy.
        bytes = bytes.saturating_add(asset.ddo.size());
        if bytes > MOST_DESCRIPTION_BYTES {
            let problem = format!(
                "the descriptions of the datasets have more than {MOST_DESCRIPTION_BYTES} bytes together; name fewer datasets"
            );
            return Err(SubmitError::field(field, problem));
        }
        let source = source(&service, field)?;
        datasets.push(Dataset { asset, service, source });
    }
    Ok(datasets)
}

/// The algorithm of a request: one file.
pub(super) async fn program(
    use_cases: &UseCases,
    owner: &Account,
    wanted: &AlgorithmRef,
    share: &Share,
) -> Result<Program, SubmitError> {
    let program = find_program(use_cases, owner, wanted, share).await?;
    // Earlier versions published algorithms with several files.
    match &program.source {
        JobSource::Files(files) if files.files().len() > 1 => Err(SubmitError::field("algorithm", ONE_FILE)),
        _ => Ok(program),
    }
}

async fn find_program(
    use_cases: &UseCases,
    owner: &Account,
    wanted: &AlgorithmRef,
    share: &Share,
) -> Result<Program, SubmitError> {
    const FIELD: &str = "algorithm";
    match wanted {
        AlgorithmRef::Published { did, service } => {
            let (asset, service) = find(use_cases, owner, did, service.as_deref(), FIELD, share).await?;
            let Some(algorithm) = &asset.ddo.metadata().algorithm else {
                return Err(SubmitError::field(FIELD, "the asset is a dataset; name an algorithm"));
            };
            let container = algorithm.container.clone();
            let source = source(&service, FIELD)?;
            Ok(Program { published: Some((asset, service)), container, source })
        }
        AlgorithmRef::Raw { source, container } => {
            let source = match source {
                RawSource::Code(code) => JobSource::Rawcode(code.clone()),
                RawSource::Upload(sha256) => {
                    if use_cases.backend().upload(*sha256, owner.clone()).await?.is_none() {
                        let problem = "you sent no such file; send it to /v1/uploads first";
                        return Err(SubmitError::field("algorithm.upload", problem));
                    }
                    JobSource::Files(Source::upload(*sha256).into())
                }
                RawSource::Urls(urls) => {
                    let files = Sources::new(urls.iter().cloned().map(Source::url).collect());
                    JobSource::Files(files.map_err(|error| SubmitError::field(FIELD, error.to_string()))?)
                }
            };
            let wasm =
                || Container { image: "wasm".to_owned(), tag: None, entrypoint: "$ALGO".to_owned(), checksum: None };
            Ok(Program { published: None, container: container.clone().unwrap_or_else(wasm), source })
        }
    }
}

/// An asset that this account may use, and the service that is meant. A withdrawn asset cannot be used, by its owner either.
async fn find(
    use_cases: &UseCases,
    owner: &Account,
    did: &Did,
    service: Option<&str>,
    field: &str,
    share: &Share,
) -> Result<(Asset, Service), SubmitError> {
    let usable =
        |asset: &Asset| asset.withdrawn.is_none() && (asset.owner == *owner || asset.ddo.credentials().admit(owner));
    let asset = use_cases.backend().asset(did.clone()).await?.filter(usable);
    share.read(asset.as_ref());
    let asset = asset.ok_or_else(|| SubmitError::NoSuchAsset { field: field.to_owned() })?;
    let service =
        asset.ddo.service_meant(service).map_err(|error| SubmitError::field(field, error.to_string()))?.clone();
    Ok((asset, service))
}

fn source(service: &Service, field: &str) -> Result<JobSource, SubmitError> {
    let files = service.open_files().ok_or_else(|| {
        SubmitError::field(field, "its files are not described in a way that can be fetched here; ask its publisher")
    })?;
    Ok(JobSource::Files(files.clone()))
}
