use crate::{
    Account, AssetKind, Ddo, DdoError, Did, Parameter, Permissions, Sha256, Sources, TableSchema, TrustedAlgorithm,
    json::{FieldError, FieldProblem, Node},
    plain_sizes,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use std::{fmt, str::FromStr};

/// The version of the format.
const API_VERSION: &str = "cloister.dev/v1alpha1";

/// Tags of an asset.
const MOST_TAGS: usize = 100;

/// Services of an asset.
const MOST_SERVICES: usize = 100;

/// Entries of a list of rules. The code that reads the list has a bound of its own, which is smaller or the same.
const MOST_ENTRIES: usize = 10_000;

/// What an owner calls an asset: 1 to 63 lower-case letters, digits and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AssetName(String);

/// The text is not an asset's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 63 lower-case letters, digits or `-`")]
pub struct AssetNameError;

impl AssetName {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AssetName {
    type Err = AssetNameError;

    fn from_str(text: &str) -> Result<Self, AssetNameError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=63).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(AssetNameError)
        }
    }
}

impl fmt::Display for AssetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AssetName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An asset as its publisher writes it.
///
/// ```yaml
/// apiVersion: cloister.dev/v1alpha1
/// kind: Dataset                       # or Algorithm
/// metadata: { name: penguins }        # unique among the owner's assets of this kind
/// spec:
///   title: Palmer penguins
///   files: [{ type: local, path: /srv/penguins.csv }]
///   compute: { allowRawAlgorithm: true }
/// ```
///
/// `files`, `compute` and `consumerParameters` in `spec` stand for `services` with one service: id and type `compute`.
/// Nothing that is absent allows anything. Unknown fields are refused, so that a typing error cannot silently drop a
/// restriction.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    kind: AssetKind,
    name: AssetName,
    /// The DDO that it becomes, all but its `id`.
    document: Map<String, Value>,
    /// Whether it has `services`, rather than the fields that stand for one.
    lists_services: bool,
}

/// Why a document is not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A field is not what it must be.
    #[error("manifest: {0}; correct it and publish again")]
    Field(#[from] FieldError),
    /// The document is not a DDO, or what a manifest becomes is too large for one.
    #[error(transparent)]
    Ddo(#[from] DdoError),
}

impl Manifest {
    /// The fields of a manifest.
    pub const FIELDS: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];

    /// The fields of `spec`.
    pub const SPEC_FIELDS: [&str; 13] = [
        "title",
        "author",
        "description",
        "license",
        "tags",
        "schema",
        "services",
        "files",
        "compute",
        "consumerParameters",
        "credentials",
        "oceanProviders",
        "algorithm",
    ];

    /// The fields of an entry of `services`.
    pub const SERVICE_FIELDS: [&str; 5] = ["id", "type", "files", "compute", "consumerParameters"];

    /// The fields of `algorithm`.
    pub const ALGORITHM_FIELDS: [&str; 5] = ["language", "version", "container", "consumerParameters", "inspectors"];

    /// The fields of the `container` of an algorithm.
    pub const CONTAINER_FIELDS: [&str; 4] = ["image", "tag", "entrypoint", "checksum"];

    /// Whether a document means to be a manifest, rather than a DDO.
    #[must_use]
    pub fn is_meant(document: &Value) -> bool {
        document.get("apiVersion").is_some() || document.get("kind").is_some() || document.get("spec").is_some()
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn from_value(document: &Value) -> Result<Self, ManifestError> {
        let root = Node::root("", document);
        only(&root, &Self::FIELDS)?;
        if root.get("apiVersion").text(100)? != API_VERSION {
            return Err(root.get("apiVersion").expected("`cloister.dev/v1alpha1`").into());
        }
        let kind = match root.get("kind").text(100)? {
            "Dataset" => AssetKind::Dataset,
            "Algorithm" => AssetKind::Algorithm,
            _ => return Err(root.get("kind").expected("`Dataset` or `Algorithm`").into()),
        };
        let metadata = root.get("metadata");
        only(&metadata, &["name"])?;
        let name: AssetName = metadata.get("name").parsed("1 to 63 lower-case letters, digits or `-`")?;
        let spec = root.get("spec");
        only(&spec, &Self::SPEC_FIELDS)?;
        let mut described =
            json!({"type": kind_name(kind), "name": spec.get("title").text_or_absent(1000)?.unwrap_or(name.as_str())});
        for (field, most) in [("author", 1000), ("description", 20_000), ("license", 1000)] {
            if let Some(text) = spec.get(field).text_or_absent(most)? {
                described[field] = text.into();
            }
        }
        let tags = spec.get("tags").entries(MOST_TAGS)?;
        if !tags.is_empty() {
            described["tags"] = tags.iter().map(|tag| tag.text(100)).collect::<Result<Vec<_>, _>>()?.into();
        }
        let schema = spec.get("schema");
        if !schema.is_absent() {
            if kind == AssetKind::Algorithm {
                return Err(schema.expected("absent for an algorithm").into());
            }
            TableSchema::read(&schema)?;
            described["additionalInformation"] = json!({"schema": schema.value()});
        }
        match (kind, spec.get("algorithm")) {
            (AssetKind::Algorithm, algorithm) => described["algorithm"] = read_algorithm(&algorithm)?,
            (AssetKind::Dataset, algorithm) if algorithm.is_absent() => {}
            (AssetKind::Dataset, algorithm) => {
                return Err(algorithm.expected("absent for a dataset").into());
            }
        }
        let mut written = Map::new();
        written.insert("@context".to_owned(), json!(["https://w3id.org/did/v1"]));
        written.insert("version".to_owned(), "4.1.0".into());
        written.insert("metadata".to_owned(), described);
        written.insert("services".to_owned(), read_services(&spec, kind)?.into());
        let credentials = spec.get("credentials");
        if !credentials.is_absent() {
            only(&credentials, &["allow", "deny"])?;
            for list in ["allow", "deny"] {
                for entry in credentials.get(list).entries(MOST_ENTRIES)? {
                    only(&entry, &["type", "values"])?;
                }
            }
            written.insert("credentials".to_owned(), credentials.value().clone());
        }
        let providers = spec.get("oceanProviders");
        if !providers.is_absent() {
            written.insert("oceanProviders".to_owned(), providers.value().clone());
        }
        let manifest = Self { kind, name, document: written, lists_services: !spec.get("services").is_absent() };
        // The id is the only part that depends on the owner: everything that can be wrong is found here.
        match manifest.with_id("owner") {
            Ok(_) => Ok(manifest),
            Err(DdoError::Field(FieldError { field, problem })) => {
                Err(FieldError { field: manifest.place(&field), problem }.into())
            }
            Err(DdoError::ServiceTwice(n)) => {
                let problem = FieldProblem::Unusable("is the `id` of another service, too; give every service its own");
                Err(FieldError { field: manifest.place(&format!("services[{n}].id")), problem }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Dataset or algorithm.
    #[must_use]
    pub fn kind(&self) -> AssetKind {
        self.kind
    }

    /// What its owner calls it.
    #[must_use]
    pub fn name(&self) -> &AssetName {
        &self.name
    }

    /// The DID of an owner's asset of this kind and name: SHA-256, as 64 hexadecimal digits, of the lines `cloister`, the
    /// account's key, `dataset` or `algorithm`, and the name, with a line feed between them.
    #[must_use]
    pub fn did(owner: &Account, kind: AssetKind, name: &AssetName) -> Did {
        let text = format!("cloister\n{}\n{}\n{name}", owner.key(), kind_name(kind));
        let digest = Sha256::of(text.as_bytes()).to_string();
        digest.parse().expect("64 hexadecimal digits are an identifier")
    }

    /// Where a field of the DDO that it becomes stands in the manifest: `services[0].files[1]` is `spec.files[1]`, or
    /// `spec.services[0].files[1]` if the manifest lists its services.
    #[must_use]
    pub fn place(&self, field: &str) -> String {
        let rooted = ["metadata", "services", "credentials", "oceanProviders"];
        let root = field.split(['.', '[']).next().filter(|root| rooted.contains(root));
        match (root, field) {
            (_, "id") => "metadata.name".to_owned(),
            (_, "metadata.name") => "spec.title".to_owned(),
            (Some("metadata"), field) => format!("spec{}", field.trim_start_matches("metadata")),
            (Some("services"), field) if !self.lists_services => {
                format!("spec{}", field.trim_start_matches("services").trim_start_matches("[0]"))
            }
            (Some(_), field) => format!("spec.{field}"),
            (None, field) => field.to_owned(),
        }
    }

    /// The DDO that it becomes for an owner.
    ///
    /// # Errors
    /// [`ManifestError::Ddo`] for one that is too large.
    pub fn ddo(&self, owner: &Account) -> Result<Ddo, ManifestError> {
        Ok(self.with_id(Self::did(owner, self.kind, &self.name).id())?)
    }

    fn with_id(&self, id: &str) -> Result<Ddo, DdoError> {
        let mut document = self.document.clone();
        document.insert("id".to_owned(), format!("did:op:{id}").into());
        Ddo::from_value(Value::Object(document))
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest").field("kind", &self.kind).field("name", &self.name).finish_non_exhaustive()
    }
}

fn kind_name(kind: AssetKind) -> &'static str {
    match kind {
        AssetKind::Dataset => "dataset",
        AssetKind::Algorithm => "algorithm",
    }
}

fn only(node: &Node<'_>, known: &[&'static str]) -> Result<(), ManifestError> {
    Ok(node.refuse_unknown(known)?)
}

fn only_parameters(parameters: &Node<'_>) -> Result<(), ManifestError> {
    for parameter in parameters.entries(MOST_ENTRIES)? {
        only(&parameter, &Parameter::FIELDS)?;
    }
    Ok(())
}

fn read_algorithm(node: &Node<'_>) -> Result<Value, ManifestError> {
    let mut algorithm = Map::new();
    if !node.is_absent() {
        only(node, &Manifest::ALGORITHM_FIELDS)?;
        only_parameters(&node.get("consumerParameters"))?;
        algorithm = node.object()?.clone();
    }
    let container = node.get("container");
    let mut written = json!({"image": "wasm", "entrypoint": "$ALGO"});
    if !container.is_absent() {
        only(&container, &Manifest::CONTAINER_FIELDS)?;
        for (name, value) in container.object()? {
            written[name] = value.clone();
        }
    }
    algorithm.insert("container".to_owned(), written);
    Ok(algorithm.into())
}

fn read_services(spec: &Node<'_>, kind: AssetKind) -> Result<Vec<Value>, ManifestError> {
    let services = spec.get("services");
    if services.is_absent() {
        return Ok(vec![read_service(spec, "compute", "compute", kind)?]);
    }
    for name in ["files", "compute", "consumerParameters"] {
        if !spec.get(name).is_absent() {
            return Err(spec.get(name).expected("absent beside `services`; write it into a service").into());
        }
    }
    let entries = services.entries(MOST_SERVICES)?;
    if entries.is_empty() {
        return Err(services.expected("a list with at least one service").into());
    }
    let read = |entry: &Node<'_>| {
        only(entry, &Manifest::SERVICE_FIELDS)?;
        let service_type = entry.get("type").text(64)?;
        let id = entry.get("id").text_or_absent(128)?.unwrap_or(service_type);
        read_service(entry, id, service_type, kind)
    };
    entries.iter().map(read).collect()
}

fn read_service(node: &Node<'_>, id: &str, service_type: &str, kind: AssetKind) -> Result<Value, ManifestError> {
    let files = node.get("files");
    if files.is_absent() {
        return Err(files.error(FieldProblem::Missing).into());
    }
    Sources::read(&files)?;
    // As the publisher wrote them: the DDO is the document that others see.
    let list = files.value().get("files").unwrap_or(files.value());
    let mut service = json!({"id": id, "type": service_type, "files": list});
    let compute = node.get("compute");
    if !compute.is_absent() {
        if service_type != "compute" || kind != AssetKind::Dataset {
            return Err(compute.expected("absent: only a dataset's service of type `compute` has permissions").into());
        }
        only(&compute, &Permissions::FIELDS)?;
        Permissions::refuse_network_in(&compute)?;
        for trusted in compute.get("publisherTrustedAlgorithms").entries(MOST_ENTRIES)? {
            only(&trusted, &TrustedAlgorithm::FIELDS)?;
        }
        let mut rules = compute.value().clone();
        plain_sizes(&mut rules);
        Permissions::read(&compute.with_value(&rules))?;
        service["compute"] = rules;
    }
    let parameters = node.get("consumerParameters");
    only_parameters(&parameters)?;
    if !parameters.is_absent() {
        service["consumerParameters"] = parameters.value().clone();
    }
    Ok(service)
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
