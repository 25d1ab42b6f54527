use super::{Algorithm, Condition, Dataset, Moment, schema};
use cloister_model::{AssetKind, DdoError, FieldProblem, Manifest, ManifestError, Sha256};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Bytes of [`StoredAsset::rules`].
pub const MOST_RULES_BYTES: usize = 256 * 1024;

/// An asset that the service stored. The document is in a Secret, because it may hold credentials of sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct StoredAsset {
    /// The DID of the asset.
    #[schemars(length(max = 71), regex(pattern = schema::DID))]
    pub did: String,
    /// The account that owns it.
    #[schemars(schema_with = "schema::account")]
    pub owner: String,
    /// The name that its owner gave it.
    #[schemars(length(max = 63))]
    pub name: String,
    /// The immutable Secret that holds it.
    #[schemars(length(max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub secret: String,
    /// The digest of what the Secret holds.
    #[schemars(schema_with = "schema::sha256")]
    pub sha256: Sha256,
    /// Its rules as JSON, without the sources of its files. The controller reads them to decide whether a job may still run. The
    /// service writes them with the other fields. A reader refuses rules that it does not understand in full.
    #[schemars(length(max = 262_144))]
    pub rules: String,
}

/// What the service reports about an asset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(inline)]
pub struct AssetStatus {
    /// The DID of the asset. Absent while it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub did: Option<String>,
    /// The account that owns it, which is the one of its namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub owner: Option<String>,
    /// The generation of the resource that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `Ready`, which says whether jobs can use the asset.
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// A [`Dataset`] or an [`Algorithm`].
pub trait AssetResource: fmt::Debug {
    /// Which of the two.
    const KIND: AssetKind;

    /// What its publisher calls it.
    fn name(&self) -> &str;

    /// The manifest's `spec`.
    fn manifest(&self) -> &Map<String, Value>;

    /// The asset that the service stored, if it did.
    fn stored(&self) -> Option<&StoredAsset>;

    /// When it was withdrawn.
    fn withdrawn(&self) -> Option<Moment>;
}

macro_rules! asset_resource {
    ($resource:ident) => {
        impl AssetResource for $resource {
            const KIND: AssetKind = AssetKind::$resource;

            fn name(&self) -> &str {
                self.metadata.name.as_deref().unwrap_or_default()
            }

            fn manifest(&self) -> &Map<String, Value> {
                &self.spec.manifest
            }

            fn stored(&self) -> Option<&StoredAsset> {
                self.spec.stored.as_ref()
            }

            fn withdrawn(&self) -> Option<Moment> {
                self.spec.withdrawn
            }
        }
    };
}

asset_resource!(Dataset);
asset_resource!(Algorithm);

/// Why an asset that was applied cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Its manifest is not one.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// An unknown field: it may be a misspelt restriction.
    #[error(
        "{0}; a field that is not known may be a misspelt restriction, so no account may use the asset until it is corrected or removed"
    )]
    UnknownField(ManifestError),
    /// A Secret that it names is not there, or lacks a key.
    #[error("the Secret `{name}` {problem}; create it in this namespace, or correct credentialsFrom.secretRef.name")]
    Secret {
        /// The Secret.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Unusable {
    /// The reason of the condition `Ready`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Manifest(_) => "InvalidManifest",
            Self::UnknownField(_) => "UnknownField",
            Self::Secret { .. } => "SecretMissing",
        }
    }
}

/// What Secrets of its namespace an asset names.
#[must_use]
pub fn secrets_named(asset: &impl AssetResource) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut document = Value::Object(asset.manifest().clone());
    each_file(&mut document, &mut |file| {
        names.extend(secret_of(file).map(str::to_owned));
        Ok::<(), Unusable>(())
    })
    .unwrap_or_default();
    names
}

/// Reads an asset that was applied, by the very function that reads the manifest of `cloister dataset apply -f`, after the
/// credentials of its sources were taken from the Secrets that it names.
///
/// # Errors
/// [`Unusable`].
pub fn manifest<A: AssetResource>(
    asset: &A,
    secrets: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<Manifest, Unusable> {
    let mut spec = Value::Object(asset.manifest().clone());
    each_file(&mut spec, &mut |file| fill_in(file, secrets))?;
    let kind = match A::KIND {
        AssetKind::Dataset => "Dataset",
        AssetKind::Algorithm => "Algorithm",
    };
    let api_version = format!("{}/{}", super::GROUP, super::VERSION);
    let document = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": asset.name()}, "spec": spec});
    Manifest::from_value(&document).map_err(|error| {
        if is_about_an_unknown_field(&error) { Unusable::UnknownField(error) } else { Unusable::Manifest(error) }
    })
}

fn is_about_an_unknown_field(error: &ManifestError) -> bool {
    let (ManifestError::Field(field) | ManifestError::Ddo(DdoError::Field(field))) = error else { return false };
    matches!(field.problem, FieldProblem::Unknown { .. })
}

/// Every file object of a manifest's `spec`.
fn each_file<E>(spec: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>) -> Result<(), E>) -> Result<(), E> {
    let mut lists: Vec<&mut Value> = Vec::new();
    if let Value::Object(spec) = spec {
        for (name, value) in spec {
            match (name.as_str(), value) {
                ("files", files) => lists.push(files),
                ("services", Value::Array(services)) => {
                    lists.extend(services.iter_mut().filter_map(|service| service.get_mut("files")));
                }
                _ => {}
            }
        }
    }
    for list in lists {
        for file in list.as_array_mut().into_iter().flatten() {
            if let Value::Object(file) = file {
                visit(file)?;
            }
        }
    }
    Ok(())
}

fn secret_of(file: &Map<String, Value>) -> Option<&str> {
    file.get("credentialsFrom")?.get("secretRef")?.get("name")?.as_str()
}

/// Puts the credentials of a file where its kind wants them. A reference of another form stays, and is an unknown field.
fn fill_in(
    file: &mut Map<String, Value>,
    secrets: &BTreeMap<String, BTreeMap<String, String>>,
) -> Result<(), Unusable> {
    let Some(name) = secret_of(file).map(str::to_owned) else { return Ok(()) };
    let wrong = |problem| Unusable::Secret { name: name.clone(), problem };
    let secret = secrets.get(&name).ok_or_else(|| wrong("does not exist, or is not of the type Opaque"))?;
    match file.get("type").and_then(Value::as_str) {
        Some("s3") => {
            let Some(Value::Object(access)) = file.get_mut("s3Access") else { return Ok(()) };
            for key in ["accessKeyId", "secretAccessKey"] {
                let value = secret.get(key).ok_or_else(|| wrong("needs the keys accessKeyId and secretAccessKey"))?;
                access.insert(key.to_owned(), value.clone().into());
            }
        }
        Some("url") => {
            if secret.is_empty() {
                return Err(wrong("needs a key for each header, such as Authorization"));
            }
            let headers = file.entry("headers").or_insert_with(|| json!({}));
            let Value::Object(headers) = headers else { return Ok(()) };
            headers.extend(secret.iter().map(|(name, value)| (name.clone(), value.clone().into())));
        }
        // The reference stays where it is, and is refused as an unknown field.
        _ => return Ok(()),
    }
    file.remove("credentialsFrom");
    Ok(())
}

/// The form that is right, in every refusal of an inline credential.
const RIGHT_FORM: &str = "a credential must not be written into a resource, because everyone who may read the resource \
    can read it; put it into a Secret of this namespace and write: credentialsFrom: {secretRef: {name: NAME-OF-THE-SECRET}}";

/// Headers that are no credentials.
const PLAIN_HEADERS: [&str; 5] = ["accept", "accept-language", "content-type", "user-agent", "if-match"];

/// The schema of the `spec` of an asset. It keeps unknown fields at every level that holds rules, so that they are seen.
pub(super) fn spec_schema(kind: AssetKind, generator: &mut SchemaGenerator) -> Schema {
    let (text, open) = (|most: u32| json!({"type": "string", "maxLength": most}), true);
    let parameters = json!({"type": "array", "maxItems": 100, "items": {
        "type": "object", "x-kubernetes-preserve-unknown-fields": open}});
    let mut properties = json!({
        "title": text(1000), "author": text(1000), "description": text(20_000), "license": text(1000),
        "tags": {"type": "array", "maxItems": 100, "items": text(100)},
        "files": files(1000),
        "consumerParameters": parameters,
        "credentials": {"type": "object", "x-kubernetes-preserve-unknown-fields": open},
        "services": {"type": "array", "maxItems": 16, "items": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": open, "required": ["type"],
            "properties": {"id": text(128), "type": {"type": "string", "enum": ["access", "compute"]},
                "files": files(100), "consumerParameters": parameters, "compute": permissions()},
        }},
        "withdrawn": generator.subschema_for::<Moment>(),
        "stored": generator.subschema_for::<StoredAsset>(),
    });
    match kind {
        AssetKind::Dataset => properties["compute"] = permissions(),
        AssetKind::Algorithm => {
            properties["algorithm"] = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": open,
                "properties": {"language": text(100), "version": text(100), "consumerParameters": parameters,
                    "container": {"type": "object", "x-kubernetes-preserve-unknown-fields": open, "properties": {
                        "image": text(500), "tag": text(200), "entrypoint": text(4096), "checksum": text(200)}}}});
        }
    }
    let rules = json!([
        {"rule": "has(self.stored) || has(self.files) || has(self.services)",
            "message": "an asset has files: write files, or services with files"},
        {"rule": "!has(self.stored) || !(has(self.files) || has(self.services))",
            "message": "stored is written by the service for assets that were published over HTTP; remove it from the manifest"},
        {"rule": "!has(self.services) || !has(self.files)",
            "message": "files stands beside services; write it into a service"},
    ]);
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": open, "properties": properties,
        "x-kubernetes-validations": rules});
    Schema::try_from(schema).expect("an object is a schema")
}

fn files(most: u32) -> Value {
    let headers = PLAIN_HEADERS.map(|name| format!("'{name}'")).join(", ");
    json!({"type": "array", "maxItems": most, "items": {
        "type": "object", "x-kubernetes-preserve-unknown-fields": true, "required": ["type"],
        "properties": {
            "type": {"type": "string", "maxLength": 32},
            "url": {"type": "string", "maxLength": 2048},
            "headers": {"type": "object", "maxProperties": 16, "additionalProperties": {"type": "string", "maxLength": 1024}},
            "s3Access": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                "endpoint": {"type": "string", "maxLength": 2048}, "region": {"type": "string", "maxLength": 64},
                "bucket": {"type": "string", "maxLength": 63}, "objectKey": {"type": "string", "maxLength": 1024},
                "accessKeyId": {"type": "string", "maxLength": 256}, "secretAccessKey": {"type": "string", "maxLength": 1024},
                "forcePathStyle": {"type": "boolean"}}},
            "path": {"type": "string", "maxLength": 4096},
            "hash": {"type": "string", "maxLength": 4096},
            "sha256": {"type": "string", "maxLength": 64},
            "bytes": {"type": "integer", "format": "int64", "minimum": 0},
            "credentialsFrom": {"type": "object", "required": ["secretRef"], "properties": {
                "secretRef": {"type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string", "maxLength": 253, "pattern": schema::OBJECT_NAME}}}}},
        },
        "x-kubernetes-validations": [
            {"rule": "!has(self.s3Access) || !(has(self.s3Access.secretAccessKey) || has(self.s3Access.accessKeyId))",
                "fieldPath": ".s3Access", "message": RIGHT_FORM},
            {"rule": format!("!has(self.headers) || self.headers.all(name, name.lowerAscii() in [{headers}])"),
                "fieldPath": ".headers", "message": RIGHT_FORM},
            {"rule": "!has(self.url) || !self.url.matches('^[A-Za-z]+://[^/?#]*@')", "fieldPath": ".url", "message": RIGHT_FORM},
            {"rule": "!has(self.credentialsFrom) || self.type in ['s3', 'url']", "fieldPath": ".credentialsFrom",
                "message": "credentialsFrom belongs to files of type s3 and url; remove it"},
        ],
    }})
}

fn permissions() -> Value {
    let texts = |most: u32, length: u32| json!({"type": "array", "maxItems": most, "items": {"type": "string", "maxLength": length}});
    let amount = json!({"type": "integer", "format": "int64", "minimum": 0});
    let open = |properties: Value| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": properties});
    let list = |most: u32, items: Value| json!({"type": "array", "maxItems": most, "items": items});
    let text = |most: u32| json!({"type": "string", "maxLength": most});
    let mut rules = open(json!({
        "allowRawAlgorithm": {"type": "boolean"},
        "allowNetworkAccess": {"type": "boolean"},
        "allowAlgorithmsPublishedHere": {"type": "boolean"},
        "publisherTrustedAlgorithms": list(1000, open(json!({"did": text(71), "filesChecksum": text(64_000),
            "containerSectionChecksum": text(64), "serviceId": text(128)}))),
        "publisherTrustedAlgorithmPublishers": texts(1000, 128),
        "runtimes": texts(2, 16),
        "profiles": texts(2, 16),
        "outputContract": open(json!({
            "maxBytes": amount, "maxFiles": amount, "maxDirectories": amount, "maxPathBytes": amount, "maxDepth": amount,
            "maxLogBytes": amount, "names": texts(100, 1024), "mediaTypes": texts(100, 201), "review": {"type": "boolean"},
            "reviewers": texts(4, 128),
            "csv": open(json!({"maxRows": amount, "maxColumns": amount, "maxCellBytes": amount, "columns": texts(1000, 1024),
                "minimum": list(100, open(json!({"column": text(1024), "least": amount})))})),
            "json": open(json!({"maxDepth": amount, "maxValues": amount, "maxTextBytes": amount})),
            "checks": list(8, open(json!({"name": text(1000), "sha256": text(64)}))),
        })),
    }));
    rules["x-kubernetes-validations"] = json!([{"rule": "!has(self.allowNetworkAccess) || !self.allowNetworkAccess",
        "fieldPath": ".allowNetworkAccess",
        "message": "no algorithm has a network, not even in a container; remove allowNetworkAccess"}]);
    rules
}
