use super::Follower;
use crate::{content::Download, problem::Problem, state::Shared};
use axum::body::Bytes;
use cloister_model::{ByteRange, EngineError, JobId};
use futures_util::{Stream, stream};
use std::{sync::Arc, time::Duration};

/// Bytes of a log that are read at once.
const CHUNK_BYTES: u32 = 64 * 1024;

/// How often a log is looked at for more.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The algorithm log, as far as it is written.
pub(crate) async fn log_file(shared: &Shared, job: JobId) -> Result<Download, Problem> {
    let bytes = length(shared, job).await?;
    let shared = shared.clone();
    let read = move |range| {
        let shared = shared.clone();
        async move { Ok(shared.backend.log(job, range).await?) }
    };
    Ok(Download::new("", bytes, read).shown_as_text())
}

/// How long the log is now. An engine gives parts and no length: it is found by looking whether there is a byte at a place,
/// twice as far each time, and then between the last place with and the first one without.
async fn length(shared: &Shared, job: JobId) -> Result<u64, Problem> {
    let (mut known, mut beyond) = (0_u64, 64 * 1024_u64);
    while is_at(shared, job, beyond).await? {
        known = beyond + 1;
        beyond = beyond.saturating_mul(2);
    }
    // Bytes before `known` are there, and none at `beyond`.
    while known < beyond {
        let middle = known + (beyond - known) / 2;
        if is_at(shared, job, middle).await? {
            known = middle + 1;
        } else {
            beyond = middle;
        }
    }
    Ok(known)
}

async fn is_at(shared: &Shared, job: JobId, offset: u64) -> Result<bool, Problem> {
    Ok(!shared.backend.log(job, ByteRange { offset, at_most: 1 }).await?.is_empty())
}

/// Where a follower of a log is.
#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    /// Whether the job had ended before the last look: then an empty look is the end.
    ended: bool,
}

/// The algorithm log from its beginning, and what is added to it, until the job has ended, the key of whoever follows is
/// good no more, or the service shuts down.
pub(crate) fn follow_log(
    shared: Shared,
    follower: Follower,
    job: JobId,
) -> impl Stream<Item = Result<Bytes, EngineError>> + Send + 'static {
    let follower = Arc::new(follower);
    stream::try_unfold(Place { offset: 0, ended: false }, move |mut place| {
        let (shared, follower) = (shared.clone(), Arc::clone(&follower));
        async move {
            loop {
                if !follower.may_hear(&shared).await {
                    return Ok(None);
                }
                let range = ByteRange { offset: place.offset, at_most: CHUNK_BYTES };
                let bytes = shared.backend.log(job, range).await?;
                if !bytes.is_empty() {
                    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    let next = Place { offset: place.offset.saturating_add(length), ..place };
                    return Ok(Some((Bytes::from(bytes), next)));
                }
                if place.ended {
                    return Ok(None);
                }
                let status = shared.backend.status(job).await?;
                if status.phase.has_ended() {
                    // What was written between the look and the end.
                    place.ended = true;
                    continue;
                }
                tokio::select! {
                    biased;
                    () = shared.closing.cancelled() => return Ok(None),
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        }
    })
}
