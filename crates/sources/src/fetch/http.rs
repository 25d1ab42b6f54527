use super::{
    Clients, Failure,
    arriving::{Arriving, Resume},
    client::failure,
    encoding::{Encoding, gunzipped},
    http_headers::{self, Validator},
    redirects::{self, Ask},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use percent_encoding::percent_decode_str;
use reqwest::{
    Request, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderName, HeaderValue, IF_RANGE, RANGE},
};
use url::Origin;

/// A file behind a URL.
pub(crate) struct HttpFile {
    /// What is asked for it.
    pub(crate) ask: Ask,
    /// A server of the operator's own, whose address is not asked about.
    pub(crate) own: Option<Origin>,
    /// The name is a digest of the content, so any two answers are of one version.
    pub(crate) immutable: bool,
    /// Where the length stands if not in `Content-Length`.
    pub(crate) length_header: Option<HeaderName>,
    /// The server takes an offset as a parameter of this name, instead of a range.
    pub(crate) offset_parameter: Option<&'static str>,
}

impl HttpFile {
    pub(crate) fn new(ask: Ask) -> Self {
        Self { ask, own: None, immutable: false, length_header: None, offset_parameter: None }
    }

    /// One attempt.
    pub(crate) async fn open(
        &self,
        clients: &Clients,
        max_redirects: u32,
        resume: Option<&Resume>,
    ) -> Result<Arriving, Failure> {
        let mut ask = self.ask.clone();
        if let (Some(name), Some(resume)) = (self.offset_parameter, resume) {
            ask.url.query_pairs_mut().append_pair(name, &resume.offset.to_string());
        }
        let range = resume.filter(|_| self.offset_parameter.is_none());
        let mut followed = 0;
        let response = loop {
            let response = self.send(clients, &ask, range).await?;
            match redirects::follow(&ask, response.status(), redirects::location(response.headers()))? {
                None => break response,
                Some(_) if followed >= max_redirects => {
                    return Err(Failure::Source(format!("it redirects more than {max_redirects} times")));
                }
                Some(next) => ask = next,
            }
            followed += 1;
        };
        self.arriving(response, resume)
    }

    async fn send(&self, clients: &Clients, ask: &Ask, resume: Option<&Resume>) -> Result<Response, Failure> {
        let Ask { method, url, headers, body } = ask;
        let mut request = Request::new(method.clone(), url.clone());
        *request.headers_mut() = headers.clone();
        // Digests are of what was published, not of what a server makes of it on the way.
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(Resume { offset, validator }) = resume {
            if let Ok(range) = HeaderValue::from_str(&format!("bytes={offset}-")) {
                request.headers_mut().insert(RANGE, range);
            }
            if let Some(validator) = validator.if_range() {
                request.headers_mut().insert(IF_RANGE, validator.clone());
            }
        }
        *request.body_mut() = body.clone().map(Into::into);
        basic_auth(&mut request);
        if self.own.as_ref() == Some(&url.origin()) {
            clients.open.execute(request).await.map_err(|error| failure(&error))
        } else {
            clients.guarded.execute(request).await
        }
    }

    fn arriving(&self, response: Response, resume: Option<&Resume>) -> Result<Arriving, Failure> {
        let headers = response.headers();
        let validator = if self.immutable { Some(Validator::Name) } else { Validator::of(headers) };
        let by_parameter = resume.filter(|_| self.offset_parameter.is_some());
        let (start, total) = match (response.status(), resume) {
            (StatusCode::OK, _) => {
                let start = by_parameter.map_or(0, |resume| resume.offset);
                let named = self.length_header.as_ref().and_then(|name| headers.get(name)?.to_str().ok()?.parse().ok());
                let length: Option<u64> = http_headers::length(headers).or(named);
                (start, length.and_then(|length| length.checked_add(start)))
            }
            (StatusCode::PARTIAL_CONTENT, Some(resume)) => {
                let (start, total) = http_headers::range(headers)
                    .ok_or_else(|| Failure::Changed("it answered 206 without saying which part".to_owned()))?;
                if start != resume.offset {
                    return Err(Failure::Changed("it answered with another part than the one asked for".to_owned()));
                }
                if !resume.validator.may_be_of(headers) {
                    return Err(Failure::Changed("its file changed while it was read".to_owned()));
                }
                (start, total)
            }
            (status, _) => return Err(http_headers::refusal(status, headers)),
        };
        match Encoding::of(headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes))? {
            Encoding::None => Ok(Arriving { start, total, validator, body: body(response) }),
            Encoding::Gzip if start > 0 => {
                Err(Failure::Changed("it answered with a part of the file, compressed".to_owned()))
            }
            // Another attempt begins again: where the file goes on is nowhere in what is sent.
            Encoding::Gzip => Ok(Arriving { start, total: None, validator: None, body: gunzipped(body(response)) }),
        }
    }
}

/// Credentials of a URL go into a header; reqwest leaves them to its other callers.
pub(super) fn basic_auth(request: &mut Request) {
    use base64::Engine as _;
    let url = request.url();
    if url.username().is_empty() && url.password().is_none() {
        return;
    }
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let mut pair = decoded(url.username());
    pair.push(b':');
    pair.extend(decoded(url.password().unwrap_or_default()));
    let value = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    if let Ok(mut value) = HeaderValue::from_str(&value) {
        value.set_sensitive(true);
        request.headers_mut().insert(reqwest::header::AUTHORIZATION, value);
    }
    let url = request.url_mut();
    let _ = url.set_username("").and_then(|()| url.set_password(None));
}

fn body(response: Response) -> BoxStream<'static, Result<Bytes, Failure>> {
    response.bytes_stream().map(|chunk| chunk.map_err(|error| failure(&error))).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_a_url_become_a_header() {
        let mut request = Request::new(reqwest::Method::GET, "http://us%40er:p%3Aw@a.example/".parse().expect("a URL"));
        basic_auth(&mut request);
        assert_eq!(request.headers()["authorization"], "Basic dXNAZXI6cDp3");
        assert_eq!(request.url().as_str(), "http://a.example/");
    }
}
