//! What holds for every definition.

use crate::resources::definitions;
use serde_json::Value;

/// Calls for every schema, with its path.
fn each_schema(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        each_schema(&format!("{path}.{name}"), property, visit);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            each_schema(&format!("{path}[]"), &schema[inner], visit);
        }
    }
}

fn schemas() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for definition in definitions() {
        let json = serde_json::to_value(&definition).expect("json");
        let name = json["spec"]["names"]["kind"].as_str().expect("a kind").to_owned();
        each_schema(&name, &json["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut |path, schema| {
            all.push((path.to_owned(), schema.clone()));
        });
    }
    assert!(all.len() > 200, "{}", all.len());
    all
}

/// The API server multiplies what has no bound, and refuses the rules.
#[test]
fn every_text_and_every_list_has_a_bound() {
    for (path, schema) in schemas() {
        match schema["type"].as_str() {
            Some("string") => {
                let bounded = schema["maxLength"].is_u64() || schema["enum"].is_array();
                assert!(bounded, "{path} has no maxLength: {schema}");
            }
            Some("array") => assert!(schema["maxItems"].is_u64(), "{path} has no maxItems"),
            Some("object") if schema["additionalProperties"].is_object() => {
                assert!(schema["maxProperties"].is_u64(), "{path} has no maxProperties");
            }
            Some("object" | "boolean" | "integer") => {}
            _ => panic!("{path} is not structural: {schema}"),
        }
    }
}

#[test]
fn every_rule_says_what_to_do() {
    let mut rules = 0;
    for (path, schema) in schemas() {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().unwrap_or_default();
            assert!(message.len() > 20, "{path}: {rule}");
            rules += 1;
        }
    }
    assert!(rules >= 20, "{rules}");
}

/// Where people write restrictions, a misspelt one is kept, so that the service can refuse it.
#[test]
fn unknown_rules_are_not_pruned() {
    let open = |path: &str| {
        let (_, schema) = schemas().into_iter().find(|(found, _)| found == path).expect(path);
        assert_eq!(schema["x-kubernetes-preserve-unknown-fields"], true, "{path}");
    };
    for kind in ["Dataset", "Algorithm"] {
        for path in ["spec", "spec.files[]", "spec.files[].s3Access", "spec.services[]", "spec.credentials"] {
            open(&format!("{kind}.{path}"));
        }
    }
    for path in [
        "Dataset.spec.compute",
        "Dataset.spec.compute.publisherTrustedAlgorithms[]",
        "Dataset.spec.compute.outputContract",
        "Dataset.spec.compute.outputContract.csv",
        "Dataset.spec.compute.outputContract.csv.minimum[]",
        "Dataset.spec.compute.outputContract.json",
        "Dataset.spec.compute.outputContract.checks[]",
        "Dataset.spec.services[].compute.outputContract",
        "Algorithm.spec.algorithm.container",
        "JobRequest.spec",
        "JobRequest.spec.datasets[]",
        "JobRequest.spec.algorithm",
    ] {
        open(path);
    }
}

#[test]
fn every_kind_has_a_status_short_names_and_columns() {
    for definition in definitions() {
        let json = serde_json::to_value(&definition).expect("json");
        let version = &json["spec"]["versions"][0];
        assert!(version["subresources"]["status"].is_object(), "{json}");
        assert!(json["spec"]["names"]["shortNames"].as_array().is_some_and(|names| names.len() == 1));
        assert_eq!(json["spec"]["names"]["categories"], serde_json::json!(["cloister"]));
        assert!(version["additionalPrinterColumns"].as_array().is_some_and(|columns| columns.len() >= 4));
        assert_eq!(json["spec"]["scope"], "Namespaced");
    }
}
