use crate::{problem::Problem, state::Http};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use std::{panic::AssertUnwindSafe, time::Duration, time::Instant};
use tracing::Instrument as _;

/// The header with the name of a request, which is in the log, too.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What our own pages may load: only what comes from here. Only the documentation has pages.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Surrounds every answer: a name for the request, a span, counters, a time limit, protective headers. A handler that
/// panics is an internal error of this one request.
pub(crate) async fn observe(State(http): State<Http>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let (account, status) = (tracing::field::Empty, tracing::field::Empty);
    let span = tracing::info_span!("request", %id, %method, %route, account, status);
    let page = route.starts_with("/docs");
    let limit = time_limit(&http, &route);

    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    let answer = async move {
        match limit {
            Some(limit) => tokio::time::timeout(limit, answer).await.map_err(|_| Problem::too_slow(limit)),
            None => Ok(answer.await),
        }
    };
    let mut response = match answer.instrument(span.clone()).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            span.in_scope(|| tracing::error!("a handler panicked"));
            Problem::internal().into_response()
        }
        Err(problem) => problem.into_response(),
    };

    let status = response.status();
    let took = begun.elapsed();
    http.metrics.request(&route, &method, status.as_u16(), took);
    span.in_scope(|| tracing::info!(status = status.as_u16(), ms = took.as_millis(), "answered"));
    // For traces: the log has its line.
    span.record("status", status.as_u16());
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    protect(headers, page);
    response
}

/// An upload may take any time, as long as bytes keep coming.
fn time_limit(http: &Http, route: &str) -> Option<Duration> {
    (route != "/v1/uploads").then_some(http.request_timeout)
}

fn protect(headers: &mut HeaderMap, page: bool) {
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_FRAME_OPTIONS, "DENY");
    if page {
        set(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    } else {
        set(header::CACHE_CONTROL, "no-store");
        set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox");
    }
}

fn request_id() -> String {
    let mut bytes = [0; 16];
    // Without random bytes the name is useless, but nothing else depends on it.
    let _ = getrandom::fill(&mut bytes);
    format!("{:032x}", u128::from_be_bytes(bytes))
}
