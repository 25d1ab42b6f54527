//! Streams: the events of a job and its growing log. Each holds a permit, and ends when the key of its reader stops working
//! and when the service shuts down.

use crate::{problem::Problem, state::Http};
use axum::body::Bytes;
use cloister_model::{ByteRange, JobStatus, Seen};
use cloister_service::{JobError, JobLog, JobWatch, Permit, Principal, UseCases};
use futures_util::{Stream, stream};
use std::{sync::Arc, time::Duration};

/// The longest silence of a stream of events: proxies drop connections that are silent for longer.
const SILENCE: Duration = Duration::from_secs(15);

/// Bytes of a log that are read at once.
const CHUNK_BYTES: u32 = 64 * 1024;

/// The interval at which a growing log is read.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// An element of a stream of events.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// The job has this status now.
    Job(Box<JobStatus>),
    /// Nothing changed; the stream goes on.
    Nothing,
}

/// How far a stream of events has come.
enum EventCursor {
    /// The reader has seen this.
    After(Seen),
    /// The reader has seen the end.
    End,
}

/// A permit for a stream.
pub(crate) fn permit(http: &Http, who: &Principal) -> Result<Permit, Problem> {
    Ok(http.streams.take(&who.account)?)
}

/// Every change of a job, from what was seen on. Ends after the end of the job, and when the job is removed.
pub(crate) fn changes(
    http: Http,
    watch: JobWatch,
    permit: Permit,
    seen: Seen,
) -> impl Stream<Item = Change> + Send + 'static {
    let reader = Arc::new((watch, permit));
    stream::unfold(EventCursor::After(seen), move |cursor| {
        let (http, reader) = (http.clone(), Arc::clone(&reader));
        async move {
            let EventCursor::After(seen) = cursor else { return None };
            let (watch, _permit) = &*reader;
            let waited = tokio::select! {
                biased;
                () = http.closing.cancelled() => return None,
                waited = tokio::time::timeout(SILENCE, watch.wait(seen.clone())) => waited,
            };
            if !watch.is_still_good().await {
                return None;
            }
            match waited {
                Err(_) => Some((Change::Nothing, EventCursor::After(seen))),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a stream of events ends");
                    None
                }
                Ok(Ok(status)) if status.seen() != seen => {
                    let cursor = match status.phase.has_ended() {
                        true => EventCursor::End,
                        false => EventCursor::After(status.seen()),
                    };
                    Some((Change::Job(Box::new(status)), cursor))
                }
                Ok(Ok(status)) if status.phase.has_ended() => None,
                Ok(Ok(_)) => Some((Change::Nothing, EventCursor::After(seen))),
            }
        }
    })
}

/// The algorithm log from its beginning, and what is added to it, until it is complete.
pub(crate) fn follow_log(
    http: Http,
    use_cases: UseCases,
    who: Principal,
    log: JobLog,
    permit: Permit,
) -> impl Stream<Item = Result<Bytes, JobError>> + Send + 'static {
    let reader = Arc::new((use_cases, who, log, permit));
    stream::try_unfold(0_u64, move |offset| {
        let (http, reader) = (http.clone(), Arc::clone(&reader));
        async move {
            let (use_cases, who, log, _permit) = &*reader;
            loop {
                if !use_cases.is_still_good(who).await {
                    return Ok(None);
                }
                let part = log.read(ByteRange { offset, at_most: CHUNK_BYTES }).await?;
                if !part.bytes.is_empty() {
                    let length = u64::try_from(part.bytes.len()).unwrap_or(u64::MAX);
                    return Ok(Some((Bytes::from(part.bytes), offset.saturating_add(length))));
                }
                if part.ended {
                    return Ok(None);
                }
                tokio::select! {
                    biased;
                    () = http.closing.cancelled() => return Ok(None),
                    () = tokio::time::sleep(POLL_INTERVAL) => {}
                }
            }
        }
    })
}
