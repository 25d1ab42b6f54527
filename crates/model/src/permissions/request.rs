use super::{Permissions, RuntimeKind, Terms};
use crate::{
    Account, Asset, Credentials, Ddo, Did, FilesChecksum, Profile, ServiceKind, Sha256, container_section_checksum,
};
use std::collections::BTreeSet;

/// A dataset that a job asks for, through one of its services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedDataset {
    /// Which.
    pub did: Did,
    /// Through which service.
    pub service: String,
    /// What that service offers.
    pub kind: ServiceKind,
    /// Who may use the dataset at all.
    pub credentials: Credentials,
}

/// The algorithm that a job asks for, and what the job asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedAlgorithm {
    /// Whose it is.
    pub origin: AlgorithmOrigin,
    /// What it runs in.
    pub runtime: RuntimeKind,
    /// What it may learn of time and chance.
    pub profile: Profile,
}

/// Where an algorithm comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlgorithmOrigin {
    /// The job itself brought it: code, or a URL that no asset stands behind.
    Raw,
    /// An asset.
    Published(Box<PublishedAlgorithm>),
}

/// What is known of a published algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedAlgorithm {
    /// Which.
    pub did: Did,
    /// Through which service.
    pub service: String,
    /// Who published it, as the caller has established it: with Ocean the owner of its NFT and the NFT's contract. Never
    /// what a document says of itself.
    pub publishers: Vec<Account>,
    /// Whether its only service is `compute`.
    pub private: bool,
    /// Whether it is published in this Cloister's own registry, which then holds its files.
    pub held_here: bool,
    /// Its files, if they have been read. Else the checksums that they must have are part of the terms.
    pub files_checksum: Option<FilesChecksum>,
    /// Its container section.
    pub container_section_checksum: Sha256,
    /// Who may use it at all.
    pub credentials: Credentials,
}

/// Where the job would run: what its operator offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// What algorithms can run in.
    pub runtimes: BTreeSet<RuntimeKind>,
    /// What they can learn of time and chance.
    pub profiles: BTreeSet<Profile>,
    /// Prefixes of the images that containers can be of: a host, and path segments.
    pub registries: Vec<String>,
    /// Whether its operator allows containers and something is missing that they want. Then they are not among `runtimes`.
    pub withholds_containers: bool,
}

/// An asset that cannot be asked for in this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// An algorithm where a dataset belongs.
    #[error("the asset is an algorithm; name a dataset")]
    NotADataset,
    /// A dataset where an algorithm belongs.
    #[error("the asset is a dataset; name an algorithm")]
    NotAnAlgorithm,
    /// No service of the asset has this id.
    #[error("the asset has no service with this id; take one from its DDO")]
    NoSuchService,
}

impl RequestedDataset {
    /// The dataset that a DDO describes, through one of its services.
    ///
    /// # Errors
    /// If the DDO is an algorithm's, or has no such service.
    pub fn new(ddo: &Ddo, service: &str) -> Result<Self, RequestError> {
        if ddo.metadata().algorithm.is_some() {
            return Err(RequestError::NotADataset);
        }
        let found = ddo.service(service).ok_or(RequestError::NoSuchService)?;
        Ok(Self {
            did: ddo.id().clone(),
            service: found.id.clone(),
            kind: found.kind.clone(),
            credentials: ddo.credentials().clone(),
        })
    }

    /// The rules to keep, if it may only be computed on.
    #[must_use]
    pub fn permissions(&self) -> Option<&Permissions> {
        match &self.kind {
            ServiceKind::Access => None,
            ServiceKind::Compute(permissions) => Some(permissions),
        }
    }
}

impl PublishedAlgorithm {
    /// The algorithm that a DDO describes, through one of its services: without a known publisher, held
    /// elsewhere, its files not read. The caller adds what it has established.
    ///
    /// # Errors
    /// If the DDO is a dataset's, or has no such service.
    pub fn new(ddo: &Ddo, service: &str) -> Result<Self, RequestError> {
        let algorithm = ddo.metadata().algorithm.as_ref().ok_or(RequestError::NotAnAlgorithm)?;
        let found = ddo.service(service).ok_or(RequestError::NoSuchService)?;
        Ok(Self {
            did: ddo.id().clone(),
            service: found.id.clone(),
            publishers: Vec::new(),
            private: ddo.is_private(),
            held_here: false,
            files_checksum: None,
            container_section_checksum: container_section_checksum(&algorithm.container),
            credentials: ddo.credentials().clone(),
        })
    }
}

impl PublishedAlgorithm {
    /// An algorithm of this Cloister's own registry, through one of its services. Its publisher is the owner of the asset,
    /// whatever its description says.
    ///
    /// # Errors
    /// As [`PublishedAlgorithm::new`].
    pub fn registered(asset: &Asset, service: &str) -> Result<Self, RequestError> {
        let known = Self::new(&asset.ddo, service)?;
        // The stored digests are those of the service that is meant if none is named.
        let meant = asset.ddo.service_meant(None).is_ok_and(|meant| meant.id == service);
        let digests = asset.files.as_ref().filter(|_| meant);
        let files_checksum =
            digests.and_then(|files| FilesChecksum::of(files.iter().map(|file| file.sha256).collect()).ok());
        Ok(Self { publishers: vec![asset.owner.clone()], held_here: true, files_checksum, ..known })
    }
}

impl Environment {
    /// An environment that offers what these terms use and nothing else: for asking the permission of a job again, apart from
    /// where it runs.
    #[must_use]
    pub fn for_terms(terms: &Terms) -> Self {
        Self { runtimes: BTreeSet::from([terms.runtime]), profiles: BTreeSet::from([terms.profile]), ..Self::default() }
    }
}

impl Default for Environment {
    /// WebAssembly, in the deterministic profile.
    fn default() -> Self {
        Self {
            runtimes: BTreeSet::from([RuntimeKind::Wasm]),
            profiles: BTreeSet::from([Profile::Deterministic]),
            registries: Vec::new(),
            withholds_containers: false,
        }
    }
}
