use crate::state::Shared;
use cloister_model::{JobId, JobStatus};
use futures_util::{Stream, stream};
use std::time::Duration;

/// How long a follower hears nothing at most: proxies drop connections that are silent for longer.
const SILENCE: Duration = Duration::from_secs(15);

/// What a follower of a job hears.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// The job is like this now.
    Job(Box<JobStatus>),
    /// Nothing changed; still here.
    Nothing,
}

/// Where a follower is.
enum Place {
    /// Has seen this revision.
    Seen(u64),
    /// Was told the end.
    End,
}

/// Every change of a job from now on, or from a revision that was seen. Ends after the job has ended, when the job is gone,
/// and when the service shuts down.
pub(crate) fn changes(shared: Shared, job: JobId, seen: u64) -> impl Stream<Item = Change> + Send + 'static {
    stream::unfold(Place::Seen(seen), move |place| {
        let shared = shared.clone();
        async move {
            let Place::Seen(seen) = place else { return None };
            let waited = tokio::select! {
                biased;
                () = shared.closing.cancelled() => return None,
                waited = tokio::time::timeout(SILENCE, shared.backend.wait(job, seen)) => waited,
            };
            match waited {
                Err(_) => Some((Change::Nothing, Place::Seen(seen))),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a follower of a job is let go");
                    None
                }
                Ok(Ok(status)) if status.revision > seen => {
                    let (revision, ended) = (status.revision, status.phase.has_ended());
                    let place = if ended { Place::End } else { Place::Seen(revision) };
                    Some((Change::Job(Box::new(status)), place))
                }
                Ok(Ok(status)) if status.phase.has_ended() => None,
                Ok(Ok(_)) => Some((Change::Nothing, Place::Seen(seen))),
            }
        }
    })
}
