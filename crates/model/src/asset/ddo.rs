use super::{AssetKind, Credentials, Metadata, Service, ServiceKind};
use crate::{
    Account, Did, JobId, Location, Sources, Trusted,
    json::{self, FieldError, Node},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::{collections::BTreeSet, fmt, sync::Arc};

/// Bytes of a DDO, written without spaces.
pub const MOST_DDO_BYTES: usize = 1024 * 1024;

/// Services of an asset.
const MOST_SERVICES: usize = 100;

/// Ocean Providers of an asset.
const MOST_PROVIDERS: usize = 100;

/// The description of an asset, as Ocean 4.x writes it.
///
/// The document is kept as it came, fields of other programs included, and is written out again value for value. What
/// Cloister uses of it has been read once, from that same document, so the two cannot disagree. Fields may be absent or
/// null where Ocean's own data has them so: everything but `id`, `metadata` (with `type` and `name`, and for an algorithm
/// its `container`) and, per service, `id` and `type`.
///
/// A copy shares the document: one that is read once serves many requests at the same time.
#[derive(Clone, PartialEq, Eq)]
pub struct Ddo(Arc<Content>);

#[derive(PartialEq, Eq)]
struct Content {
    document: Value,
    id: Did,
    version: Option<String>,
    chain_id: Option<u64>,
    nft_address: Option<String>,
    metadata: Metadata,
    services: Vec<Service>,
    credentials: Credentials,
    size: usize,
    ocean_providers: Vec<Trusted<Account>>,
}

/// Why a document is not a DDO.
#[derive(Debug, thiserror::Error)]
pub enum DdoError {
    /// Not JSON at all, or nested beyond sense.
    #[error("the DDO is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Beyond [`MOST_DDO_BYTES`].
    #[error("the description is larger than {MOST_DDO_BYTES} bytes; keep data out of it")]
    TooLarge,
    /// A field is not what it must be.
    #[error("DDO: {0}; correct it and publish again")]
    Field(#[from] FieldError),
    /// Two services with one id: an order or a job could not say which it means.
    #[error("DDO: `services[{0}].id` is used twice; give every service its own")]
    ServiceTwice(usize),
}

impl Ddo {
    /// Reads a DDO from JSON text.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn from_json(text: &[u8]) -> Result<Self, DdoError> {
        // Spaces do not count towards the limit, but no document needs this many.
        if text.len() > 4 * MOST_DDO_BYTES {
            return Err(DdoError::TooLarge);
        }
        Self::from_value(serde_json::from_slice(text)?)
    }

    /// Reads a DDO from a JSON value.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn from_value(document: Value) -> Result<Self, DdoError> {
        let size = json::size(&document, MOST_DDO_BYTES).ok_or(DdoError::TooLarge)?;
        let root = Node::root("", &document);
        root.object()?;
        let services: Vec<Service> =
            root.get("services").entries(MOST_SERVICES)?.iter().map(Service::read).collect::<Result<_, _>>()?;
        for (i, service) in services.iter().enumerate() {
            if services[..i].iter().any(|earlier| earlier.id == service.id) {
                return Err(DdoError::ServiceTwice(i));
            }
        }
        Ok(Self(Arc::new(Content {
            id: root.get("id").parsed("a DID (`did:op:<id>`)")?,
            version: root.get("version").text_or_absent(32)?.map(str::to_owned),
            chain_id: root.get("chainId").number_or_absent()?,
            nft_address: root.get("nftAddress").text_or_absent(128)?.map(str::to_owned),
            metadata: Metadata::read(&root.get("metadata"))?,
            services,
            credentials: Credentials::read(&root.get("credentials"))?,
            ocean_providers: root
                .get("oceanProviders")
                .entries(MOST_PROVIDERS)?
                .iter()
                .map(|entry| Trusted::read(entry, "an account, or `*`"))
                .collect::<Result<_, _>>()?,
            document,
            size,
        })))
    }

    /// Its size as JSON, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &Did {
        &self.0.id
    }

    /// The version of the DDO format, such as `4.1.0`.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.0.version.as_deref()
    }

    /// The chain that its tokens are on.
    #[must_use]
    pub fn chain_id(&self) -> Option<u64> {
        self.0.chain_id
    }

    /// The contract of its NFT, as the document says. This proves nothing: a document can hold any address.
    #[must_use]
    pub fn nft_address(&self) -> Option<&str> {
        self.0.nft_address.as_deref()
    }

    /// Dataset or algorithm.
    #[must_use]
    pub fn kind(&self) -> AssetKind {
        if self.0.metadata.algorithm.is_some() { AssetKind::Algorithm } else { AssetKind::Dataset }
    }

    /// What it says of itself.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// How it may be used.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.0.services
    }

    /// The service with this id.
    #[must_use]
    pub fn service(&self, id: &str) -> Option<&Service> {
        self.0.services.iter().find(|service| service.id == id)
    }

    /// Who may use it at all.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.0.credentials
    }

    /// Whether this Ocean Provider may use it for any consumer: its `oceanProviders` (Cloister's own field) name
    /// the Provider, or `*`. A Provider that the operator lists can speak for any Ethereum account, so that an asset has to be
    /// meant for it. `*` also admits requests for which no Provider vouches (none), where the operator accepts those.
    #[must_use]
    pub fn is_meant_for(&self, provider: Option<&Account>) -> bool {
        self.0.ocean_providers.iter().any(|trusted| match trusted {
            Trusted::Any => true,
            Trusted::Only(account) => provider == Some(account),
        })
    }

    /// Whether it can only be computed on or with: it has services, and none of them lets its files be downloaded.
    #[must_use]
    pub fn is_private(&self) -> bool {
        !self.0.services.is_empty()
            && self.0.services.iter().all(|service| matches!(service.kind, ServiceKind::Compute(_)))
    }

    /// The jobs whose results are files of it.
    #[must_use]
    pub fn result_jobs(&self) -> BTreeSet<JobId> {
        let files = self.0.services.iter().filter_map(Service::open_files).flat_map(Sources::files);
        let jobs = files.filter_map(|file| match file.location() {
            Location::Result { job, index: _ } => Some(*job),
            Location::Url(_)
            | Location::Ipfs(_)
            | Location::S3(_)
            | Location::Local(_)
            | Location::Inline(_)
            | Location::Upload(_) => None,
        });
        jobs.collect()
    }

    /// The document for strangers' eyes, such as an algorithm's at `/data/ddos/<did>`: without the files that are
    /// described in the clear. Encrypted ones stay, as they do in Ocean's public catalogue.
    #[must_use]
    pub fn without_open_sources(&self) -> Value {
        let mut document = self.0.document.clone();
        for service in document.get_mut("services").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(service) = service.as_object_mut()
                && !service.get("files").is_none_or(Value::is_string)
            {
                service.remove("files");
            }
        }
        document
    }
}

/// Fields of a document, of its metadata, its algorithm and its services that permissions depend on, or that a document must
/// have.
const RULES: [&[&str]; 4] = [
    &["id", "metadata", "services", "credentials", "oceanProviders"],
    &["type", "algorithm"],
    &["container"],
    &["id", "type", "compute"],
];

impl Ddo {
    /// A document with the same rules and nothing else: who may use the asset, what may run and leave, and what it runs in.
    /// It names no file. What [`Permissions`](crate::Permissions), [`Credentials`], [`Ddo::is_meant_for`] and
    /// [`Ddo::is_private`] say of it, they say of this document.
    ///
    /// # Errors
    /// None that this document does not have: it can be read as every DDO can.
    pub fn rules(&self) -> Result<Self, DdoError> {
        // A field that is added has to be decided about here.
        let Content {
            document,
            id: _,
            version: _,
            chain_id: _,
            nft_address: _,
            metadata: _,
            services: _,
            credentials: _,
            size: _,
            ocean_providers: _,
        } = &*self.0;
        let [of_document, of_metadata, of_algorithm, of_service] = RULES;
        let mut rules = document.clone();
        keep(&mut rules, of_document);
        if let Some(metadata) = rules.get_mut("metadata") {
            keep(metadata, of_metadata);
            metadata["name"] = "".into();
            if let Some(algorithm) = metadata.get_mut("algorithm") {
                keep(algorithm, of_algorithm);
            }
        }
        for service in rules.get_mut("services").and_then(Value::as_array_mut).into_iter().flatten() {
            keep(service, of_service);
        }
        Self::from_value(rules)
    }
}

/// Removes every other field of an object.
fn keep(value: &mut Value, fields: &[&str]) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|name, _| fields.contains(&name.as_str()));
    }
}

impl fmt::Debug for Ddo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ddo").field("id", &self.0.id).field("kind", &self.kind()).finish_non_exhaustive()
    }
}

impl Serialize for Ddo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.document.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ddo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn dataset() -> Value {
        json!({
            "@context": ["https://w3id.org/did/v1"],
            "id": "did:op:5b1f", "version": "4.1.0", "chainId": 8996,
            "nftAddress": "0x1111111111111111111111111111111111111111",
            "metadata": {
                "created": "2026-01-02T03:04:05Z", "type": "dataset", "name": "Penguins", "author": "Palmer",
                "description": "…", "license": "CC0", "tags": null
            },
            "services": [{
                "id": "svc-1", "type": "compute", "files": "0xdeadbeef", "timeout": 3600,
                "datatokenAddress": "0x2222222222222222222222222222222222222222",
                "serviceEndpoint": "https://provider.example",
                "compute": {
                    "namespace": "ours", "allowRawAlgorithm": false, "allowNetworkAccess": null,
                    "publisherTrustedAlgorithms": [], "publisherTrustedAlgorithmPublishers": null
                },
                "consumerParameters": null
            }],
            "credentials": {"allow": [], "deny": []},
            "event": {"block": 1.5}, "nft": {"owner": "0x3"}
        })
    }

    fn algorithm() -> Value {
        json!({
            "id": "did:op:e4d8",
            "metadata": {"type": "algorithm", "name": "Stats", "algorithm": {
                "language": "python", "version": "0.1",
                "container": {"image": "python", "tag": "3.12", "entrypoint": "python3 $ALGO", "checksum": "sha256:1f"},
                "consumerParameters": [{"name": "bins", "type": "number", "label": "Bins", "required": false, "default": 20}]
            }},
            "services": [{"id": "a", "type": "access", "files": {"files": [{"type": "url", "url": "https://user:pw@x"}]}}]
        })
    }

    #[test]
    fn reads_what_ocean_writes_and_writes_it_again() {
        for document in [dataset(), algorithm()] {
            let ddo = Ddo::from_value(document.clone()).expect("a DDO");
            assert_eq!(serde_json::to_value(&ddo).expect("json"), document);
        }
        let ddo = Ddo::from_value(dataset()).expect("a DDO");
        assert_eq!((ddo.id().id(), ddo.kind(), ddo.chain_id()), ("5b1f", AssetKind::Dataset, Some(8996)));
        assert_eq!(ddo.service("svc-1").expect("the service").timeout_seconds, 3600);
        assert!(ddo.is_private());
        let ddo = Ddo::from_value(algorithm()).expect("a DDO");
        assert!(!ddo.is_private());
        let container = &ddo.metadata().algorithm.as_ref().expect("an algorithm").container;
        assert_eq!((container.entrypoint.as_str(), container.digest()), ("python3 $ALGO", None));
    }

    #[test]
    fn a_dataset_is_meant_for_the_providers_that_it_names() {
        let account = |text: &str| text.parse::<Account>().expect("an account");
        let provider = account("0x1563915e194D8CfBA1943570603F7606A3115508");
        let meant = |providers: Value, provider: Option<&Account>| {
            let mut document = dataset();
            document["oceanProviders"] = providers;
            Ddo::from_value(document).expect("a DDO").is_meant_for(provider)
        };
        for nobody in [Value::Null, json!([]), json!(["0x2222222222222222222222222222222222222222"])] {
            assert!(!meant(nobody.clone(), Some(&provider)) && !meant(nobody, None));
        }
        // Addresses have no letter case.
        let named = || json!([provider.as_str().to_lowercase()]);
        assert!(meant(named(), Some(&provider)) && !meant(named(), None));
        assert!(meant(json!(["*"]), Some(&provider)) && meant(json!(["*"]), None));
        let mut document = dataset();
        document["oceanProviders"] = json!("*");
        assert!(Ddo::from_value(document).is_err(), "a list");
    }

    #[test]
    fn sources_are_not_shown() {
        let ddo = Ddo::from_value(algorithm()).expect("a DDO");
        assert!(!format!("{ddo:?} {:?}", ddo.services()).contains("pw"));
        assert!(!ddo.without_open_sources().to_string().contains("pw"));
        let encrypted = Ddo::from_value(dataset()).expect("a DDO");
        assert_eq!(encrypted.without_open_sources(), dataset());
    }

    #[test]
    fn its_rules_are_the_same_without_a_word_of_its_files() {
        let mut document = dataset();
        document["oceanProviders"] = json!(["*"]);
        document["credentials"]["deny"] = json!([{"type": "address", "values": ["0xaa"]}]);
        document["services"][0]["compute"]["outputContract"] = json!({"maxBytes": 10});
        for document in [document, algorithm()] {
            let whole = Ddo::from_value(document).expect("a DDO");
            let rules = whole.rules().expect("a DDO");
            assert_eq!((rules.id(), rules.kind(), rules.is_private()), (whole.id(), whole.kind(), whole.is_private()));
            assert_eq!(
                (rules.credentials(), &rules.0.ocean_providers),
                (whole.credentials(), &whole.0.ocean_providers)
            );
            let container = |ddo: &Ddo| ddo.metadata().algorithm.as_ref().map(|algorithm| algorithm.container.clone());
            assert_eq!(container(&rules), container(&whole));
            for (one, other) in rules.services().iter().zip(whole.services()) {
                assert_eq!((&one.id, &one.kind, &one.files), (&other.id, &other.kind, &None));
            }
            assert_eq!(rules.services().len(), whole.services().len());
            let text = serde_json::to_string(&rules).expect("json");
            assert!(!text.contains("pw") && !text.contains("0xdeadbeef") && !text.contains("Palmer"), "{text}");
            assert_eq!(serde_json::to_string(&rules.rules().expect("a DDO")).expect("json"), text);
        }
    }

    #[test]
    fn a_broken_document_names_its_field() {
        for (pointer, value, field) in [
            ("/id", json!("did:web:x"), "`id`"),
            ("/metadata/type", json!("thing"), "`metadata.type`"),
            ("/metadata/name", Value::Null, "`metadata.name` is missing"),
            ("/services/0/type", json!("wss"), "`services[0].type`"),
            ("/services/0/id", json!(""), "`services[0].id`"),
            ("/services/0/timeout", json!(-1), "`services[0].timeout`"),
            ("/services/0/files", json!(3), "`services[0].files`"),
            ("/services/0/compute/allowRawAlgorithm", json!("yes"), "`services[0].compute.allowRawAlgorithm`"),
            ("/credentials", json!([]), "`credentials`"),
            ("/chainId", json!("8996"), "`chainId`"),
        ] {
            let mut document = dataset();
            *document.pointer_mut(pointer).expect("a field") = value;
            let error = Ddo::from_value(document).expect_err(pointer).to_string();
            assert!(error.contains(field), "{error}");
        }
        let mut twice = dataset();
        let service = twice["services"][0].clone();
        twice["services"].as_array_mut().expect("a list").push(service);
        assert!(matches!(Ddo::from_value(twice), Err(DdoError::ServiceTwice(1))));
        let mut large = dataset();
        large["more"] = "x".repeat(MOST_DDO_BYTES).into();
        assert!(matches!(Ddo::from_value(large), Err(DdoError::TooLarge)));
    }

    proptest! {
        #[test]
        fn fields_of_others_survive(key in "[a-z]{1,8}X", value in "\\PC{0,20}", number: i64) {
            let mut document = dataset();
            document[&key] = json!({"text": value, "number": number});
            document["services"][0][&key] = number.into();
            let ddo = Ddo::from_value(document.clone()).expect("a DDO");
            prop_assert_eq!(serde_json::to_value(&ddo).expect("json"), document);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = Ddo::from_json(text.as_bytes());
        }
    }
}
