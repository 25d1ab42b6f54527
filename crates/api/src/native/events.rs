use super::views::JobView;
use crate::{
    auth::Caller,
    extract::PathParam,
    problem::Problem,
    state::Http,
    streams::{self, Change, changes},
};
use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, Sse},
    },
};
use cloister_model::{JobId, JobStatus, Seen};
use cloister_service::UseCases;
use futures_util::StreamExt as _;
use std::convert::Infallible;

/// Follow a job
///
/// Server-sent events: `event: job`, `id: <state>`, `data: <Job>`, where the job is JSON of the schema `Job` on one line. The
/// first comes at once, the last when the job has ended. With `Last-Event-ID`, only what came after it. The id names the state
/// of the job and means nothing else.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/events", operation_id = "follow_job", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$"),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the event that was seen last")),
    responses(
        (status = 200, description = "A stream of events", content_type = "text/event-stream", body = String),
        (status = 204, description = "The client has seen the end: do not reconnect"),
    )
)]
pub(super) async fn events(
    State(use_cases): State<UseCases>,
    State(http): State<Http>,
    Caller(who): Caller,
    PathParam(id): PathParam<JobId>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (watch, status) = use_cases.watch_job(&who, id).await?;
    let seen = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(Seen::from_text);
    if status.phase.has_ended() && seen.as_ref() == Some(&status.seen()) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let mut response = if method == Method::HEAD {
        [(header::CONTENT_TYPE, "text/event-stream")].into_response()
    } else {
        let permit = streams::permit(&http, &who)?;
        let events = changes(http, watch, permit, seen.unwrap_or_default());
        Sse::new(events.map(|change| Ok::<_, Infallible>(event(&change)))).into_response()
    };
    // Events are not for caches, and not for proxies that would hold them until there are enough.
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(BUFFERING, header::HeaderValue::from_static("no"));
    Ok(response)
}

const BUFFERING: header::HeaderName = header::HeaderName::from_static("x-accel-buffering");

fn event(change: &Change) -> Event {
    match change {
        Change::Nothing => Event::default().comment("still here"),
        Change::Job(status) => job(status),
    }
}

/// One event. JSON has no line breaks of its own, so the data is one line.
fn job(status: &JobStatus) -> Event {
    let data = serde_json::to_string(&JobView::from(status)).unwrap_or_default();
    Event::default().event("job").id(status.seen().to_string()).data(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Fault, Labels, Reason, Timestamp};
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn an_event_is_three_lines() {
        let status = JobStatus::queued(JobId::from_bytes([1; 16]), Labels::new(), Timestamp::from_unix_ms(0));
        let reason = Reason::new("a\n\ndata: forged", Fault::Nobody);
        let stop = cloister_model::Event::Stop;
        let status = status.after(stop, Timestamp::from_unix_ms(1), Some(reason)).expect("a step");
        let changes = [Change::Job(Box::new(status)), Change::Nothing];
        let events = futures_util::stream::iter(changes).map(|change| Ok::<_, Infallible>(event(&change)));
        let body = Sse::new(events).into_response().into_body().collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(body.to_vec()).expect("text");
        let text = text.strip_suffix(": still here\n\n").expect("a comment");
        assert_eq!(text.lines().count(), 4);
        assert!(text.starts_with("event: job\nid: 2\ndata: {") && text.ends_with("}\n\n"), "{text}");
    }
}
