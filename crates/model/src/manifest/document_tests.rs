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
        ("/spec/compute", json!({"outputContract": {"maxByte": 1}}), "outputContract` has a field `maxByte`"),
        ("/spec/compute", json!({"outputContract": {"csv": {"maxRow": 1}}}), "outputContract` has a field `maxRow`"),
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
    }
    let mut both = dataset();
    both["spec"]["services"] = json!([]);
    assert!(Manifest::from_value(&both).expect_err("both").to_string().contains("spec.files"));
    let mut algorithm = algorithm();
    algorithm["spec"]["compute"] = json!({});
    assert!(Manifest::from_value(&algorithm).expect_err("permissions").to_string().contains("spec.compute"));
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
