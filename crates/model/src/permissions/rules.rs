use super::OutputPolicy;
use crate::{
    Account, Did, FilesChecksum, Profile, Sha256, escape,
    json::{FieldError, FieldProblem, Node},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::{collections::BTreeSet, fmt, str::FromStr};

/// Entries of a list of rules.
const MOST_RULES: usize = 10_000;

/// The rules of a compute service (DDO field `services[].compute`): which algorithms may run on the dataset, and how.
///
/// The first four fields are Ocean's and mean what ocean-node makes of them, which is also what its documentation says
/// today: empty lists admit no algorithm, `*` admits every algorithm, and an algorithm that either list admits is admitted.
/// (Provider took two empty lists for *all accounts* and needed both lists where both had entries.) Absent, null and empty
/// are the same. Fields of other programs are ignored here and kept by the [`Ddo`](crate::Ddo).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    /// Whether a program that is not a published asset may run. (ocean-node heeds this only beside a list with entries; here
    /// it stands for itself, as in Provider.)
    pub allow_raw_algorithm: bool,
    /// Whether an algorithm may have the network. None has one here, so that it has no effect: a DDO may have the field, because
    /// it is Ocean's, and what is written for Cloister may not ([`Permissions::refuse_network`]).
    pub allow_network_access: bool,
    /// Algorithms that may run.
    pub publisher_trusted_algorithms: Vec<TrustedAlgorithm>,
    /// Publishers whose algorithms may run: the owner of an algorithm's NFT, or the NFT's contract.
    pub publisher_trusted_algorithm_publishers: Vec<Trusted<Account>>,
    /// Whether every algorithm may run that is published in the same registry, whatever its publisher and its
    /// files become (Ocean's network or marketplace level). Cloister's own field.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_algorithms_published_here: bool,
    /// What may leave. Absent: [`OutputPolicy::default`].
    pub output_contract: OutputPolicy,
    /// What algorithms may run in. Absent: WebAssembly only. An empty list: nothing.
    pub runtimes: BTreeSet<RuntimeKind>,
    /// What algorithms may learn of time and chance. Absent: the deterministic profile only. An empty list: nothing runs.
    pub profiles: BTreeSet<Profile>,
}

/// Everything (`*`), or one thing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trusted<T> {
    /// `*`.
    Any,
    /// This one.
    Only(T),
}

impl<T: PartialEq> Trusted<T> {
    /// Whether this is it.
    #[must_use]
    pub fn admits(&self, value: &T) -> bool {
        match self {
            Self::Any => true,
            Self::Only(only) => only == value,
        }
    }
}

/// An entry of `publisherTrustedAlgorithms`. One algorithm may have several, such as one per version of its files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustedAlgorithm {
    /// The algorithm.
    pub did: Trusted<Did>,
    /// What its files must be. None (absent, null, empty) matches no algorithm: trust in bytes that may change any day
    /// has to be said, with `*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_checksum: Option<Trusted<FilesChecksum>>,
    /// What its container section must be. None matches no algorithm, as above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_section_checksum: Option<Trusted<Sha256>>,
    /// The service of the algorithm that is meant; none: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<Trusted<String>>,
}

/// What an algorithm runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeKind {
    /// The sandbox: a WebAssembly program, or a script on an interpreter that is one.
    Wasm,
    /// A container, which a pod alone confines.
    Container,
}

impl FromStr for RuntimeKind {
    type Err = FieldProblem;

    fn from_str(text: &str) -> Result<Self, FieldProblem> {
        match text {
            "wasm" => Ok(Self::Wasm),
            "container" => Ok(Self::Container),
            _ => Err(FieldProblem::Expected("`wasm` or `container`")),
        }
    }
}

impl Default for Permissions {
    /// No algorithm.
    fn default() -> Self {
        Self {
            allow_raw_algorithm: false,
            allow_network_access: false,
            publisher_trusted_algorithms: Vec::new(),
            publisher_trusted_algorithm_publishers: Vec::new(),
            allow_algorithms_published_here: false,
            output_contract: OutputPolicy::default(),
            runtimes: BTreeSet::from([RuntimeKind::Wasm]),
            profiles: BTreeSet::from([Profile::Deterministic]),
        }
    }
}

impl Permissions {
    /// The fields, as a publisher writes them. A DDO may have others of other programs; what is written for Cloister may
    /// not: a misspelt rule must not be no rule.
    pub const FIELDS: [&str; 8] = [
        "allowRawAlgorithm",
        "allowNetworkAccess",
        "publisherTrustedAlgorithms",
        "publisherTrustedAlgorithmPublishers",
        "allowAlgorithmsPublishedHere",
        "outputContract",
        "runtimes",
        "profiles",
    ];

    /// Reads rules as a publisher writes them: no other field than [`Permissions::FIELDS`].
    ///
    /// # Errors
    /// The first field that is wrong, by its place in the document.
    pub fn from_value(document: &Value) -> Result<Self, FieldError> {
        let root = Node::root("", document);
        root.refuse_unknown(&Self::FIELDS)?;
        Self::read(&root)
    }

    /// Refuses rules that promise a network to algorithms: none has one, not even a container.
    ///
    /// # Errors
    /// The field `allowNetworkAccess`, if it is true.
    pub fn refuse_network(document: &Value) -> Result<(), FieldError> {
        Self::refuse_network_in(&Node::root("", document))
    }

    pub(crate) fn refuse_network_in(node: &Node<'_>) -> Result<(), FieldError> {
        let field = node.get("allowNetworkAccess");
        if field.flag()? {
            return Err(field.expected("false or absent: no algorithm has a network, not even in a container"));
        }
        Ok(())
    }

    pub(crate) fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        if node.is_absent() {
            return Ok(Self::default());
        }
        node.object()?;
        let (algorithms, publishers) =
            (node.get("publisherTrustedAlgorithms"), node.get("publisherTrustedAlgorithmPublishers"));
        let absent = Self::default();
        Ok(Self {
            allow_raw_algorithm: node.get("allowRawAlgorithm").flag()?,
            allow_network_access: node.get("allowNetworkAccess").flag()?,
            publisher_trusted_algorithms: algorithms
                .entries(MOST_RULES)?
                .iter()
                .map(TrustedAlgorithm::read)
                .collect::<Result<_, _>>()?,
            publisher_trusted_algorithm_publishers: publishers
                .entries(MOST_RULES)?
                .iter()
                .map(|entry| Trusted::read(entry, "an account, or `*`"))
                .collect::<Result<_, _>>()?,
            allow_algorithms_published_here: node.get("allowAlgorithmsPublishedHere").flag()?,
            output_contract: OutputPolicy::read(&node.get("outputContract"))?,
            runtimes: read_set(&node.get("runtimes"), "`wasm` or `container`")?.unwrap_or(absent.runtimes),
            profiles: read_set(&node.get("profiles"), "`deterministic` or `standard`")?.unwrap_or(absent.profiles),
        })
    }
}

fn read_set<T: FromStr + Ord>(node: &Node<'_>, what: &'static str) -> Result<Option<BTreeSet<T>>, FieldError> {
    if node.is_absent() {
        return Ok(None);
    }
    node.entries(16)?.iter().map(|entry| entry.parsed(what)).collect::<Result<_, _>>().map(Some)
}

impl<T: FromStr> Trusted<T> {
    pub(crate) fn read(node: &Node<'_>, what: &'static str) -> Result<Self, FieldError> {
        if node.value() == "*" { Ok(Self::Any) } else { node.parsed(what).map(Self::Only) }
    }

    fn read_or_none(node: &Node<'_>, what: &'static str) -> Result<Option<Self>, FieldError> {
        if node.is_absent() || node.value() == "" { Ok(None) } else { Self::read(node, what).map(Some) }
    }
}

impl TrustedAlgorithm {
    /// Its fields, as they are written. A DDO of another catalogue may have more.
    pub(crate) const FIELDS: [&str; 4] = ["did", "filesChecksum", "containerSectionChecksum", "serviceId"];

    fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        node.object()?;
        Ok(Self {
            did: Trusted::read(&node.get("did"), "a DID, or `*`")?,
            files_checksum: Trusted::read_or_none(
                &node.get("filesChecksum"),
                "64 hexadecimal digits for each file, or `*`",
            )?,
            container_section_checksum: Trusted::read_or_none(
                &node.get("containerSectionChecksum"),
                "64 hexadecimal digits, or `*`",
            )?,
            service_id: Trusted::read_or_none(&node.get("serviceId"), "a text, or `*`")?,
        })
    }
}

impl<T: fmt::Display> fmt::Display for Trusted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Only(only) => write!(f, "{}", escape(only.to_string().as_bytes(), 128)),
        }
    }
}

impl<T: Serialize> Serialize for Trusted<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => serializer.serialize_str("*"),
            Self::Only(only) => only.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::read(&Node::root("compute", &value)).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OutputContract;
    use serde_json::json;

    fn read(value: Value) -> Result<Permissions, FieldError> {
        Permissions::read(&Node::root("compute", &value))
    }

    #[test]
    fn absent_null_and_empty_allow_no_one() {
        let null = json!({
            "allowRawAlgorithm": null, "allowNetworkAccess": null, "publisherTrustedAlgorithms": null,
            "publisherTrustedAlgorithmPublishers": null, "outputContract": null, "runtimes": null, "profiles": null
        });
        let empty = json!({"publisherTrustedAlgorithms": [], "publisherTrustedAlgorithmPublishers": []});
        for value in [Value::Null, json!({}), null, empty] {
            assert_eq!(read(value), Ok(Permissions::default()));
        }
        assert!(read(json!({"runtimes": []})).expect("permissions").runtimes.is_empty());
    }

    /// Ocean's field may be in a DDO; it has no effect, because no algorithm has a network.
    #[test]
    fn a_network_is_read_and_not_promised() {
        assert!(read(json!({"allowNetworkAccess": true})).expect("rules of a DDO").allow_network_access);
        for (rules, is_refused) in [
            (json!({"allowNetworkAccess": true}), true),
            (json!({"allowNetworkAccess": false}), false),
            (json!({}), false),
        ] {
            let refused = Permissions::refuse_network(&rules).err();
            assert_eq!(refused.is_some_and(|error| error.field == "allowNetworkAccess"), is_refused, "{rules}");
        }
    }

    #[test]
    fn writes_what_it_read() {
        let digest = "ab".repeat(32);
        let mut contract = serde_json::to_value(OutputContract::default()).expect("json");
        contract["mediaTypes"] = json!(["text/csv"]);
        contract["csv"] = json!({"maxRows": 100, "minimum": [{"column": "count", "least": 10}]});
        contract["review"] = json!(true);
        let value = json!({
            "allowRawAlgorithm": true, "allowNetworkAccess": false,
            "publisherTrustedAlgorithms": [
                {"did": "did:op:a", "filesChecksum": digest.repeat(2), "containerSectionChecksum": digest},
                {"did": "*", "filesChecksum": "*", "containerSectionChecksum": "*", "serviceId": "s"}
            ],
            "publisherTrustedAlgorithmPublishers": ["0xAb", "*"],
            "allowAlgorithmsPublishedHere": true,
            "outputContract": contract,
            "runtimes": ["wasm", "container"], "profiles": ["deterministic", "standard"]
        });
        let permissions: Permissions = serde_json::from_value(value.clone()).expect("permissions");
        assert_eq!(serde_json::to_value(permissions).expect("json"), value);
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_named() {
        for (value, field) in [
            (json!([]), "compute"),
            (json!({"allowRawAlgorithm": "true"}), "compute.allowRawAlgorithm"),
            (json!({"publisherTrustedAlgorithms": "*"}), "compute.publisherTrustedAlgorithms"),
            (json!({"publisherTrustedAlgorithms": ["did:op:a"]}), "compute.publisherTrustedAlgorithms[0]"),
            (json!({"publisherTrustedAlgorithms": [{}]}), "compute.publisherTrustedAlgorithms[0].did"),
            (
                json!({"publisherTrustedAlgorithms": [{"did": "*", "filesChecksum": "100"}]}),
                "compute.publisherTrustedAlgorithms[0].filesChecksum",
            ),
            (json!({"publisherTrustedAlgorithmPublishers": [""]}), "compute.publisherTrustedAlgorithmPublishers[0]"),
            (json!({"runtimes": ["python"]}), "compute.runtimes[0]"),
            (json!({"profiles": ["Standard"]}), "compute.profiles[0]"),
            (json!({"outputContract": {"maxByte": 1}}), "compute.outputContract"),
            (json!({"outputContract": {"csv": {"maxRow": 1}}}), "compute.outputContract.csv"),
        ] {
            assert_eq!(read(value).expect_err(field).field, field);
        }
    }
}
