//! The manifest that is applied with kubectl is the one that `cloister dataset apply -f` reads.

use crate::resources::{Algorithm, Dataset, Unusable, manifest, secrets_named};
use cloister_model::{Ddo, Manifest};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn document() -> Value {
    json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "penguins"},
        "spec": {
            "title": "Palmer penguins",
            "files": [{"type": "local", "path": "/srv/penguins.csv"}],
            "compute": {"allowRawAlgorithm": true, "outputContract": {"csv": {"maxRows": 10}}}
        }
    })
}

fn dataset(document: &Value) -> Dataset {
    serde_json::from_value(document.clone()).expect("a resource")
}

fn ddo(manifest: &Manifest) -> Ddo {
    manifest.ddo(&"alice".parse().expect("an account")).expect("a DDO")
}

fn secrets(name: &str, pairs: &[(&str, &str)]) -> BTreeMap<String, BTreeMap<String, String>> {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    BTreeMap::from([(name.to_owned(), pairs)])
}

#[test]
fn one_manifest_for_both() {
    let document = document();
    let over_http = Manifest::from_value(&document).expect("a manifest");
    let applied = manifest(&dataset(&document), &BTreeMap::new()).expect("a manifest");
    assert_eq!(ddo(&applied), ddo(&over_http));
    // The resource is written as it was read.
    let written = serde_json::to_value(dataset(&document)).expect("json");
    assert_eq!(written["spec"], document["spec"]);
}

/// A restriction that is misspelt must not be no restriction.
#[test]
fn a_misspelt_rule_makes_an_asset_unusable() {
    for (pointer, value) in [
        ("/spec/compute/outputContract/csv", json!({"maxRow": 10})),
        ("/spec/compute", json!({"allowRawAlgorithms": true})),
        ("/spec/compute/outputContract", json!({"maxByte": 10})),
        ("/spec/compute", json!({"publisherTrustedAlgorithms": [{"did": "*", "filesCheksum": "ab"}]})),
        ("/spec/files/0", json!({"type": "local", "path": "/srv/a", "sha265": "ab"})),
    ] {
        let mut document = document();
        *document.pointer_mut(pointer).expect(pointer) = value;
        let error = manifest(&dataset(&document), &BTreeMap::new()).expect_err(pointer);
        assert_eq!(error.reason(), "UnknownField", "{error}");
    }
    let mut document = document();
    document["spec"]["title"] = json!(3);
    let error = manifest(&dataset(&document), &BTreeMap::new()).expect_err("a number");
    assert_eq!(error.reason(), "InvalidManifest");
}

#[test]
fn credentials_come_from_secrets() {
    let access = json!({"endpoint": "https://s3.example.org", "bucket": "b", "objectKey": "k"});
    let by_secret = json!({"type": "s3", "s3Access": access, "credentialsFrom": {"secretRef": {"name": "keys"}}});
    let mut inline = json!({"type": "s3", "s3Access": access});
    inline["s3Access"]["accessKeyId"] = json!("id");
    inline["s3Access"]["secretAccessKey"] = json!("SECRET");
    let (mut applied, mut meant) = (document(), document());
    applied["spec"]["files"] = json!([by_secret]);
    meant["spec"]["files"] = json!([inline]);
    let applied = dataset(&applied);
    assert_eq!(secrets_named(&applied).into_iter().collect::<Vec<_>>(), ["keys"]);
    let given = secrets("keys", &[("accessKeyId", "id"), ("secretAccessKey", "SECRET")]);
    let read = manifest(&applied, &given).expect("a manifest");
    assert_eq!(ddo(&read), ddo(&Manifest::from_value(&meant).expect("a manifest")));
    for given in [BTreeMap::new(), secrets("keys", &[("accessKeyId", "id")]), secrets("other", &[])] {
        let error = manifest(&applied, &given).expect_err("no secret");
        assert!(matches!(&error, Unusable::Secret { name, .. } if name == "keys"), "{error}");
        assert_eq!(error.reason(), "SecretMissing");
    }
}

#[test]
fn headers_come_from_secrets_also_in_services() {
    let file = json!({"type": "url", "url": "https://example.org/a", "headers": {"Accept": "text/csv"},
        "credentialsFrom": {"secretRef": {"name": "token"}}});
    let mut document = document();
    document["spec"] = json!({"services": [{"type": "compute", "files": [file]}]});
    let applied = dataset(&document);
    let read = manifest(&applied, &secrets("token", &[("Authorization", "Bearer SECRET")])).expect("a manifest");
    let written = serde_json::to_string(&ddo(&read)).expect("json");
    assert!(written.contains("Bearer SECRET") && written.contains("text/csv"), "{written}");
    assert!(!format!("{read:?}").contains("SECRET"));
}

/// A reference where no credentials belong is not ignored.
#[test]
fn a_reference_at_another_file_is_refused() {
    let mut document = document();
    document["spec"]["files"][0]["credentialsFrom"] = json!({"secretRef": {"name": "keys"}});
    let error = manifest(&dataset(&document), &secrets("keys", &[("a", "b")])).expect_err("a local file");
    assert_eq!(error.reason(), "UnknownField", "{error}");
}

#[test]
fn an_algorithm_is_a_manifest_too() {
    let document = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Algorithm", "metadata": {"name": "stats"},
        "spec": {"files": [{"type": "upload", "sha256": "ab".repeat(32)}], "algorithm": {"language": "rust"}}
    });
    let applied: Algorithm = serde_json::from_value(document.clone()).expect("a resource");
    let read = manifest(&applied, &BTreeMap::new()).expect("a manifest");
    assert_eq!(ddo(&read), ddo(&Manifest::from_value(&document).expect("a manifest")));
}
