use super::{Ask, Clients, Failure, FetchError, HttpFile, SourcePolicy, http::basic_auth, http_headers::refusal};
use crate::FetcherError;
use cloister_model::{HttpUrl, HttpUrlError};
use futures_util::StreamExt;
use reqwest::{
    Method, Request,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use std::time::Duration;

/// The longest wait for a document.
const DEADLINE: Duration = Duration::from_secs(30);

/// Fetches JSON documents by the rules for sources.
#[derive(Debug)]
pub struct DocumentFetcher {
    clients: Clients,
    max_redirects: u32,
}

impl DocumentFetcher {
    /// One that keeps this policy.
    ///
    /// # Errors
    /// [`FetcherError::Client`].
    pub fn new(policy: &SourcePolicy) -> Result<Self, FetcherError> {
        let clients = Clients::new(policy).map_err(|_| FetcherError::tls())?;
        Ok(Self { clients, max_redirects: policy.max_redirects })
    }

    /// A JSON document behind a URL, at most so many bytes. Asked once, for half a minute at most.
    ///
    /// # Errors
    /// If it cannot be had, is larger, or is not JSON.
    pub async fn get_json(&self, url: &str, most_bytes: usize) -> Result<Value, FetchError> {
        let mut place = "a URL".to_owned();
        let document = tokio::time::timeout(DEADLINE, self.document(url, most_bytes, &mut place)).await;
        document
            .unwrap_or_else(|_| Err(Failure::Source("it did not answer in time".to_owned())))
            .map_err(|failure| failure.of(0, place))
    }

    /// Sends a JSON document to a URL. Tried once, for half a minute at most; redirects are not followed, and nothing of the answer
    /// but its status is read.
    ///
    /// # Errors
    /// If the URL must not be asked, it cannot be reached, or it answers with another status than success.
    pub async fn post_json(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<(), FetchError> {
        let mut place = "a URL".to_owned();
        let sent = tokio::time::timeout(DEADLINE, self.post(url, headers, body, &mut place)).await;
        sent.unwrap_or_else(|_| Err(Failure::Source("it did not answer in time".to_owned())))
            .map_err(|failure| failure.of(0, place))
    }

    async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: String,
        place: &mut String,
    ) -> Result<(), Failure> {
        let url: HttpUrl = url.parse().map_err(|error: HttpUrlError| Failure::Refused(error.to_string()))?;
        *place = url.site();
        let mut request = Request::new(Method::POST, url.url().clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let value =
                HeaderValue::from_str(value).map_err(|_| Failure::Source(format!("`{name}` cannot be sent")))?;
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        *request.body_mut() = Some(body.into());
        basic_auth(&mut request);
        let answer = self.clients.guarded.execute(request).await?;
        if answer.status().is_success() { Ok(()) } else { Err(refusal(answer.status(), answer.headers())) }
    }

    async fn document(&self, url: &str, most: usize, place: &mut String) -> Result<Value, Failure> {
        let url: HttpUrl = url.parse().map_err(|error: HttpUrlError| Failure::Refused(error.to_string()))?;
        *place = url.site();
        let headers: HeaderMap = [(ACCEPT, HeaderValue::from_static("application/json"))].into_iter().collect();
        let file = HttpFile::new(Ask { method: Method::GET, url: url.url().clone(), headers, body: None });
        let mut arriving = file.open(&self.clients, self.max_redirects, None).await?;
        let mut text = Vec::new();
        while let Some(chunk) = arriving.body.next().await {
            let chunk = chunk?;
            if chunk.len() > most.saturating_sub(text.len()) {
                return Err(Failure::Refused(format!("a document may have {most} bytes, this one has more")));
            }
            text.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&text).map_err(|_| Failure::Content("it is not JSON".to_owned()))
    }
}
