use super::publish::{check_programs, store};
use crate::{content::EntityTag, problem::Problem, state::Shared};
use axum::http::{HeaderMap, StatusCode};
use cloister_model::{
    Account, Asset, AuditAction, Ddo, Did, FilesChecksum, Permissions, Service, ServiceKind, container_section_checksum,
};
use serde_json::{Map, Value, json};

/// The compute service that is meant: the named one, or the only one.
pub(crate) fn compute_service<'a>(
    ddo: &'a Ddo,
    wanted: Option<&str>,
) -> Result<(&'a Service, &'a Permissions), Problem> {
    let mut compute = ddo.services().iter().filter_map(|service| match &service.kind {
        ServiceKind::Compute(permissions) => Some((service, permissions.as_ref())),
        ServiceKind::Access => None,
    });
    match wanted {
        Some(id) => compute.find(|(service, _)| service.id == id).ok_or_else(|| Problem::not_found().about("service")),
        None => match (compute.next(), compute.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(Problem::field("service", "the dataset has no compute service")),
            (Some(_), Some(_)) => Err(Problem::field("service", "the dataset has several compute services; name one")),
        },
    }
}

/// The permissions of a service as they are written in the document.
pub(crate) fn document_of(permissions: &Permissions) -> Value {
    serde_json::to_value(permissions).unwrap_or_default()
}

/// Replaces the permissions of a compute service. `If-Match` keeps a change from undoing somebody else's.
pub(crate) async fn change(
    shared: &Shared,
    actor: &Account,
    asset: Asset,
    (service, permissions): (&str, Value),
    headers: &HeaderMap,
) -> Result<Asset, Problem> {
    if !EntityTag::new(asset.revision).may_change(headers) {
        let detail = "it was changed since you read it; read it again and repeat the change";
        return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "changed", "It was changed meanwhile", detail));
    }
    let unknown =
        permissions.as_object().and_then(|all| all.keys().find(|name| !Permissions::FIELDS.contains(&name.as_str())));
    if let Some(name) = unknown {
        let name = cloister_model::escape(name.as_bytes(), 64).to_string();
        return Err(Problem::field(name, "is not known; a misspelt rule must not be no rule"));
    }
    let ddo = with_permissions(&asset.ddo, service, permissions)?;
    check_programs(shared, &asset.owner, &ddo).await?;
    let asset = Asset { ddo, updated: shared.now(), revision: asset.revision + 1, ..asset };
    let (_, present) = compute_service(&asset.ddo, Some(service))?;
    let detail = json!({"service": service, "permissions": document_of(present)});
    store(shared, actor, AuditAction::PermissionsChanged, &asset, &detail).await?;
    Ok(asset)
}

fn with_permissions(ddo: &Ddo, service: &str, permissions: Value) -> Result<Ddo, Problem> {
    let mut document = serde_json::to_value(ddo).map_err(|_| Problem::internal())?;
    let services = document.get_mut("services").and_then(Value::as_array_mut).into_iter().flatten();
    for entry in services.filter(|entry| entry["id"] == service) {
        entry["compute"] = permissions.clone();
    }
    Ok(Ddo::from_value(document).map_err(cloister_model::ManifestError::from)?)
}

/// The permissions with this algorithm, as it is at present, trusted; what they said of it before is replaced.
pub(crate) fn trust(permissions: &Permissions, algorithm: &Asset) -> Result<Value, Problem> {
    let Some(described) = &algorithm.ddo.metadata().algorithm else {
        return Err(Problem::field("algorithm", "the asset is a dataset; name an algorithm"));
    };
    let files = algorithm.files.iter().flatten().map(|file| file.sha256).collect();
    let files = FilesChecksum::of(files)
        .map_err(|_| Problem::field("algorithm", "its files are not known; its publisher has to publish it again"))?;
    let (mut document, mut entries) = without(permissions, algorithm.ddo.id());
    entries.push(json!({
        "did": algorithm.ddo.id(),
        "filesChecksum": files,
        "containerSectionChecksum": container_section_checksum(&described.container),
    }));
    document.insert("publisherTrustedAlgorithms".to_owned(), entries.into());
    Ok(document.into())
}

/// The permissions without any trust in this algorithm by name; none if there was none.
pub(crate) fn untrust(permissions: &Permissions, algorithm: &Did) -> Option<Value> {
    let (mut document, entries) = without(permissions, algorithm);
    if entries.len() == permissions.publisher_trusted_algorithms.len() {
        return None;
    }
    document.insert("publisherTrustedAlgorithms".to_owned(), entries.into());
    Some(document.into())
}

fn without(permissions: &Permissions, algorithm: &Did) -> (Map<String, Value>, Vec<Value>) {
    let Value::Object(mut document) = document_of(permissions) else { return (Map::new(), Vec::new()) };
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
    use cloister_model::{FileDigest, Sha256, Timestamp};

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
        let new = trust(&permissions, &algorithm(Some(files))).expect("trust");
        let entries = new["publisherTrustedAlgorithms"].as_array().expect("a list");
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1]["filesChecksum"], "01".repeat(32));
        let permissions: Permissions = serde_json::from_value(new).expect("permissions");
        let did: Did = "did:op:a".parse().expect("a DID");
        let gone: Permissions = serde_json::from_value(untrust(&permissions, &did).expect("was there")).expect("rules");
        assert_eq!(gone.publisher_trusted_algorithms.len(), 1);
        assert_eq!(untrust(&gone, &did), None);
        assert!(trust(&gone, &algorithm(None)).is_err());
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
