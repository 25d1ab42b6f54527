use super::{AssetKind, Credentials, ServiceKind};
use crate::{Account, Asset, Did, FilesChecksum, Sha256, Timestamp, container_section_checksum};

/// An asset without its description: what a list says of it, and what decides who may see it. A description may have a
/// megabyte, so a list never reads one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetSummary {
    /// Its name.
    pub did: Did,
    /// Dataset or algorithm.
    pub kind: AssetKind,
    /// Who published it.
    pub owner: Account,
    /// What its owner calls it.
    pub name: String,
    /// What its description calls it.
    pub title: String,
    /// How it may be used.
    pub services: Vec<ServiceSummary>,
    /// Who may use it at all.
    pub credentials: Credentials,
    /// When it was published first.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
    /// Grows by one with every change, from 1.
    pub revision: u64,
    /// When it was withdrawn.
    pub withdrawn: Option<Timestamp>,
    /// An algorithm's files, if they were read when it was published.
    pub files_checksum: Option<FilesChecksum>,
    /// An algorithm's container section.
    pub container_section_checksum: Option<Sha256>,
}

/// A service of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSummary {
    /// Its name in the description.
    pub id: String,
    /// Whether the files of the asset may be downloaded; otherwise they may only be computed on.
    pub is_access: bool,
}

impl Asset {
    /// The asset without its description.
    #[must_use]
    pub fn summary(&self) -> AssetSummary {
        let Self { ddo, owner, name, created, updated, revision, withdrawn, files } = self;
        let algorithm = ddo.metadata().algorithm.as_ref();
        let digests = files.iter().flatten().map(|file| file.sha256).collect();
        let service = |service: &super::Service| ServiceSummary {
            id: service.id.clone(),
            is_access: matches!(service.kind, ServiceKind::Access),
        };
        AssetSummary {
            did: ddo.id().clone(),
            kind: ddo.kind(),
            owner: owner.clone(),
            name: name.clone(),
            title: ddo.metadata().name.clone(),
            services: ddo.services().iter().map(service).collect(),
            credentials: ddo.credentials().clone(),
            created: *created,
            updated: *updated,
            revision: *revision,
            withdrawn: *withdrawn,
            files_checksum: algorithm.and(FilesChecksum::of(digests).ok()),
            container_section_checksum: algorithm.map(|algorithm| container_section_checksum(&algorithm.container)),
        }
    }
}
