use super::fields::Fields;
use cloister_model::{JobId, Sha256, escape};
use reqwest::{
    Method,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use std::{
    fmt,
    path::{Component, PathBuf},
};
use url::Url;

const MOST_URL_BYTES: usize = 8192;
const MOST_HEADERS: usize = 32;
const MOST_HEADER_BYTES: usize = 8192;
const MOST_BODY_BYTES: usize = 64 * 1024;

/// Where a file is.
pub(crate) enum Place {
    /// Behind a URL.
    Url(Box<UrlFile>),
    /// In IPFS: `<cid>` or `<cid>/<path>`.
    Ipfs(String),
    /// In an S3 store.
    S3(Box<S3Access>),
    /// On this machine, below a folder of the operator.
    Local(PathBuf),
    /// Here.
    Inline(Vec<u8>),
    /// Sent before.
    Upload(Sha256),
    /// What another job left.
    Result {
        /// Which job.
        job: JobId,
        /// Which of its results.
        index: u32,
    },
}

/// What is asked of a web server.
pub(crate) struct UrlFile {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<String>,
}

/// An object and who may read it, in Ocean's fields.
pub(crate) struct S3Access {
    pub(crate) endpoint: Url,
    pub(crate) region: String,
    pub(crate) bucket: String,
    pub(crate) object_key: String,
    /// Id and secret; none: whoever asks.
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) force_path_style: bool,
}

/// Headers that decide about the request itself, which is ours.
const OURS: &[HeaderName] = &[
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::ACCEPT_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
];

impl Place {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, String> {
        match fields.needed("type", 32)? {
            "url" => UrlFile::read(fields).map(Box::new).map(Self::Url),
            "ipfs" => {
                let hash = fields.needed("hash", 1024)?;
                let plain = is_ipfs_name(hash);
                plain
                    .then(|| Self::Ipfs(hash.to_owned()))
                    .ok_or_else(|| fields.wrong("hash", "a CID, and maybe a path"))
            }
            "s3" => {
                let access = fields.value("s3Access").ok_or("`s3Access` is missing")?;
                S3Access::read(access).map(Box::new).map(Self::S3)
            }
            "local" => {
                let path = PathBuf::from(fields.needed("path", 4096)?);
                let plain = path.is_absolute()
                    && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
                plain.then_some(Self::Local(path)).ok_or_else(|| fields.wrong("path", "an absolute path without `..`"))
            }
            "inline" => {
                let (content, encoded) = (fields.text("content", usize::MAX)?, fields.text("base64", usize::MAX)?);
                match (content, encoded) {
                    (Some(content), None) => Ok(Self::Inline(content.as_bytes().to_vec())),
                    (None, Some(encoded)) => {
                        decoded(encoded).map(Self::Inline).ok_or_else(|| fields.wrong("base64", "base64"))
                    }
                    _ => Err("one of `content` and `base64` must be there".to_owned()),
                }
            }
            "upload" => {
                let sha256 = fields.needed("sha256", 64)?.parse();
                sha256.map(Self::Upload).map_err(|_| fields.wrong("sha256", "64 hexadecimal digits"))
            }
            "result" => {
                let job = fields.needed("job", 64)?.parse().map_err(|_| fields.wrong("job", "the id of a job"))?;
                let index = fields.number("index")?.and_then(|index| u32::try_from(index).ok());
                Ok(Self::Result { job, index: index.ok_or("`index` is missing, or no place in a list")? })
            }
            _ => Err(fields.wrong("type", "`url`, `ipfs`, `s3`, `local`, `inline`, `upload` or `result`")),
        }
    }

    /// What may be said of it: its kind, at most a scheme and a host.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Url(file) => site(&file.url),
            Self::Ipfs(_) => "IPFS".to_owned(),
            Self::S3(access) => format!("S3 at {}", site(&access.endpoint)),
            Self::Local(_) => "a local file".to_owned(),
            Self::Inline(_) => "inline content".to_owned(),
            Self::Upload(_) => "an upload".to_owned(),
            Self::Result { job, index } => format!("result {index} of job {job}"),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({})", self.name())
    }
}

/// What may be said of a URL.
pub(crate) fn site(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{}://{}", url.scheme(), escape(host.as_bytes(), 100))
}

impl UrlFile {
    fn read(fields: &mut Fields<'_>) -> Result<Self, String> {
        let url = web_url(fields.needed("url", MOST_URL_BYTES)?);
        let url = url.ok_or_else(|| fields.wrong("url", "an http or https URL"))?;
        let method = match fields.text("method", 8)? {
            None => Method::GET,
            Some(method) if method.eq_ignore_ascii_case("get") => Method::GET,
            Some(method) if method.eq_ignore_ascii_case("post") => Method::POST,
            Some(_) => return Err(fields.wrong("method", "`get` or `post`")),
        };
        let body = fields.text("body", MOST_BODY_BYTES)?.map(str::to_owned);
        if body.is_some() && method == Method::GET {
            return Err(fields.wrong("body", "absent unless `method` is `post`"));
        }
        let headers = match fields.value("headers") {
            None => HeaderMap::new(),
            Some(value) => headers(value).ok_or_else(|| {
                fields.wrong(
                    "headers",
                    "an object of names and texts, without those that are ours, such as `Host` or `Range`",
                )
            })?,
        };
        Ok(Self { method, url, headers, body })
    }
}

impl S3Access {
    fn read(value: &Value) -> Result<Self, String> {
        let mut fields = Fields::of(value, "s3Access.")?;
        let endpoint = web_url(fields.needed("endpoint", 1024)?)
            .filter(|url| url.username().is_empty() && url.password().is_none() && url.query().is_none());
        let endpoint =
            endpoint.ok_or_else(|| fields.wrong("endpoint", "an http or https URL without user and query"))?;
        let bucket = fields.needed("bucket", 63)?;
        let bucket_byte = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !bucket.bytes().all(bucket_byte) || bucket.starts_with('.') {
            return Err(fields.wrong("bucket", "the name of a bucket"));
        }
        let region = fields.text("region", 64)?.filter(|region| !region.is_empty()).unwrap_or("us-east-1");
        if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(fields.wrong("region", "the name of a region"));
        }
        let object_key = fields.needed("objectKey", 1024)?;
        let nonempty = |text: &&str| !text.is_empty();
        let id = fields.text("accessKeyId", 256)?.filter(nonempty);
        let secret = fields.text("secretAccessKey", 1024)?.filter(nonempty);
        let credentials = match (id, secret) {
            (Some(id), Some(secret)) => Some((id.to_owned(), secret.to_owned())),
            (None, None) => None,
            _ => return Err("`s3Access.accessKeyId` and `s3Access.secretAccessKey` go together".to_owned()),
        };
        let force_path_style = fields.flag("forcePathStyle")?;
        fields.end()?;
        let (region, bucket, object_key) = (region.to_owned(), bucket.to_owned(), object_key.to_owned());
        Ok(Self { endpoint, region, bucket, object_key, credentials, force_path_style })
    }
}

fn web_url(text: &str) -> Option<Url> {
    let mut url = Url::parse(text).ok()?;
    url.set_fragment(None);
    (matches!(url.scheme(), "http" | "https") && url.host().is_some()).then_some(url)
}

fn is_ipfs_name(hash: &str) -> bool {
    let mut segments = hash.split('/');
    let cid = segments.next().unwrap_or_default();
    (1..=128).contains(&cid.len())
        && cid.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && segments.all(|segment| !segment.is_empty() && segment != "." && segment != ".." && !segment.contains('\\'))
}

/// An object, or Ocean's list of objects.
fn headers(value: &Value) -> Option<HeaderMap> {
    let objects: Vec<&Value> = match value {
        Value::Array(list) => list.iter().collect(),
        other => vec![other],
    };
    let mut headers = HeaderMap::new();
    for object in objects {
        for (name, value) in object.as_object()? {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let mut value = HeaderValue::from_str(value.as_str()?).ok()?;
            if OURS.contains(&name) || value.len() > MOST_HEADER_BYTES || headers.len() >= MOST_HEADERS {
                return None;
            }
            value.set_sensitive(true);
            headers.append(name, value);
        }
    }
    Some(headers)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}
