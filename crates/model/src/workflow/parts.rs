use super::WorkflowError;
use crate::{
    Container, Did, HttpUrl, Secret,
    asset::read_container,
    json::{FieldError, Node},
};
use serde_json::{Value, json};

/// Bytes of the code that a job brings with it.
pub const MOST_RAWCODE_BYTES: usize = 1024 * 1024;

/// URLs of one input or algorithm, and bytes of each.
const MOST_URLS: usize = 1000;
pub(super) const MOST_URL_BYTES: usize = 8192;

/// One dataset of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowInput {
    /// Which.
    pub did: Did,
    /// Where its files are; none if the document leaves that to the registry that has the dataset.
    pub source: Option<WorkflowSource>,
}

/// Where files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkflowSource {
    /// At the Provider of one of the asset's services.
    Remote(Box<Remote>),
    /// At these URLs, at least one. Only older clients send them.
    Urls(Secret<Vec<String>>),
}

/// One of an asset's services, and the order that pays for its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The transaction of the order.
    pub tx_id: Option<String>,
    /// The service's id.
    pub service_id: String,
    /// Where the service is. A stranger's: check it before any request.
    pub service_endpoint: Option<String>,
    /// What the consumer tells the server of the files. Provider writes it as `userdata` for datasets and `userData` for
    /// algorithms; either is read in both.
    pub userdata: Option<Secret<Value>>,
}

/// The algorithm of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowAlgorithm {
    /// Where it comes from.
    pub origin: WorkflowOrigin,
    /// What it runs in, as the sender says. A published algorithm's DDO decides, not this.
    pub container: Option<Container>,
    /// The consumer's parameters (`algocustomdata`): none if the key is absent, in which case Ocean writes no file.
    pub parameters: Option<Secret<Value>>,
}

/// Where the algorithm of a workflow comes from: exactly one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkflowOrigin {
    /// An asset.
    Published {
        /// Which.
        did: Did,
        /// Through which service and order.
        remote: Option<Box<Remote>>,
    },
    /// Code in the document: `rawcode`, at most [`MOST_RAWCODE_BYTES`].
    Rawcode(Secret<String>),
    /// Code at these URLs: 1 to [`MOST_FILES`](crate::MOST_FILES).
    Urls(Vec<HttpUrl>),
}

impl WorkflowInput {
    pub(super) fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        node.object()?;
        let urls = read_urls(&node.get("url"))?;
        let remote = Remote::read(&node.get("remote"))?;
        let source = match (remote, urls) {
            (Some(_), Some(_)) => return Err(node.get("url").expected("absent beside `remote`")),
            (Some(remote), None) => Some(WorkflowSource::Remote(Box::new(remote))),
            (None, Some(urls)) => Some(WorkflowSource::Urls(urls)),
            (None, None) => None,
        };
        Ok(Self { did: node.get("id").parsed("a DID (`did:op:<id>`)")?, source })
    }

    pub(super) fn to_value(&self, index: usize) -> Value {
        let Self { did, source } = self;
        let mut value = json!({"index": index, "id": did});
        match source {
            Some(WorkflowSource::Remote(remote)) => value["remote"] = remote.to_value(),
            Some(WorkflowSource::Urls(urls)) => value["url"] = urls.expose().clone().into(),
            None => {}
        }
        value
    }
}

impl Remote {
    pub(super) fn read(node: &Node<'_>) -> Result<Option<Self>, FieldError> {
        if node.is_absent() {
            return Ok(None);
        }
        node.object()?;
        let userdata = [node.get("userdata"), node.get("userData")].into_iter().find(|node| !node.is_absent());
        Ok(Some(Self {
            tx_id: node.get("txId").text_or_absent(256)?.map(str::to_owned),
            service_id: node.get("serviceId").text(128)?.to_owned(),
            service_endpoint: node.get("serviceEndpoint").text_or_absent(MOST_URL_BYTES)?.map(str::to_owned),
            userdata: userdata.map(|node| Secret::new(node.value().clone())),
        }))
    }

    pub(super) fn to_value(&self) -> Value {
        let Self { tx_id, service_id, service_endpoint, userdata } = self;
        let mut value = json!({"serviceId": service_id});
        let optional = [
            ("txId", tx_id.clone().map(Value::from)),
            ("serviceEndpoint", service_endpoint.clone().map(Value::from)),
            ("userdata", userdata.as_ref().map(|data| data.expose().clone())),
        ];
        for (name, field) in optional {
            if let Some(field) = field {
                value[name] = field;
            }
        }
        value
    }
}

impl WorkflowAlgorithm {
    pub(super) fn read(node: &Node<'_>) -> Result<Self, WorkflowError> {
        node.object()?;
        // Provider puts a raw algorithm's `meta` into the stage itself; other clients send it as it is.
        let meta = node.get("meta");
        if !meta.is_absent() {
            meta.object()?;
        }
        let one_of = |name: &'static str| {
            let empty = |node: &Node<'_>| node.is_absent() || node.value() == "" || *node.value() == json!([]);
            match (node.get(name), meta.get(name)) {
                (direct, nested) if empty(&direct) => Ok((!empty(&nested)).then_some(nested)),
                (direct, nested) if empty(&nested) => Ok(Some(direct)),
                _ => Err(WorkflowError::AmbiguousAlgorithm),
            }
        };
        let origin = match (one_of("id")?, one_of("rawcode")?, one_of("url")?) {
            (Some(id), None, None) => WorkflowOrigin::Published {
                did: id.parsed("a DID (`did:op:<id>`)")?,
                remote: Remote::read(&node.get("remote"))?.map(Box::new),
            },
            (None, Some(code), None) => WorkflowOrigin::Rawcode(Secret::new(code.text(MOST_RAWCODE_BYTES)?.to_owned())),
            (None, None, Some(url)) => {
                let urls = read_urls(&url)?.ok_or(WorkflowError::NoAlgorithm)?;
                let parsed = urls.expose().iter().map(|text| text.parse()).collect::<Result<_, _>>();
                WorkflowOrigin::Urls(parsed.map_err(|_| url.expected("http or https URLs"))?)
            }
            (None, None, None) => return Err(WorkflowError::NoAlgorithm),
            _ => return Err(WorkflowError::AmbiguousAlgorithm),
        };
        let container = [node.get("container"), meta.get("container")].into_iter().find(|node| !node.is_absent());
        Ok(Self {
            origin,
            container: container.map(|container| read_container(&container)).transpose()?,
            parameters: node.value().get("algocustomdata").map(|data| Secret::new(data.clone())),
        })
    }

    pub(super) fn to_value(&self) -> Value {
        let Self { origin, container, parameters } = self;
        let mut value = match origin {
            WorkflowOrigin::Published { did, remote } => {
                let mut value = json!({"id": did, "rawcode": ""});
                if let Some(remote) = remote {
                    value["remote"] = remote.to_value();
                }
                value
            }
            WorkflowOrigin::Rawcode(code) => json!({"id": "", "rawcode": code.expose()}),
            WorkflowOrigin::Urls(urls) => {
                let urls: Vec<&str> = urls.iter().map(|url| url.url().as_str()).collect();
                json!({"id": "", "rawcode": "", "url": urls})
            }
        };
        if let Some(Container { image, tag, entrypoint, checksum }) = container {
            value["container"] = json!({"image": image, "tag": tag, "entrypoint": entrypoint, "checksum": checksum});
        }
        if let Some(parameters) = parameters {
            value["algocustomdata"] = parameters.expose().clone();
        }
        value
    }
}

/// One URL or a list of them; none if there is none.
fn read_urls(node: &Node<'_>) -> Result<Option<Secret<Vec<String>>>, FieldError> {
    let urls: Vec<String> = match node.value() {
        Value::Null => return Ok(None),
        Value::String(_) => vec![node.text(MOST_URL_BYTES)?.to_owned()],
        _ => {
            let read = |node: &Node<'_>| node.text(MOST_URL_BYTES).map(str::to_owned);
            node.entries(MOST_URLS)?.iter().map(read).collect::<Result<_, _>>()?
        }
    };
    if urls.iter().any(String::is_empty) {
        return Err(node.expected("URLs, none of them empty"));
    }
    Ok((!urls.is_empty()).then(|| Secret::new(urls)))
}
