use crate::{
    auth::{Place as Held, still_known},
    principal::Principal,
    problem::Problem,
    state::Shared,
};
use cloister_model::{JobId, JobStatus};
use futures_util::{Stream, stream};
use std::{sync::Arc, time::Duration};

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

/// Who follows something, and the place that this takes.
pub(crate) struct Follower {
    who: Principal,
    _place: Held,
}

impl Follower {
    /// Somebody follows something from now on.
    pub(crate) fn new(shared: &Shared, who: Principal) -> Result<Self, Problem> {
        let place = shared.following.take(&who.account)?;
        Ok(Self { who, _place: place })
    }

    /// Whether they may still hear of it.
    pub(super) async fn may_hear(&self, shared: &Shared) -> bool {
        still_known(shared, &self.who).await
    }
}

/// Every change of a job from now on, or from a revision that was seen. Ends after the job has ended, when the job is gone,
/// when the key of whoever follows is good no more, and when the service shuts down.
pub(crate) fn changes(
    shared: Shared,
    follower: Follower,
    job: JobId,
    seen: u64,
) -> impl Stream<Item = Change> + Send + 'static {
    let follower = Arc::new(follower);
    stream::unfold(Place::Seen(seen), move |place| {
        let (shared, follower) = (shared.clone(), Arc::clone(&follower));
        async move {
            let Place::Seen(seen) = place else { return None };
            let waited = tokio::select! {
                biased;
                () = shared.closing.cancelled() => return None,
                waited = tokio::time::timeout(SILENCE, shared.backend.wait(job, seen)) => waited,
            };
            if !follower.may_hear(&shared).await {
                return None;
            }
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
