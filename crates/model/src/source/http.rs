use crate::{
    Secret, escape,
    json::{FieldError, Node},
};
use serde_json::{Map, Value};
use std::{fmt, str::FromStr};
use url::Url;

/// Bytes of a URL, of one header's value, and of a request's body.
const MOST_URL_BYTES: usize = 8192;
const MOST_HEADER_BYTES: usize = 8192;
const MOST_BODY_BYTES: usize = 64 * 1024;

/// Headers of one request.
const MOST_HEADERS: usize = 32;

/// Headers that describe the request itself. The step that fetches a file sets them, because it resumes transfers and
/// checks addresses.
const RESERVED_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "accept-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "proxy-authorization",
];

/// An `http` or `https` URL with a host and without a fragment, at most 8192 bytes as it was written.
///
/// Paths, queries and user names of URLs are often credentials, so `Debug` shows the [`site`](Self::site) only and there is
/// no `Display`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl(Url);

/// The text is not a URL that a file can be fetched from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an http or https URL of at most {MOST_URL_BYTES} bytes, such as `https://data.example/file.csv`")]
pub struct HttpUrlError;

/// A file behind a URL, and how to ask for it.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpSource {
    /// Where the file is.
    pub url: HttpUrl,
    /// How it is asked for.
    pub method: HttpMethod,
    /// What is sent along.
    pub headers: Headers,
}

/// The method of a request for a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HttpMethod {
    /// `GET`.
    #[default]
    Get,
    /// `POST`, with a body of at most 64 KiB if there is one.
    Post(Option<Secret<String>>),
}

/// At most 32 header fields, none of which describes the request itself (such as `Host` or `Range`). A name may occur
/// more than once. Values are credentials more often than not, so `Debug` shows none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Secret<String>)>);

impl HttpUrl {
    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// What may be shown of it: scheme and host.
    #[must_use]
    pub fn site(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        format!("{}://{}", self.0.scheme(), escape(host.as_bytes(), 100))
    }

    pub(super) fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        node.needed(MOST_URL_BYTES)?.parse().map_err(|HttpUrlError| node.expected("an http or https URL"))
    }
}

impl FromStr for HttpUrl {
    type Err = HttpUrlError;

    fn from_str(text: &str) -> Result<Self, HttpUrlError> {
        let mut url = Url::parse(text).ok().filter(|_| text.len() <= MOST_URL_BYTES).ok_or(HttpUrlError)?;
        url.set_fragment(None);
        if matches!(url.scheme(), "http" | "https") && url.host().is_some() { Ok(Self(url)) } else { Err(HttpUrlError) }
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpUrl({})", self.site())
    }
}

impl HttpSource {
    /// A plain `GET` of this URL.
    #[must_use]
    pub fn get(url: HttpUrl) -> Self {
        Self { url, method: HttpMethod::Get, headers: Headers::default() }
    }

    pub(super) fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        let (method, body) = (node.get("method"), node.get("body"));
        let text = body.text_or_absent(MOST_BODY_BYTES)?;
        let is_post = match method.text_or_absent(8)? {
            None => false,
            Some(name) if name.eq_ignore_ascii_case("get") => false,
            Some(name) if name.eq_ignore_ascii_case("post") => true,
            Some(_) => return Err(method.expected("`get` or `post`")),
        };
        let method = match (is_post, text) {
            (true, text) => HttpMethod::Post(text.map(|text| Secret::new(text.to_owned()))),
            (false, None) => HttpMethod::Get,
            (false, Some(_)) => return Err(body.expected("absent unless `method` is `post`")),
        };
        Ok(Self { url: HttpUrl::read(&node.get("url"))?, method, headers: Headers::read(&node.get("headers"))? })
    }

    pub(super) fn write(&self, object: &mut Map<String, Value>) {
        let Self { url, method, headers } = self;
        object.insert("url".to_owned(), url.url().as_str().into());
        if let HttpMethod::Post(body) = method {
            object.insert("method".to_owned(), "post".into());
            if let Some(body) = body {
                object.insert("body".to_owned(), body.expose().as_str().into());
            }
        }
        if !headers.0.is_empty() {
            object.insert("headers".to_owned(), headers.to_value());
        }
    }
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpSource({})", self.url.site())
    }
}

impl Headers {
    /// Names, as they were written, and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret<String>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// An object of names and texts, or Ocean's list of such objects.
    fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        let objects = match node.value() {
            Value::Null => return Ok(Self::default()),
            Value::Array(_) => node.entries(MOST_HEADERS)?,
            _ => vec![node.clone()],
        };
        let mut headers = Vec::new();
        for object in objects {
            for (name, value) in object.object()? {
                let wrong = || {
                    node.expected(
                        "an object of names and texts, without those that describe the request, such as `Host` or `Range`",
                    )
                };
                let value = value.as_str().filter(|value| is_value(value)).ok_or_else(wrong)?;
                if !is_name(name) || headers.len() == MOST_HEADERS {
                    return Err(wrong());
                }
                headers.push((name.clone(), Secret::new(value.to_owned())));
            }
        }
        Ok(Self(headers))
    }

    /// An object, or a list of objects if a name occurs more than once.
    fn to_value(&self) -> Value {
        let pair = |(name, value): &(String, Secret<String>)| (name.clone(), Value::from(value.expose().as_str()));
        let object: Map<String, Value> = self.0.iter().map(pair).collect();
        if object.len() == self.0.len() {
            return object.into();
        }
        self.0.iter().map(|header| Value::Object(Map::from_iter([pair(header)]))).collect()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Headers({})", self.0.len())
    }
}

/// A token of RFC 9110 that is not reserved.
fn is_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=256).contains(&name.len())
        && name.bytes().all(token)
        && !RESERVED_HEADERS.iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// No line ends and no other control characters, so that a value cannot become another header.
fn is_value(value: &str) -> bool {
    value.len() <= MOST_HEADER_BYTES && value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}
