use crate::date;
use cloister_model::{Asset, AssetKind, AssetSummary, ServiceSummary};
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
    kind: KindView,
    /// What its owner calls it.
    name: String,
    owner: String,
    title: String,
    services: Vec<ServiceView>,
    /// Its description. Where its files are, only its owner sees. Lists leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    ddo: Option<Value>,
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
    r#type: ServiceType,
}

/// What an asset is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AssetKind)]
enum KindView {
    Dataset,
    Algorithm,
}

/// What a service allows.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ServiceType {
    /// The files may be downloaded.
    Access,
    /// The files may only be computed on.
    Compute,
}

impl AssetView {
    /// As this principal may see it.
    pub(super) fn new(asset: &Asset, who: &Principal) -> Self {
        let ddo = if asset.owner == who.account { json!(asset.ddo) } else { asset.ddo.without_open_sources() };
        Self { ddo: Some(ddo), ..Self::listed(asset.summary()) }
    }

    /// In a list.
    pub(super) fn listed(asset: AssetSummary) -> Self {
        let AssetSummary {
            did,
            kind,
            owner,
            name,
            title,
            services,
            credentials: _,
            created,
            updated,
            revision,
            withdrawn,
            files_checksum,
            container_section_checksum,
        } = asset;
        let service = |ServiceSummary { id, is_access }| ServiceView {
            id,
            r#type: match is_access {
                true => ServiceType::Access,
                false => ServiceType::Compute,
            },
        };
        Self {
            did: did.to_string(),
            kind: match kind {
                AssetKind::Dataset => KindView::Dataset,
                AssetKind::Algorithm => KindView::Algorithm,
            },
            name,
            owner: owner.to_string(),
            title,
            services: services.into_iter().map(service).collect(),
            ddo: None,
            revision,
            created: date::write(created),
            updated: date::write(updated),
            withdrawn: withdrawn.map(date::write),
            files_checksum: files_checksum.map(|checksum| checksum.to_string()),
            container_section_checksum: container_section_checksum.map(|checksum| checksum.to_string()),
        }
    }
}
