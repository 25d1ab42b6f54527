use super::{HttpSource, HttpUrl, IpfsPath, LocalPath, S3Object};
use crate::{
    JobId, Secret, Sha256,
    json::{FieldError, FieldProblem, Node},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use std::fmt;

/// Bytes of a file that is written into its description, as it is written there.
const MOST_INLINE_BYTES: usize = 512 * 1024;

/// Bytes of a path. A path of IPFS is shorter still.
const MOST_PATH_BYTES: usize = 4096;

/// One file of an asset: where it is, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    location: Location,
    sha256: Option<Sha256>,
    bytes: Option<u64>,
}

/// Where a file is: the `type` of a file object.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// `url`: behind a URL.
    Url(Box<HttpSource>),
    /// `ipfs`: in IPFS, through the operator's gateway or node.
    Ipfs(IpfsPath),
    /// `s3`: an object of an S3 store.
    S3(Box<S3Object>),
    /// `local`: on the operator's machine.
    Local(LocalPath),
    /// `inline`: in the description itself, as text (`content`) or in base64. At most 512 KiB there.
    Inline(Secret<Vec<u8>>),
    /// `upload`: sent before, by the same account.
    Upload(Sha256),
    /// `result`: a released file of the same account's job.
    Result {
        /// Which job.
        job: JobId,
        /// Its place among the job's results.
        index: u32,
    },
}

impl Source {
    /// A file that was uploaded before.
    #[must_use]
    pub fn upload(sha256: Sha256) -> Self {
        Self { location: Location::Upload(sha256), sha256: Some(sha256), bytes: None }
    }

    /// A file behind a URL, whatever it is.
    #[must_use]
    pub fn url(url: HttpUrl) -> Self {
        Self { location: Location::Url(Box::new(HttpSource::get(url))), sha256: None, bytes: None }
    }

    /// A result of a job.
    #[must_use]
    pub fn result(job: JobId, index: u32) -> Self {
        Self { location: Location::Result { job, index }, sha256: None, bytes: None }
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The digest that it must have; none if any content will do. An upload's name is its digest.
    #[must_use]
    pub fn sha256(&self) -> Option<Sha256> {
        self.sha256
    }

    /// The size that it must have, in bytes; none if any will do.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    pub(super) fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        node.object()?;
        let sha256 = match node.get("sha256") {
            absent if absent.is_absent() => None,
            given => Some(given.parsed::<Sha256>("64 hexadecimal digits")?),
        };
        let bytes = node.get("bytes").number_or_absent()?;
        Ok(Self { location: Location::read(node, sha256)?, sha256, bytes })
    }

    fn to_value(&self) -> Value {
        let Self { location, sha256, bytes } = self;
        let mut object = Map::new();
        location.write(&mut object);
        if let Some(sha256) = sha256 {
            object.insert("sha256".to_owned(), json!(sha256));
        }
        if let Some(bytes) = bytes {
            object.insert("bytes".to_owned(), json!(bytes));
        }
        object.into()
    }
}

impl Location {
    /// What `type` of a source can be.
    pub const TYPES: [&str; 7] = ["url", "ipfs", "s3", "local", "inline", "upload", "result"];

    /// What may be shown of it: its kind, at most a scheme and a host.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Url(source) => source.url.site(),
            Self::Ipfs(_) => "IPFS".to_owned(),
            Self::S3(object) => format!("S3 at {}", object.endpoint.site()),
            Self::Local(_) => "a local file".to_owned(),
            Self::Inline(_) => "inline content".to_owned(),
            Self::Upload(_) => "an upload".to_owned(),
            Self::Result { job, index } => format!("result {index} of job {job}"),
        }
    }

    fn read(node: &Node<'_>, sha256: Option<Sha256>) -> Result<Self, FieldError> {
        let kind = node.get("type");
        let only = |own: &[&'static str]| node.refuse_unknown(&[&["type", "sha256", "bytes"][..], own].concat());
        match kind.text(64)? {
            "url" => {
                only(&["url", "method", "headers", "body"])?;
                Ok(Self::Url(Box::new(HttpSource::read(node)?)))
            }
            "ipfs" => {
                only(&["hash"])?;
                let hash = node.get("hash");
                let path = IpfsPath::parse(hash.needed(MOST_PATH_BYTES)?);
                path.map(Self::Ipfs).ok_or_else(|| hash.expected("a CID, or a CID and a path"))
            }
            "s3" => {
                only(&["s3Access"])?;
                Ok(Self::S3(Box::new(S3Object::read(&node.get("s3Access"))?)))
            }
            "local" => {
                only(&["path"])?;
                let path = node.get("path");
                let parsed = LocalPath::parse(path.needed(MOST_PATH_BYTES)?);
                parsed.map(Self::Local).ok_or_else(|| path.expected("an absolute path without `..`"))
            }
            "inline" => {
                only(&["content", "base64"])?;
                Ok(Self::Inline(Secret::new(inline(node)?)))
            }
            "upload" => {
                only(&[])?;
                sha256.map(Self::Upload).ok_or_else(|| node.get("sha256").error(FieldProblem::Missing))
            }
            "result" => {
                only(&["job", "index"])?;
                let (job, index) = (node.get("job"), node.get("index"));
                job.needed(64)?;
                let number = index.number_or_absent()?.ok_or_else(|| index.error(FieldProblem::Missing))?;
                Ok(Self::Result {
                    job: job.parsed("the id of a job: 32 lower-case hexadecimal digits")?,
                    index: u32::try_from(number).map_err(|_| index.expected("a place in a list of results"))?,
                })
            }
            _ => Err(kind.expected("`url`, `ipfs`, `s3`, `local`, `inline`, `upload` or `result`")),
        }
    }

    fn write(&self, object: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Value| {
            object.insert(name.to_owned(), value);
        };
        match self {
            Self::Url(source) => {
                put("type", "url".into());
                source.write(object);
            }
            Self::Ipfs(path) => {
                put("type", "ipfs".into());
                put("hash", path.as_str().into());
            }
            Self::S3(access) => {
                put("type", "s3".into());
                put("s3Access", access.to_value());
            }
            Self::Local(path) => {
                put("type", "local".into());
                // It was made from a text.
                put("path", path.as_path().to_string_lossy().into());
            }
            Self::Inline(content) => {
                put("type", "inline".into());
                match str::from_utf8(content.expose()) {
                    Ok(text) => put("content", text.into()),
                    Err(_) => put("base64", STANDARD.encode(content.expose()).into()),
                }
            }
            Self::Upload(sha256) => {
                put("type", "upload".into());
                put("sha256", json!(sha256));
            }
            Self::Result { job, index } => {
                put("type", "result".into());
                put("job", json!(job));
                put("index", (*index).into());
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({})", self.describe())
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::read(&Node::root("", &value)).map_err(serde::de::Error::custom)
    }
}

fn inline(node: &Node<'_>) -> Result<Vec<u8>, FieldError> {
    let (content, base64) = (node.get("content"), node.get("base64"));
    match (content.text_or_absent(MOST_INLINE_BYTES)?, base64.text_or_absent(MOST_INLINE_BYTES)?) {
        (Some(text), None) => Ok(text.as_bytes().to_vec()),
        (None, Some(text)) => STANDARD.decode(text).map_err(|_| base64.expected("base64 with padding")),
        _ => Err(node.expected("an inline file with `content` or with `base64`")),
    }
}
