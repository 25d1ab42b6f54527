use super::{Algorithm, ApiKey, ComputeJob, Dataset, Environment, JobRequest};
use cloister_model::Sha256;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::{CustomResourceExt as _, ResourceExt as _};
use serde_json::Value;

/// Where a definition carries the digest of its schema.
pub const SCHEMA_HASH: &str = "cloister.dev/schema-hash";

/// The definitions of every kind, sorted by name, each with the digest of its schema as an annotation.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let mut all =
        vec![Algorithm::crd(), ApiKey::crd(), ComputeJob::crd(), Dataset::crd(), Environment::crd(), JobRequest::crd()];
    for definition in &mut all {
        for version in &mut definition.spec.versions {
            if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
                forget_unknown_formats(schema);
            }
        }
        let hash = schema_hash(definition);
        definition.annotations_mut().insert(SCHEMA_HASH.to_owned(), hash);
    }
    all.sort_by_key(|definition| definition.metadata.name.clone());
    all
}

/// Removes formats that OpenAPI does not know, such as `uint32`: the API server warns of each of them. The bounds say more.
fn forget_unknown_formats(schema: &mut JSONSchemaProps) {
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = None;
    }
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(forget_unknown_formats);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        forget_unknown_formats(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        forget_unknown_formats(values);
    }
}

/// The digest of what a definition says, its annotations left out: two programs that agree about it agree about the
/// resources.
#[must_use]
pub fn schema_hash(definition: &CustomResourceDefinition) -> String {
    // Through a value, whose objects are sorted.
    let spec = serde_json::to_value(&definition.spec).unwrap_or(Value::Null).to_string();
    let digest = Sha256::of(spec.as_bytes()).to_string();
    digest.chars().take(32).collect()
}
