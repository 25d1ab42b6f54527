use super::{AlgorithmRef, DatasetRef, RawSource, SubmitError};
use crate::{state::Shared, visibility};
use cloister_model::{
    Account, Asset, Container, Ddo, Did, JobSource, Service, ServiceFiles, ServiceKind, Source, Sources, escape,
};

/// A dataset that is there, and the service that is meant.
#[derive(Clone, Debug)]
pub(super) struct Dataset {
    pub(super) asset: Asset,
    pub(super) service: Service,
    pub(super) source: JobSource,
}

/// An algorithm that is there.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// The asset, and the service that is meant; none: the job brings it.
    pub(super) published: Option<(Asset, Service)>,
    pub(super) container: Container,
    pub(super) source: JobSource,
}

pub(super) async fn datasets(
    shared: &Shared,
    owner: &Account,
    wanted: &[DatasetRef],
) -> Result<Vec<Dataset>, SubmitError> {
    let mut datasets = Vec::with_capacity(wanted.len());
    for DatasetRef { did, service, field } in wanted {
        let (asset, service) = find(shared, owner, did, service.as_deref(), field).await?;
        if asset.ddo.metadata().algorithm.is_some() {
            return Err(SubmitError::field(field, "the asset is an algorithm; name a dataset"));
        }
        let source = source(&service, field)?;
        datasets.push(Dataset { asset, service, source });
    }
    Ok(datasets)
}

pub(super) async fn program(shared: &Shared, owner: &Account, wanted: &AlgorithmRef) -> Result<Program, SubmitError> {
    const FIELD: &str = "algorithm";
    match wanted {
        AlgorithmRef::Published { did, service } => {
            let (asset, service) = find(shared, owner, did, service.as_deref(), FIELD).await?;
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
                    if shared.backend.upload(*sha256, owner.clone()).await?.is_none() {
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

/// An asset that this account may use, and the service that is meant. What is withdrawn is gone, for its owner too.
async fn find(
    shared: &Shared,
    owner: &Account,
    did: &Did,
    service: Option<&str>,
    field: &str,
) -> Result<(Asset, Service), SubmitError> {
    let asset = shared.backend.asset(did.clone()).await?;
    let asset = asset.filter(|asset| asset.withdrawn.is_none() && visibility::may_see(asset, owner));
    let asset = asset.ok_or_else(|| SubmitError::NoSuchAsset { field: field.to_owned() })?;
    let service = choose(&asset.ddo, service).map_err(|problem| SubmitError::field(field, problem))?.clone();
    Ok((asset, service))
}

/// The service with this id; without one, the only compute service, or else the only service.
pub(super) fn choose<'a>(ddo: &'a Ddo, wanted: Option<&str>) -> Result<&'a Service, String> {
    if let Some(id) = wanted {
        return ddo.service(id).ok_or_else(|| {
            let known: Vec<String> =
                ddo.services().iter().take(10).map(|service| escape(service.id.as_bytes(), 64).to_string()).collect();
            format!("the asset has no service with this id; it has: {}", known.join(", "))
        });
    }
    let computes = |service: &&Service| matches!(service.kind, ServiceKind::Compute(_));
    let mut compute = ddo.services().iter().filter(computes);
    match (compute.next(), compute.next(), ddo.services()) {
        (Some(only), None, _) | (None, None, [only]) => Ok(only),
        (_, _, []) => Err("the asset has no service".to_owned()),
        _ => Err("the asset has several services; name one".to_owned()),
    }
}

fn source(service: &Service, field: &str) -> Result<JobSource, SubmitError> {
    let files = service_files(service).ok_or_else(|| {
        SubmitError::field(field, "its files are not described in a way that can be fetched here; ask its publisher")
    })?;
    Ok(JobSource::Files(files.clone()))
}

/// The files of a service; none if it has none that can be fetched here.
pub(crate) fn service_files(service: &Service) -> Option<&Sources> {
    match &service.files {
        Some(ServiceFiles::Open(files)) => Some(files),
        Some(ServiceFiles::Encrypted(_) | ServiceFiles::Unsupported(_)) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn ddo(services: &[(&str, &str)]) -> Ddo {
        let services: Vec<Value> = services.iter().map(|(id, kind)| json!({"id": id, "type": kind})).collect();
        Ddo::from_value(json!({
            "id": "did:op:a", "metadata": {"type": "dataset", "name": "a"}, "services": services
        }))
        .expect("a DDO")
    }

    #[test]
    fn a_service_is_chosen_only_where_one_is_meant() {
        let chosen =
            |services: &[(&str, &str)], wanted| choose(&ddo(services), wanted).map(|found| found.id.clone()).ok();
        let both = [("a", "access"), ("c", "compute")];
        assert_eq!(chosen(&both, None).as_deref(), Some("c"));
        assert_eq!(chosen(&both, Some("a")).as_deref(), Some("a"));
        assert_eq!(chosen(&both, Some("b")), None);
        assert_eq!(chosen(&[("a", "access")], None).as_deref(), Some("a"));
        assert_eq!(chosen(&[("a", "access"), ("b", "access")], None), None);
        assert_eq!(chosen(&[("c", "compute"), ("d", "compute")], None), None);
        assert_eq!(chosen(&[], None), None);
    }
}
