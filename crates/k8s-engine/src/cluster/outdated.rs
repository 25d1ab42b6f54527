//! Whether the cluster knows every field that this program stores.
//!
//! The API server drops fields of a status that a definition does not have, without a word: a program under the definitions of an
//! earlier version would lose them. Definitions of a later version are fine, because within one API version fields are only added.
//!
//! The API server shows what the definitions say as OpenAPI, to every account (`system:discovery`), so that this needs no right on the
//! definitions themselves: <https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3>.

use super::{CallError, Cluster, call};
use cloister_model::escape;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

/// Where the API server describes our kinds.
const DESCRIPTION: &str = "/openapi/v3/apis/cloister.dev/v1alpha1";

/// A schema may be nested so deeply; the definitions need about fifteen levels.
const DEEPEST: usize = 64;

/// A definition in the cluster is older than this program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the definition of {kind} in the cluster has no `{field}`, so that it is older than this program; upgrade the definitions first (kubectl apply --server-side -f deploy/crds, or the chart with definitions.install: true)"
)]
pub struct Outdated {
    /// The kind.
    pub kind: String,
    /// The first field that the definition lacks.
    pub field: String,
}

/// Compares the definitions of this program with what the API server says of those in the cluster.
///
/// # Errors
/// The first definition that lacks a field. An API server that does not describe them is no error: then nothing is known.
pub async fn check_definitions(cluster: &Cluster, ours: &[CustomResourceDefinition]) -> Result<(), Outdated> {
    let ask = || async {
        let request = http::Request::get(DESCRIPTION).body(Vec::new()).map_err(kube::Error::HttpError)?;
        cluster.client().request::<Value>(request).await
    };
    match call("describe the definitions", ask).await {
        Ok(description) => ours.iter().try_for_each(|definition| compare(definition, &description)),
        // It has none of them, which the watches of this program say, and what to do about it.
        Err(CallError::Missing) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, "whether the definitions in the cluster are those of this program could not be checked");
            Ok(())
        }
    }
}

/// Compares one definition with the description of all of them.
fn compare(ours: &CustomResourceDefinition, description: &Value) -> Result<(), Outdated> {
    let kind = &ours.spec.names.kind;
    let schemas = description["components"]["schemas"].as_object();
    let described = schemas.into_iter().flat_map(serde_json::Map::values).find(|schema| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.into_iter().flatten().any(|of| of["kind"] == kind.as_str())
    });
    // Not described at all: its watch says so.
    let Some(described) = described else { return Ok(()) };
    for version in &ours.spec.versions {
        let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        let schema = serde_json::to_value(schema).unwrap_or(Value::Null);
        if let Some(field) = missing(&schema, described, DEEPEST) {
            return Err(Outdated { kind: kind.clone(), field: escape(field.as_bytes(), 300).to_string() });
        }
    }
    Ok(())
}

/// The first field of a schema that another one lacks. Where the other one keeps what it does not know, it lacks nothing.
fn missing(ours: &Value, theirs: &Value, depth: usize) -> Option<String> {
    if depth == 0 || theirs["x-kubernetes-preserve-unknown-fields"] == true {
        return None;
    }
    let below = |name: &str, inner: String| if inner.is_empty() { name.to_owned() } else { format!("{name}.{inner}") };
    for (name, property) in ours["properties"].as_object().into_iter().flatten() {
        let Some(known) = theirs["properties"].get(name) else { return Some(name.clone()) };
        if let Some(inner) = missing(property, known, depth - 1) {
            return Some(below(name, inner));
        }
    }
    for (word, name) in [("items", "[]"), ("additionalProperties", "*")] {
        if ours[word].is_object()
            && let Some(inner) = missing(&ours[word], &theirs[word], depth - 1)
        {
            return Some(below(name, inner));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::definitions;
    use serde_json::json;

    /// What an API server says of these definitions.
    fn described(definitions: &[CustomResourceDefinition]) -> Value {
        let schemas = definitions.iter().map(|definition| {
            let schema = definition.spec.versions[0].schema.as_ref().expect("a schema");
            let mut schema = serde_json::to_value(&schema.open_api_v3_schema).expect("json");
            let kind = &definition.spec.names.kind;
            schema["x-kubernetes-group-version-kind"] =
                json!([{"group": "cloister.dev", "kind": kind, "version": "v1alpha1"}]);
            (format!("dev.cloister.v1alpha1.{kind}"), schema)
        });
        json!({"components": {"schemas": schemas.collect::<serde_json::Map<_, _>>()}})
    }

    fn compared(description: &Value) -> Result<(), Outdated> {
        definitions().iter().try_for_each(|definition| compare(definition, description))
    }

    #[test]
    fn the_same_definitions_and_later_ones_lack_nothing() {
        let mut description = described(&definitions());
        assert_eq!(compared(&description), Ok(()));
        let job = "/components/schemas/dev.cloister.v1alpha1.ComputeJob/properties/status/properties";
        description.pointer_mut(job).expect("a status")["later"] = json!({"type": "string"});
        assert_eq!(compared(&description), Ok(()));
        assert_eq!(compared(&json!({})), Ok(()));
    }

    #[test]
    fn the_first_field_that_is_missing_is_named() {
        for (pointer, field, expected) in [
            ("ComputeJob/properties/status/properties", "storeWait", "status.storeWait"),
            ("ComputeJob/properties/status/properties/history/items/properties", "phase", "status.history.[].phase"),
            ("Environment/properties/spec/properties/limits/properties", "jobs", "spec.limits.jobs"),
        ] {
            let mut description = described(&definitions());
            let pointer = format!("/components/schemas/dev.cloister.v1alpha1.{pointer}");
            let properties = description.pointer_mut(&pointer).and_then(Value::as_object_mut).expect(&pointer);
            assert!(properties.remove(field).is_some(), "{pointer} {field}");
            let outdated = compared(&description).expect_err(expected);
            assert_eq!(outdated.field, expected);
            assert!(outdated.to_string().contains("deploy/crds"), "{outdated}");
        }
    }
}
