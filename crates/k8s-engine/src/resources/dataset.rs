use super::{AssetStatus, Moment, StoredAsset, asset};
use cloister_model::AssetKind;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A dataset. Its publisher writes the manifest that `cloister dataset apply -f` takes, too.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "cloister.dev",
    version = "v1alpha1",
    kind = "Dataset",
    namespaced,
    status = "AssetStatus",
    derive = "PartialEq",
    shortname = "ds",
    category = "cloister",
    doc = "A dataset: where its files are, and which algorithms may compute on it.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "DID", type_ = "string", json_path = ".status.did"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct DatasetSpec {
    /// When it was withdrawn: no job may use it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Moment>,
    /// The asset as the service stored it; none for one that was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<StoredAsset>,
    /// The manifest: everything that its publisher wrote, unknown fields included.
    #[serde(flatten)]
    pub manifest: Map<String, Value>,
}

impl JsonSchema for DatasetSpec {
    fn schema_name() -> Cow<'static, str> {
        "DatasetSpec".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        asset::spec_schema(AssetKind::Dataset, generator)
    }
}
