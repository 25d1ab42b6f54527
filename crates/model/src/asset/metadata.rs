use crate::{
    Account, Parameter, Sha256,
    json::{FieldError, FieldProblem, Node},
};
use serde::{Deserialize, Serialize};

/// What an asset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetKind {
    /// `dataset`.
    Dataset,
    /// `algorithm`.
    Algorithm,
}

/// What an asset says of itself (DDO field `metadata`). The texts are the publisher's: escape them before showing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its title, at most 1000 bytes.
    pub name: String,
    /// Who made it, at most 1000 bytes.
    pub author: Option<String>,
    /// Present exactly if the asset is an algorithm.
    pub algorithm: Option<Algorithm>,
}

/// How an algorithm is run (DDO field `metadata.algorithm`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Algorithm {
    /// Such as `python`.
    pub language: Option<String>,
    /// The author's version of it.
    pub version: Option<String>,
    /// What it runs in.
    pub container: Container,
    /// What its consumers may set.
    pub consumer_parameters: Vec<Parameter>,
    /// The accounts that may read its files although other accounts may not: publishers whom its author asks to trust it.
    /// Cloister's own field.
    pub inspectors: Vec<Account>,
}

/// Accounts that may inspect an algorithm.
const MOST_INSPECTORS: usize = 100;

/// What an algorithm runs in. For a WebAssembly program `image` names a runtime or `wasm`, and `entrypoint` is its
/// command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Container {
    /// Image name without tag, at most 500 bytes.
    pub image: String,
    /// Its tag.
    pub tag: Option<String>,
    /// The command, with `$ALGO` for the algorithm's file, at most 4096 bytes.
    pub entrypoint: String,
    /// Exactly as written: it is part of what `containerSectionChecksum` covers. See [`Container::digest`].
    pub checksum: Option<String>,
}

impl Container {
    /// The digest that `checksum` pins (`sha256:` and 64 digits); none if it pins nothing.
    #[must_use]
    pub fn digest(&self) -> Option<Sha256> {
        self.checksum.as_deref()?.strip_prefix("sha256:")?.parse().ok()
    }
}

impl Metadata {
    pub(crate) fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        node.object()?;
        let algorithm = match node.get("type").text(64)? {
            "dataset" => None,
            "algorithm" => Some(Algorithm::read(&node.get("algorithm"))?),
            _ => return Err(node.get("type").expected("`dataset` or `algorithm`")),
        };
        Ok(Self {
            name: node.get("name").text(1000)?.to_owned(),
            author: node.get("author").text_or_absent(1000)?.map(str::to_owned),
            algorithm,
        })
    }
}

impl Algorithm {
    fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        node.object()?;
        Ok(Self {
            language: node.get("language").text_or_absent(100)?.map(str::to_owned),
            version: node.get("version").text_or_absent(100)?.map(str::to_owned),
            container: read_container(&node.get("container"))?,
            consumer_parameters: Parameter::read_all(&node.get("consumerParameters"))?,
            inspectors: node
                .get("inspectors")
                .entries(MOST_INSPECTORS)?
                .iter()
                .map(|entry| entry.parsed("an account"))
                .collect::<Result<_, _>>()?,
        })
    }
}

pub(crate) fn read_container(node: &Node<'_>) -> Result<Container, FieldError> {
    node.object()?;
    let required = |name, most| {
        let text = node.get(name).text(most)?;
        if text.is_empty() { Err(node.get(name).error(FieldProblem::Missing)) } else { Ok(text.to_owned()) }
    };
    Ok(Container {
        image: required("image", 500)?,
        tag: node.get("tag").text_or_absent(200)?.map(str::to_owned),
        entrypoint: required("entrypoint", 4096)?,
        checksum: node.get("checksum").text_or_absent(200)?.map(str::to_owned),
    })
}
