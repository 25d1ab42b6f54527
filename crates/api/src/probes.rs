//! Liveness, readiness and metrics of a program that serves nothing else. Requests need no key: no answer holds
//! anything that is not for every eye in the network of the program.

use crate::{
    metrics::MEDIA_TYPE,
    serve::{ServeOptions, serve},
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use std::{fmt, io, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What a program says of itself.
pub trait Probed: fmt::Debug + Send + Sync + 'static {
    /// What is wrong with it; none: it can work. In words that are safe to show.
    fn problem(&self) -> Option<String>;

    /// Its metrics, in the text form of OpenMetrics.
    ///
    /// # Errors
    /// If they cannot be written.
    fn metrics(&self) -> Result<String, fmt::Error>;
}

/// Answers `/livez`, `/readyz` and `/metrics` until `end` is done: `/livez` as long as the program runs, `/readyz` with 503 and
/// the problem if there is one.
///
/// # Errors
/// If the listener cannot be used.
pub async fn serve_probes(
    listener: TcpListener,
    probed: Arc<dyn Probed>,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let closing = CancellationToken::new();
    let closed = closing.clone();
    tokio::spawn(async move {
        end.await;
        closed.cancel();
    });
    let options = ServeOptions { max_connections: 64, drain: Duration::from_secs(1), ..ServeOptions::default() };
    serve(listener, routes(probed), options, closing).await
}

fn routes(probed: Arc<dyn Probed>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(probed)
}

async fn readyz(State(probed): State<Arc<dyn Probed>>) -> Response {
    match probed.problem() {
        None => "ok\n".into_response(),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")).into_response(),
    }
}

async fn metrics(State(probed): State<Arc<dyn Probed>>) -> Response {
    match probed.metrics() {
        Ok(text) => ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request};
    use tower::ServiceExt as _;

    #[derive(Debug)]
    struct Program(Option<&'static str>);

    impl Probed for Program {
        fn problem(&self) -> Option<String> {
            self.0.map(str::to_owned)
        }

        fn metrics(&self) -> Result<String, fmt::Error> {
            Ok("# EOF\n".to_owned())
        }
    }

    async fn ask(program: Program, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = routes(Arc::new(program)).oneshot(request).await.expect("an answer");
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1024).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn a_program_with_a_problem_lives_and_is_not_ready() {
        assert_eq!(ask(Program(None), "/readyz").await, (200, "ok\n".to_owned()));
        assert_eq!(ask(Program(Some("no API server")), "/readyz").await, (503, "no API server\n".to_owned()));
        assert_eq!(ask(Program(Some("no API server")), "/livez").await.0, 200);
        assert_eq!(ask(Program(Some("no API server")), "/metrics").await, (200, "# EOF\n".to_owned()));
        assert_eq!(ask(Program(None), "/v1/jobs").await.0, 404);
    }
}
