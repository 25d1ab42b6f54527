use super::views::JobView;
use crate::{
    auth::Caller,
    jobs::{Access, Change, Follower, changes, find},
    problem::Problem,
    state::Shared,
    web::In,
};
use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use cloister_model::{JobId, JobStatus};
use futures_util::StreamExt as _;
use std::convert::Infallible;
use utoipa::ToSchema;

/// One event of a stream: the fields of Server-sent events.
#[derive(ToSchema)]
#[schema(as = JobEvent)]
#[expect(dead_code, reason = "describes events to readers of the documentation")]
pub(super) struct EventSchema {
    /// `job`.
    event: String,
    /// The job's revision: what `Last-Event-ID` takes.
    id: String,
    /// The job, as JSON.
    data: String,
}

/// Follow a job
///
/// Server-sent events: `event: job`, `id: <revision>`, `data: <Job>`. The first comes at once, the last when the job has
/// ended. With `Last-Event-ID`, only what came after it.
#[utoipa::path(
    get, path = "/v1/jobs/{id}/events", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The revision that was seen last")),
    responses(
        (status = 200, description = "A stream of these", content_type = "text/event-stream", body = EventSchema),
        (status = 204, description = "The end was seen: do not come again"),
    )
)]
pub(super) async fn events(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In(id): In<JobId>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = find(&shared, &who, id, Access::Read).await?;
    // What is no revision was not given by us: begin at the beginning.
    let seen = headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let seen: u64 = seen.unwrap_or(0);
    if found.status.phase.has_ended() && seen >= found.status.revision {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let follower = Follower::new(&shared, who)?;
        let events = changes(shared, follower, id, seen).map(|change| Ok::<_, Infallible>(write(&change)));
        Body::from_stream(events)
    };
    // For proxies that would keep the events until there are enough of them.
    Ok(([(header::CONTENT_TYPE, "text/event-stream"), (BUFFERING, "no")], body).into_response())
}

const BUFFERING: header::HeaderName = header::HeaderName::from_static("x-accel-buffering");

fn write(change: &Change) -> Bytes {
    match change {
        Change::Nothing => Bytes::from_static(b": still here\n\n"),
        Change::Job(status) => Bytes::from(event(status)),
    }
}

/// One event. JSON has no line breaks of its own, so that the data is one line.
fn event(status: &JobStatus) -> String {
    let data = serde_json::to_string(&JobView::from(status)).unwrap_or_default();
    format!("event: job\nid: {}\ndata: {data}\n\n", status.revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Event, Fault, Labels, Reason, Timestamp};

    #[test]
    fn an_event_is_three_lines() {
        let job = JobStatus::queued(JobId::from_bytes([1; 16]), Labels::new(), Timestamp::from_unix_ms(0));
        let reason = Reason::new("a\n\ndata: forged", Fault::Nobody);
        let job = job.after(Event::Stop, Timestamp::from_unix_ms(1), Some(reason)).expect("a step");
        let text = event(&job);
        assert_eq!(text.lines().count(), 4);
        assert!(text.starts_with("event: job\nid: 2\ndata: {") && text.ends_with("}\n\n"));
    }
}
