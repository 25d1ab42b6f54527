use super::*;
use crate::{ServiceFiles, ServiceKind};
use proptest::prelude::*;

fn owner() -> Account {
    "alice".parse().expect("an account")
}

fn dataset() -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "Dataset", "metadata": {"name": "penguins"},
        "spec": {
            "title": "Palmer penguins", "author": "Palmer", "tags": ["birds"],
            "files": [{"type": "local", "path": "/srv/penguins.csv"}],
            "compute": {"allowRawAlgorithm": true, "outputContract": {"maxBytes": 1000, "review": true}},
            "credentials": {"allow": [{"type": "address", "values": ["bob"]}]}
        }
    })
}

fn algorithm() -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": "Algorithm", "metadata": {"name": "stats"},
        "spec": {"files": [{"type": "upload", "sha256": "ab".repeat(32)}], "algorithm": {"language": "rust"}}
    })
}

#[test]
fn becomes_a_ddo() {
    let manifest = Manifest::from_value(&dataset()).expect("a manifest");
    assert_eq!((manifest.kind(), manifest.name().as_str()), (AssetKind::Dataset, "penguins"));
    let ddo = manifest.ddo(&owner()).expect("a DDO");
    // printf 'cloister\nalice\ndataset\npenguins' | sha256sum
    assert_eq!(ddo.id().id(), "61193e0cd25291ecd46c78c5604a9edef56c2970dc31a0f0b2f24ac2aac59263");
    assert_eq!(ddo.metadata().name, "Palmer penguins");
    let service = ddo.service("compute").expect("the service");
    let ServiceKind::Compute(permissions) = &service.kind else { panic!("a compute service") };
    assert!(permissions.allow_raw_algorithm && permissions.output_contract.release.review);
    assert_eq!(permissions.output_contract.budgets.max_bytes, 1000);
    assert!(matches!(service.files, Some(ServiceFiles::Open(_))));
    assert_eq!(ddo.credentials().allow.len(), 1);
}

#[test]
fn the_schema_of_a_dataset_is_in_its_ddo_as_it_was_written() {
    let schema = json!({"rows": 344, "columns": [{"name": "mass", "type": "number", "unit": "g", "minimum": 2700}]});
    let mut document = dataset();
    document["spec"]["schema"] = schema.clone();
    let ddo = Manifest::from_value(&document).expect("a manifest").ddo(&owner()).expect("a DDO");
    let ddo = serde_json::to_value(&ddo).expect("JSON");
    assert_eq!(ddo["metadata"]["additionalInformation"]["schema"], schema);
    let read = crate::TableSchema::of_ddo(&ddo).expect("a schema");
    assert_eq!((read.rows, read.columns[0].minimum), (Some(344), Some(2700.0)));
    let mut algorithm = algorithm();
    algorithm["spec"]["schema"] = schema;
    assert!(
        Manifest::from_value(&algorithm).expect_err("a schema").to_string().contains("`spec.schema` must be absent")
    );
}

#[test]
fn an_algorithm_is_a_webassembly_program_unless_it_says_otherwise() {
    let ddo = Manifest::from_value(&algorithm()).expect("a manifest").ddo(&owner()).expect("a DDO");
    let container = &ddo.metadata().algorithm.as_ref().expect("an algorithm").container;
    assert_eq!((container.image.as_str(), container.entrypoint.as_str()), ("wasm", "$ALGO"));
    assert_eq!(ddo.metadata().name, "stats");
    assert!(ddo.is_private());
}

#[test]
fn the_same_owner_kind_and_name_give_the_same_did_and_others_another() {
    let did = |owner: &str, kind, name: &str| {
        Manifest::did(&owner.parse().expect("an account"), kind, &name.parse().expect("a name"))
    };
    let one = did("alice", AssetKind::Dataset, "penguins");
    assert_eq!(one, did("alice", AssetKind::Dataset, "penguins"));
    assert_ne!(one, did("bob", AssetKind::Dataset, "penguins"));
    assert_ne!(one, did("alice", AssetKind::Algorithm, "penguins"));
    assert_ne!(one, did("alice", AssetKind::Dataset, "penguin"));
}

#[test]
fn a_wrong_field_is_named() {
    for (pointer, value, expected) in [
        ("/apiVersion", json!("v1"), "`apiVersion`"),
        ("/kind", json!("dataset"), "`kind`"),
        ("/metadata/name", json!("Penguins"), "`metadata.name`"),
        ("/spec/title", json!(3), "`spec.title`"),
        ("/spec/files", json!([]), "`spec.files`"),
        ("/spec/files", Value::Null, "`spec.files` is missing"),
        ("/spec/files/0/type", json!("file"), "`spec.files[0].type`"),
        ("/spec/compute/allowRawAlgorithm", json!("yes"), "allowRawAlgorithm"),
        ("/spec/compute", json!({"allowRawAlgorithms": true}), "`spec.compute` has a field `allowRawAlgorithms`"),
        ("/spec", json!({"file": []}), "`spec` has a field `file`"),
        ("/spec/credentials", json!({"allowed": []}), "`spec.credentials` has a field `allowed`"),
        ("/spec/tags", json!([1]), "`spec.tags[0]`"),
        (
            "/spec/schema",
            json!({"columns": [{"name": "a", "typ": "text"}]}),
            "`spec.schema.columns[0]` has a field `typ`",
        ),
        // A misspelt restriction deeper in the document must not be no restriction either.
        (
            "/spec/credentials",
            json!({"deny": [{"type": "address", "value": ["0xAA"]}]}),
            "`spec.credentials.deny[0]` has a field `value`",
        ),
        (
            "/spec/compute",
            json!({"publisherTrustedAlgorithms": [{"did": "*", "filesCheksum": "ab"}]}),
            "`spec.compute.publisherTrustedAlgorithms[0]` has a field `filesCheksum`",
        ),
        (
            "/spec/compute",
            json!({"outputContract": {"maxByte": 1}}),
            "`spec.compute.outputContract` has a field `maxByte`",
        ),
        (
            "/spec/compute",
            json!({"outputContract": {"csv": {"minimum": [{"colum": "n", "least": 10}]}}}),
            "`spec.compute.outputContract.csv.minimum[0]` has a field `colum` that is not known; did you mean `column`?",
        ),
        ("/spec/compute", json!({"runtimes": ["python"]}), "`spec.compute.runtimes[0]`"),
        ("/spec/compute", json!({"allowNetworkAccess": true}), "no algorithm has a network, not even in a container"),
        ("/spec/credentials", json!({"deny": [{"type": 1, "values": []}]}), "`spec.credentials.deny[0].type`"),
        ("/spec/oceanProviders", json!("*"), "`spec.oceanProviders`"),
        ("/spec/consumerParameters", json!([{"name": "n"}]), "`spec.consumerParameters[0].type`"),
        (
            "/spec/consumerParameters",
            json!([{"name": "n", "type": "number", "require": true}]),
            "`spec.consumerParameters[0]` has a field `require`",
        ),
    ] {
        let mut document = dataset();
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        document
            .pointer_mut(parent)
            .expect("a parent")
            .as_object_mut()
            .expect("an object")
            .insert(field.to_owned(), value);
        let error = Manifest::from_value(&document).expect_err(pointer).to_string();
        assert!(error.contains(expected), "{pointer}: {error}");
        assert!(!error.contains("DDO") && !error.contains("services["), "{error}");
    }
    let mut both = dataset();
    both["spec"]["services"] = json!([]);
    assert!(Manifest::from_value(&both).expect_err("both").to_string().contains("spec.files"));
    let mut algorithm = algorithm();
    algorithm["spec"]["compute"] = json!({});
    assert!(Manifest::from_value(&algorithm).expect_err("permissions").to_string().contains("spec.compute"));
}

#[test]
fn a_field_of_the_ddo_has_its_place_in_the_manifest() {
    let short = Manifest::from_value(&dataset()).expect("a manifest");
    let mut document = dataset();
    let file = json!([{"type": "inline", "content": "a"}]);
    document["spec"] = json!({"services": [{"type": "access", "files": file}, {"type": "compute", "files": file}]});
    let long = Manifest::from_value(&document).expect("a manifest");
    for (field, in_short, in_long) in [
        ("services", "spec", "spec.services"),
        ("services[0].files", "spec.files", "spec.services[0].files"),
        ("services[1].files[2].url", "spec[1].files[2].url", "spec.services[1].files[2].url"),
        ("services[0].compute.runtimes[1]", "spec.compute.runtimes[1]", "spec.services[0].compute.runtimes[1]"),
        ("metadata.name", "spec.title", "spec.title"),
        ("metadata.algorithm.container.image", "spec.algorithm.container.image", "spec.algorithm.container.image"),
        ("credentials.deny[0]", "spec.credentials.deny[0]", "spec.credentials.deny[0]"),
        ("oceanProviders[0]", "spec.oceanProviders[0]", "spec.oceanProviders[0]"),
        ("id", "metadata.name", "metadata.name"),
        ("kind", "kind", "kind"),
    ] {
        assert_eq!((short.place(field).as_str(), long.place(field).as_str()), (in_short, in_long), "{field}");
    }
    document["spec"]["services"][1] = document["spec"]["services"][0].clone();
    let error = Manifest::from_value(&document).expect_err("twice").to_string();
    assert!(error.contains("`spec.services[1].id` is the `id` of another service"), "{error}");
}

#[test]
fn sizes_have_units_in_a_manifest_and_none_in_what_is_stored() {
    let mut document = dataset();
    document["spec"]["compute"] = json!({"outputContract": {"maxBytes": "10MB", "csv": {"maxCellBytes": "1KiB"}}});
    let ddo = Manifest::from_value(&document).expect("a manifest").ddo(&owner()).expect("a DDO");
    let stored = serde_json::to_value(&ddo).expect("JSON");
    let contract = &stored["services"][0]["compute"]["outputContract"];
    assert_eq!(*contract, json!({"maxBytes": 10_000_000, "csv": {"maxCellBytes": 1024}}));
}

#[test]
fn services_can_be_written_out() {
    let mut document = dataset();
    let file = json!([{"type": "inline", "content": "a,b"}]);
    document["spec"] = json!({"services": [
        {"id": "sample", "type": "access", "files": file},
        {"type": "compute", "files": file, "consumerParameters": [{"name": "n", "type": "number"}]}
    ]});
    let ddo = Manifest::from_value(&document).expect("a manifest").ddo(&owner()).expect("a DDO");
    assert_eq!(ddo.service("sample").expect("a service").kind, ServiceKind::Access);
    assert_eq!(ddo.service("compute").expect("a service").consumer_parameters.len(), 1);
    document["spec"]["services"][0]["compute"] = json!({});
    assert!(Manifest::from_value(&document).expect_err("access").to_string().contains("`spec.services[0].compute`"));
}

#[test]
fn sources_are_not_shown() {
    let manifest = Manifest::from_value(&dataset()).expect("a manifest");
    assert!(!format!("{manifest:?}").contains("penguins.csv"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}", pointer in 0_usize..6) {
        let places = ["/apiVersion", "/kind", "/metadata", "/metadata/name", "/spec/files/0/type", "/spec/title"];
        let mut document = dataset();
        *document.pointer_mut(places[pointer]).expect("a field") = text.into();
        if let Ok(manifest) = Manifest::from_value(&document) {
            prop_assert!(manifest.ddo(&owner()).is_ok());
        }
    }

    #[test]
    fn names_are_what_is_said(text in "\\PC{0,70}") {
        let fits = !text.is_empty() && text.len() <= 63 && text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'));
        prop_assert_eq!(text.parse::<AssetName>().is_ok(), fits);
    }
}
