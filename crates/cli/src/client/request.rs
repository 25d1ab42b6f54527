use super::{ClientError, Connection, Problem, connection::is_loopback, credentials::Credentials};
use crate::output::explain;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cloister_model::{Sha256, escape};
use reqwest::{
    Body, Method, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
    redirect,
};
use serde_json::Value;
use std::time::{Duration, Instant};
use url::Url;

/// Maximum size of a JSON answer, in bytes.
const MOST_JSON: usize = 64 * 1024 * 1024;

/// A service, and the key that is sent to it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    /// Without a read time-out: for uploading a large file, or following a job that prints nothing.
    patient: reqwest::Client,
    url: Url,
    key: Option<Credentials>,
}

/// A JSON answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Client {
    /// A client of the service.
    ///
    /// # Errors
    /// If the certificates cannot be read.
    pub(crate) fn new(Connection { url, key, certificates, renewal }: Connection) -> Result<Self, ClientError> {
        let certificates = certificates
            .map(|pem| reqwest::Certificate::from_pem_bundle(&pem))
            .transpose()
            .map_err(|_| ClientError::Unexpected("the file of --ca contains no certificates".to_owned()))?;
        let builder = || {
            let mut builder = reqwest::Client::builder()
                .user_agent(concat!("cloister/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(Duration::from_secs(10))
                // Lets the kernel notice a service that disappeared without closing the connection.
                .tcp_keepalive(Duration::from_secs(30))
                // A redirect must not carry the key to another server.
                .redirect(redirect::Policy::none());
            if is_loopback(&url) {
                builder = builder.no_proxy();
            }
            match &certificates {
                Some(certificates) => builder.tls_certs_only(certificates.iter().cloned()),
                None => builder,
            }
        };
        let fault = |error| ClientError::transport(url.as_str(), &error);
        // Longer than the interval between keep-alives of an event stream.
        let http = builder().read_timeout(Duration::from_secs(120)).build().map_err(fault)?;
        let patient = builder().build().map_err(fault)?;
        Ok(Self { http, patient, url, key: key.map(|key| Credentials::new(key, renewal)) })
    }

    /// The address of a resource. Segments are encoded, so that none can add another or leave its place.
    fn address(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Begins a request.
    ///
    /// # Errors
    /// [`ClientError::NoKey`].
    pub(crate) fn request(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, ClientError> {
        self.request_of(&self.http, method, segments, query)
    }

    /// The same without a read time-out.
    ///
    /// # Errors
    /// [`ClientError::NoKey`].
    pub(crate) fn patient_request(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, ClientError> {
        self.request_of(&self.patient, method, segments, query)
    }

    fn request_of(
        &self,
        http: &reqwest::Client,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<RequestBuilder, ClientError> {
        if self.key.is_none() {
            return Err(ClientError::NoKey);
        }
        Ok(http.request(method, self.address(segments, query)))
    }

    /// Sends a request with the key, which is renewed first if it has to be. Every status that is not a success is an error.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let key = self.key.as_ref().ok_or(ClientError::NoKey)?.current().await?;
        let mut header = HeaderValue::from_str(&format!("Bearer {}", key.expose())).map_err(|_| ClientError::NoKey)?;
        header.set_sensitive(true);
        self.execute(request.header(AUTHORIZATION, header)).await
    }

    async fn execute(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let (http, request) = request.build_split();
        let request = request.map_err(|error| self.fault(&error))?;
        let (method, path, begun) = (request.method().clone(), request.url().path().to_owned(), Instant::now());
        let response = http.execute(request).await.map_err(|error| self.fault(&error))?;
        explain(|| {
            let id = response.headers().get("x-request-id").map_or(&b""[..], HeaderValue::as_bytes);
            let (status, ms) = (response.status().as_u16(), begun.elapsed().as_millis());
            format!("{method} {}: {status}, {ms} ms, id {}", escape(path.as_bytes(), 200), escape(id, 64))
        });
        if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body = self.bounded(response, 1024 * 1024).await.unwrap_or_default();
        Err(ClientError::Problem(Box::new(Problem::read(status, &body))))
    }

    pub(crate) fn fault(&self, error: &reqwest::Error) -> ClientError {
        ClientError::transport(self.url.as_str(), error)
    }

    async fn bounded(&self, mut response: Response, most: usize) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.fault(&error))? {
            if body.len() + chunk.len() > most {
                return Err(ClientError::Unexpected(format!("more than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    async fn json(&self, request: RequestBuilder) -> Result<Reply, ClientError> {
        let response = self.send(request.header(ACCEPT, "application/json")).await?;
        self.reply(response).await
    }

    async fn reply(&self, response: Response) -> Result<Reply, ClientError> {
        let status = response.status().as_u16();
        let body = self.bounded(response, MOST_JSON).await?;
        if body.is_empty() {
            return Ok(Reply { status, body: Value::Null });
        }
        let body = serde_json::from_slice(&body).map_err(|_| ClientError::Unexpected("not JSON".to_owned()))?;
        Ok(Reply { status, body })
    }

    pub(crate) async fn get(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Value, ClientError> {
        Ok(self.json(self.request(Method::GET, segments, query)?).await?.body)
    }

    /// Reads what everyone may read. No key is sent.
    pub(crate) async fn get_without_key(&self, segments: &[&str]) -> Result<Value, ClientError> {
        let request = self.http.request(Method::GET, self.address(segments, &[])).header(ACCEPT, "application/json");
        let response = self.execute(request).await?;
        Ok(self.reply(response).await?.body)
    }

    pub(crate) async fn post(&self, segments: &[&str], body: &Value) -> Result<Reply, ClientError> {
        self.json(self.request(Method::POST, segments, &[])?.json(body)).await
    }

    /// As [`Client::post`], with a header.
    pub(crate) async fn send_json(
        &self,
        method: Method,
        segments: &[&str],
        header: Option<(&'static str, &str)>,
        body: &Value,
    ) -> Result<Reply, ClientError> {
        let mut request = self.request(method, segments, &[])?.json(body);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        self.json(request).await
    }

    pub(crate) async fn delete(&self, segments: &[&str]) -> Result<(), ClientError> {
        self.json(self.request(Method::DELETE, segments, &[])?).await.map(drop)
    }

    /// Uploads a stream of bytes. The service refuses bytes that do not have this digest.
    pub(crate) async fn upload(&self, bytes: u64, sha256: Sha256, body: Body) -> Result<Value, ClientError> {
        let request = self
            .patient_request(Method::POST, &["v1", "uploads"], &[])?
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, bytes)
            .header("content-digest", format!("sha-256=:{}:", BASE64_STANDARD.encode(sha256.as_bytes())))
            .body(body);
        Ok(self.json(request).await?.body)
    }

    /// Reads a list that comes whole.
    pub(crate) async fn list(&self, segments: &[&str]) -> Result<Vec<Value>, ClientError> {
        let list = self.get(segments, &[]).await?;
        list["items"].as_array().cloned().ok_or_else(|| ClientError::Unexpected("a list without items".to_owned()))
    }

    /// Reads a list page by page, up to `most` items.
    pub(crate) async fn pages(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
        most: usize,
    ) -> Result<Vec<Value>, ClientError> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let limit = most.saturating_sub(items.len()).clamp(1, 100).to_string();
            let mut query = query.to_vec();
            query.push(("limit", &limit));
            if let Some(cursor) = &cursor {
                query.push(("cursor", cursor));
            }
            let page = self.get(segments, &query).await?;
            let Some(found) = page.get("items").and_then(Value::as_array) else {
                return Err(ClientError::Unexpected("a list without items".to_owned()));
            };
            items.extend(found.iter().cloned());
            let next = page.get("next").and_then(Value::as_str).map(str::to_owned);
            if next.is_none() || next == cursor || found.is_empty() || items.len() >= most {
                items.truncate(most);
                return Ok(items);
            }
            cursor = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Client {
        let connection =
            Connection { url: url.parse().expect("an address"), key: None, certificates: None, renewal: None };
        Client::new(connection).expect("a client")
    }

    #[test]
    fn segments_are_encoded() {
        let client = client("http://127.0.0.1:1/base/");
        let url = client.address(&["v1", "jobs", "../keys?x#y"], &[("a", "b&c=d")]);
        assert_eq!(url.as_str(), "http://127.0.0.1:1/base/v1/jobs/..%2Fkeys%3Fx%23y?a=b%26c%3Dd");
    }

    #[test]
    fn no_request_is_sent_without_a_key() {
        let error = client("http://127.0.0.1:1").request(Method::GET, &["v1"], &[]).expect_err("no key");
        assert!(matches!(error, ClientError::NoKey), "{error}");
    }
}
