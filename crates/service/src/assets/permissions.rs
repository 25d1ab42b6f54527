use super::{AssetError, Precondition};
use crate::{Principal, UseCases};
use cloister_model::{
    Account, Asset, AssetKind, AssetName, AuditAction, Ddo, Did, FilesChecksum, ManifestError, Permissions, Service,
    ServiceError, ServiceKind, Sha256, container_section_checksum, plain_sizes,
};
use serde_json::{Map, Value, json};

/// An algorithm, as a publisher names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlgorithmName {
    /// By its DID.
    Did(Did),
    /// By its owner's name for it.
    Named {
        /// The owner.
        owner: Account,
        /// The name.
        name: AssetName,
    },
}

/// What a publisher inspected before trusting an algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Its files.
    pub files_checksum: FilesChecksum,
    /// What it runs in.
    pub container_section_checksum: Sha256,
}

/// Permissions as they are written in a document.
#[must_use]
pub fn permissions_document(permissions: &Permissions) -> Value {
    serde_json::to_value(permissions).unwrap_or_default()
}

impl UseCases {
    /// The permissions of a compute service of a dataset, and the revision of the dataset, for its owner and operators.
    ///
    /// # Errors
    /// Why not.
    pub async fn permissions(
        &self,
        who: &Principal,
        dataset: Did,
        service: Option<&str>,
    ) -> Result<(Permissions, u64), AssetError> {
        let asset = self.find_own(who, AssetKind::Dataset, dataset, true).await?;
        let (_, permissions) = compute_service(&asset.ddo, service)?;
        Ok((permissions.clone(), asset.revision))
    }

    /// Replaces the permissions of a compute service: what is absent is not allowed. For the owner of the dataset and
    /// operators.
    ///
    /// # Errors
    /// Why not. [`AssetError::Changed`] if the precondition does not hold.
    pub async fn set_permissions(
        &self,
        who: &Principal,
        dataset: Did,
        service: Option<&str>,
        mut permissions: Value,
        precondition: &Precondition,
    ) -> Result<(Permissions, u64), AssetError> {
        let asset = self.find_own(who, AssetKind::Dataset, dataset, true).await?;
        if !permissions.is_object() {
            return Err(AssetError::Field { field: None, problem: "permissions are an object".to_owned() });
        }
        let service = compute_service(&asset.ddo, service)?.0.id.clone();
        if let Precondition::Revisions(revisions) = precondition
            && !revisions.contains(&asset.revision)
        {
            return Err(AssetError::Changed);
        }
        Permissions::refuse_network(&permissions)?;
        plain_sizes(&mut permissions);
        self.change_permissions(who, asset, &service, permissions).await
    }

    /// Trusts an algorithm as its publisher has inspected it: if its files or its container change, it has to be inspected
    /// and trusted again. For the owner of the dataset.
    ///
    /// # Errors
    /// Why not. [`AssetError::AlgorithmChanged`] if the algorithm is not what was inspected.
    pub async fn allow(
        &self,
        who: &Principal,
        dataset: Did,
        service: Option<&str>,
        algorithm: AlgorithmName,
        inspected: &Inspected,
    ) -> Result<(Permissions, u64), AssetError> {
        let asset = self.find_own(who, AssetKind::Dataset, dataset, false).await?;
        let algorithm = self.find_algorithm(who, algorithm).await?;
        let (service, permissions) = compute_service(&asset.ddo, service)?;
        let (service, permissions) = (service.id.clone(), trust(permissions, &algorithm, inspected)?);
        self.change_permissions(who, asset, &service, permissions).await
    }

    /// Takes back the trust in an algorithm. For the owner of the dataset.
    ///
    /// # Errors
    /// Why not. [`AssetError::NotTrusted`] if the algorithm is not trusted by name.
    pub async fn disallow(
        &self,
        who: &Principal,
        dataset: Did,
        service: Option<&str>,
        algorithm: &Did,
    ) -> Result<(), AssetError> {
        let asset = self.find_own(who, AssetKind::Dataset, dataset, false).await?;
        let (service, permissions) = compute_service(&asset.ddo, service)?;
        let permissions = untrust(permissions, algorithm).ok_or(AssetError::NotTrusted)?;
        let service = service.id.clone();
        self.change_permissions(who, asset, &service, permissions).await?;
        Ok(())
    }

    async fn change_permissions(
        &self,
        who: &Principal,
        asset: Asset,
        service: &str,
        permissions: Value,
    ) -> Result<(Permissions, u64), AssetError> {
        let counted = self.count(&who.account, &asset.ddo).await;
        Permissions::from_value(&permissions)?;
        let ddo = with_permissions(&asset.ddo, service, permissions)?;
        self.check_programs(&asset.owner, &ddo).await.map_err(in_rules)?;
        let asset = Asset { ddo, updated: self.now(), revision: asset.revision + 1, ..asset };
        let (_, present) = compute_service(&asset.ddo, Some(service))?;
        let detail = json!({"service": service, "permissions": permissions_document(present)});
        self.put_asset(&who.account, AuditAction::PermissionsChanged, &asset, detail, &counted).await?;
        Ok((present.clone(), asset.revision))
    }

    async fn find_algorithm(&self, who: &Principal, algorithm: AlgorithmName) -> Result<Asset, AssetError> {
        let usable = |asset: &Asset| {
            asset.ddo.kind() == AssetKind::Algorithm && asset.withdrawn.is_none() && super::may_see(asset, who)
        };
        let found = match algorithm {
            AlgorithmName::Did(did) => self.read_asset(&who.account, did, usable).await?,
            AlgorithmName::Named { owner, name } => {
                self.read_asset_named(&who.account, (owner, AssetKind::Algorithm, name.to_string()), usable).await?
            }
        };
        found.ok_or(AssetError::NoSuchAlgorithm)
    }
}

/// The compute service that is meant, with its permissions.
fn compute_service<'a>(ddo: &'a Ddo, wanted: Option<&str>) -> Result<(&'a Service, &'a Permissions), AssetError> {
    let service = ddo.service_meant(wanted).map_err(|error| match error {
        ServiceError::Unknown(_) => AssetError::NoSuchService,
        error => AssetError::field("service", error.to_string()),
    })?;
    match (&service.kind, wanted) {
        (ServiceKind::Compute(permissions), _) => Ok((service, permissions)),
        (ServiceKind::Access, Some(_)) => Err(AssetError::NoSuchService),
        (ServiceKind::Access, None) => Err(AssetError::field("service", "the dataset has no compute service")),
    }
}

fn with_permissions(ddo: &Ddo, service: &str, permissions: Value) -> Result<Ddo, AssetError> {
    let mut document = serde_json::to_value(ddo).map_err(|_| AssetError::Internal("a DDO cannot be written"))?;
    let services = document.get_mut("services").and_then(Value::as_array_mut).into_iter().flatten();
    for entry in services.filter(|entry| entry["id"] == service) {
        entry["compute"] = permissions.clone();
    }
    Ok(Ddo::from_value(document).map_err(ManifestError::from)?)
}

/// The same error about rules that were written without the dataset around them.
fn in_rules(error: AssetError) -> AssetError {
    match error {
        AssetError::Field { field: Some(field), problem } => {
            let field = field.split_once(".compute.").map_or(field.clone(), |(_, rule)| rule.to_owned());
            AssetError::Field { field: Some(field), problem }
        }
        error => error,
    }
}

/// The permissions with this algorithm trusted as it was inspected. An earlier entry for it is replaced.
fn trust(permissions: &Permissions, algorithm: &Asset, inspected: &Inspected) -> Result<Value, AssetError> {
    let Some(described) = &algorithm.ddo.metadata().algorithm else {
        return Err(AssetError::field("algorithm", "the asset is a dataset; name an algorithm"));
    };
    let files = algorithm.files.iter().flatten().map(|file| file.sha256).collect();
    let files = FilesChecksum::of(files).map_err(|_| {
        let problem = "the digests of its files are not known, because it has several services; write its entry into \
            `publisherTrustedAlgorithms` yourself";
        AssetError::field("algorithm", problem)
    })?;
    let present = Inspected {
        files_checksum: files,
        container_section_checksum: container_section_checksum(&described.container),
    };
    if present != *inspected {
        return Err(AssetError::AlgorithmChanged);
    }
    let Inspected { files_checksum, container_section_checksum } = inspected;
    let (mut document, mut entries) = without(permissions, algorithm.ddo.id());
    entries.push(json!({
        "did": algorithm.ddo.id(),
        "filesChecksum": files_checksum,
        "containerSectionChecksum": container_section_checksum,
    }));
    document.insert("publisherTrustedAlgorithms".to_owned(), entries.into());
    Ok(document.into())
}

/// The permissions without any entry that trusts this algorithm by name; none if there is no such entry.
fn untrust(permissions: &Permissions, algorithm: &Did) -> Option<Value> {
    let (mut document, entries) = without(permissions, algorithm);
    if entries.len() == permissions.publisher_trusted_algorithms.len() {
        return None;
    }
    document.insert("publisherTrustedAlgorithms".to_owned(), entries.into());
    Some(document.into())
}

fn without(permissions: &Permissions, algorithm: &Did) -> (Map<String, Value>, Vec<Value>) {
    let Value::Object(mut document) = permissions_document(permissions) else { return (Map::new(), Vec::new()) };
    let entries = match document.remove("publisherTrustedAlgorithms") {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    };
    let name = algorithm.to_string();
    (document, entries.into_iter().filter(|entry| entry["did"] != name.as_str()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{FileDigest, Timestamp};

    fn asset(document: Value, files: Option<Vec<FileDigest>>) -> Asset {
        Asset {
            ddo: Ddo::from_value(document).expect("a DDO"),
            owner: "alice".parse().expect("an account"),
            name: "a".to_owned(),
            created: Timestamp::from_unix_ms(1),
            updated: Timestamp::from_unix_ms(1),
            revision: 1,
            withdrawn: None,
            files,
        }
    }

    fn algorithm(files: Option<Vec<FileDigest>>) -> Asset {
        let metadata = json!({"type": "algorithm", "name": "a",
            "algorithm": {"container": {"image": "wasm", "entrypoint": "$ALGO"}}});
        asset(json!({"id": "did:op:a", "metadata": metadata, "services": []}), files)
    }

    #[test]
    fn trust_pins_what_is_there_and_can_be_taken_back() {
        let files = vec![FileDigest { sha256: Sha256::from_bytes([1; 32]), bytes: 3 }];
        let old = json!({"publisherTrustedAlgorithms": [
            {"did": "did:op:a", "filesChecksum": "*", "containerSectionChecksum": "*"},
            {"did": "did:op:b", "filesChecksum": "*", "containerSectionChecksum": "*"}
        ]});
        let permissions: Permissions = serde_json::from_value(old).expect("permissions");
        let algorithm_of = algorithm;
        let algorithm = algorithm_of(Some(files));
        let container = &algorithm.ddo.metadata().algorithm.as_ref().expect("an algorithm").container;
        let inspected = Inspected {
            files_checksum: "01".repeat(32).parse().expect("a checksum"),
            container_section_checksum: container_section_checksum(container),
        };
        let new = trust(&permissions, &algorithm, &inspected).expect("trust");
        // What is published now, and is not what was inspected, is not trusted.
        let other = "02".repeat(32);
        for changed in [
            Inspected { files_checksum: other.parse().expect("a checksum"), ..inspected.clone() },
            Inspected { container_section_checksum: other.parse().expect("a digest"), ..inspected.clone() },
        ] {
            assert_eq!(trust(&permissions, &algorithm, &changed), Err(AssetError::AlgorithmChanged));
        }
        let entries = new["publisherTrustedAlgorithms"].as_array().expect("a list");
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1]["filesChecksum"], "01".repeat(32));
        let permissions: Permissions = serde_json::from_value(new).expect("permissions");
        let did: Did = "did:op:a".parse().expect("a DID");
        let gone: Permissions = serde_json::from_value(untrust(&permissions, &did).expect("was there")).expect("rules");
        assert_eq!(gone.publisher_trusted_algorithms.len(), 1);
        assert_eq!(untrust(&gone, &did), None);
        assert!(trust(&gone, &algorithm_of(None), &inspected).is_err());
    }

    #[test]
    fn other_services_and_fields_stay() {
        let document = json!({"id": "did:op:d", "metadata": {"type": "dataset", "name": "d"}, "event": 1, "services": [
            {"id": "c", "type": "compute", "files": []}, {"id": "a", "type": "access", "files": []}
        ]});
        let ddo = Ddo::from_value(document.clone()).expect("a DDO");
        let changed = with_permissions(&ddo, "c", json!({"allowRawAlgorithm": true})).expect("a DDO");
        let mut expected = document;
        expected["services"][0]["compute"] = json!({"allowRawAlgorithm": true});
        assert_eq!(serde_json::to_value(&changed).expect("json"), expected);
        assert!(compute_service(&changed, None).expect("the service").1.allow_raw_algorithm);
        assert!(with_permissions(&ddo, "c", json!({"runtimes": ["x"]})).is_err());
    }
}
