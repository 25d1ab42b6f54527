use anyhow::Context as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response, ResponseBodyTooLarge};
use reqwest::{header::HeaderMap, redirect};
use std::{net::IpAddr, pin::Pin, time::Duration};
use tokio::runtime::Runtime;
use url::{Host, Url};

/// Maximum size of an answer, which says at most how many spans were refused.
const MOST_ANSWER_BYTES: usize = 64 * 1024;

/// The HTTP client for the collector. It has its own runtime on the sending thread, because the service's may be busy or
/// already gone.
#[derive(Debug)]
pub(super) struct Collector {
    client: reqwest::Client,
    /// Some until this is dropped.
    runtime: Option<Runtime>,
}

impl Collector {
    /// # Errors
    /// If the system has no certificates, or a runtime cannot be created.
    pub(super) fn new(url: &Url, headers: HeaderMap, patience: Duration) -> anyhow::Result<Self> {
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(patience)
            .timeout(patience)
            // The runtime is idle between two requests and would not notice that the peer closed the connection.
            .pool_max_idle_per_host(0)
            // A redirect must not carry traces and credentials to another server.
            .redirect(redirect::Policy::none());
        if is_loopback(url) {
            builder = builder.no_proxy();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime")?;
        Ok(Self { client: builder.build().context("an HTTP client")?, runtime: Some(runtime) })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut answer = self.client.execute(request.try_into()?).await?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len().saturating_add(chunk.len()) > MOST_ANSWER_BYTES {
                return Err(ResponseBodyTooLarge::new().into());
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::builder().status(answer.status()).body(Bytes::from(body))?;
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

impl HttpClient for Collector {
    // The signature that `async_trait` generates.
    fn send_bytes<'client, 'sending>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sending>>
    where
        'client: 'sending,
        Self: 'sending,
    {
        Box::pin(async move {
            let runtime = self.runtime.as_ref().ok_or("the program ends")?;
            // Blocking is fine: this thread does nothing else.
            runtime.block_on(self.send(request))
        })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait for a DNS look-up that hangs.
            runtime.shutdown_background();
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}
