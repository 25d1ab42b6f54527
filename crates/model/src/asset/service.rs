use crate::{
    Parameter, Permissions, Secret, Sources,
    json::{FieldError, Node},
};
use serde_json::Value;

/// How an asset may be used (an entry of the DDO field `services`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name within the asset: 1 to 128 bytes.
    pub id: String,
    /// What it offers; a compute service carries its permissions.
    pub kind: ServiceKind,
    /// Where the files are; none if the document does not say.
    pub files: Option<ServiceFiles>,
    /// The contract whose tokens pay for it.
    pub datatoken_address: Option<String>,
    /// The URL of the Provider that serves it, at most 2048 bytes. A stranger's: check it before any request.
    pub service_endpoint: Option<String>,
    /// Seconds for which an order is good; 0 for ever.
    pub timeout_seconds: u64,
    /// What its consumers may set.
    pub consumer_parameters: Vec<Parameter>,
}

/// What a service offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// The files may be downloaded.
    Access,
    /// The files may only be computed on, by the algorithms that the permissions allow. Without a `compute` section: by none.
    Compute(Box<Permissions>),
}

/// Where the files of a service are.
///
/// Reading a DDO never fails because of its files: documents of other catalogues describe files of kinds that only other
/// programs can fetch. Publication is where they are refused, because to publish an asset here is to ask this Cloister to
/// serve its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceFiles {
    /// A blob that only the publisher's Provider can open.
    Encrypted(Secret<String>),
    /// File objects in the clear that this Cloister can fetch.
    Open(Sources),
    /// File objects in the clear that this Cloister cannot fetch, for this reason.
    Unsupported(FieldError),
}

impl Service {
    /// Its files, if they are described in a way that this Cloister can fetch.
    #[must_use]
    pub fn open_files(&self) -> Option<&Sources> {
        match &self.files {
            Some(ServiceFiles::Open(files)) => Some(files),
            Some(ServiceFiles::Encrypted(_) | ServiceFiles::Unsupported(_)) | None => None,
        }
    }

    pub(crate) fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        node.object()?;
        let kind = match node.get("type").text(64)? {
            "access" => ServiceKind::Access,
            "compute" => ServiceKind::Compute(Box::new(Permissions::read(&node.get("compute"))?)),
            _ => return Err(node.get("type").expected("`access` or `compute`")),
        };
        let files = node.get("files");
        let files = match files.value() {
            Value::Null => None,
            Value::String(blob) => Some(ServiceFiles::Encrypted(Secret::new(blob.clone()))),
            Value::Object(_) | Value::Array(_) => {
                Some(Sources::read(&files).map_or_else(ServiceFiles::Unsupported, ServiceFiles::Open))
            }
            Value::Bool(_) | Value::Number(_) => return Err(files.expected("an encrypted text, or file objects")),
        };
        let id = node.get("id").text(128)?;
        if id.is_empty() {
            return Err(node.get("id").expected("a text that is not empty"));
        }
        Ok(Self {
            id: id.to_owned(),
            kind,
            files,
            datatoken_address: node.get("datatokenAddress").text_or_absent(128)?.map(str::to_owned),
            service_endpoint: node.get("serviceEndpoint").text_or_absent(2048)?.map(str::to_owned),
            timeout_seconds: node.get("timeout").number_or_absent()?.unwrap_or(0),
            consumer_parameters: Parameter::read_all(&node.get("consumerParameters"))?,
        })
    }
}
