use crate::date;
use cloister_model::{Asset, AssetKind, FilesChecksum, ServiceKind, container_section_checksum};
use cloister_service::Principal;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// A dataset or an algorithm.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Asset)]
pub(crate) struct AssetView {
    did: String,
    /// `dataset` or `algorithm`.
    kind: &'static str,
    /// What its owner calls it.
    name: String,
    owner: String,
    title: String,
    services: Vec<ServiceView>,
    /// Its description. Where its files are, only its owner sees.
    #[schema(value_type = Object)]
    ddo: Value,
    /// Grows with every change.
    revision: u64,
    #[schema(format = DateTime)]
    created: String,
    #[schema(format = DateTime)]
    updated: String,
    /// When it was withdrawn: no job can use it any more.
    #[schema(format = DateTime)]
    withdrawn: Option<String>,
    /// An algorithm's files, as datasets' permissions name them.
    #[serde(skip_serializing_if = "Option::is_none")]
    files_checksum: Option<String>,
    /// An algorithm's container section, as datasets' permissions name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    container_section_checksum: Option<String>,
}

/// How an asset may be used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Service)]
pub(crate) struct ServiceView {
    id: String,
    /// `access` or `compute`.
    r#type: &'static str,
}

impl AssetView {
    /// As this principal may see it.
    pub(super) fn new(asset: &Asset, who: &Principal) -> Self {
        let Asset { ddo, owner, name, created, updated, revision, withdrawn, files, .. } = asset;
        let algorithm = ddo.metadata().algorithm.as_ref();
        let files = files.iter().flatten().map(|file| file.sha256).collect();
        let document = if *owner == who.account { json!(ddo) } else { ddo.without_open_sources() };
        Self {
            did: ddo.id().to_string(),
            kind: match ddo.kind() {
                AssetKind::Dataset => "dataset",
                AssetKind::Algorithm => "algorithm",
            },
            name: name.clone(),
            owner: owner.to_string(),
            title: ddo.metadata().name.clone(),
            services: ddo
                .services()
                .iter()
                .map(|service| ServiceView {
                    id: service.id.clone(),
                    r#type: match service.kind {
                        ServiceKind::Access => "access",
                        ServiceKind::Compute(_) => "compute",
                    },
                })
                .collect(),
            ddo: document,
            revision: *revision,
            created: date::write(*created),
            updated: date::write(*updated),
            withdrawn: withdrawn.map(date::write),
            files_checksum: algorithm.and(FilesChecksum::of(files).ok()).map(|checksum| checksum.to_string()),
            container_section_checksum: algorithm
                .map(|algorithm| container_section_checksum(&algorithm.container).to_string()),
        }
    }
}
