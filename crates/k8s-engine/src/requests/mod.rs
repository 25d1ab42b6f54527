//! Jobs by kubectl: a JobRequest in the namespace of an account is decided by the same use case as a request over HTTP, and its
//! status follows the job. Small results are put into a Secret beside it.

mod decide;
mod delivery;
mod status;

pub use decide::{Decide, Decided, Deciding, Results};

use crate::{
    backend::ClusterStore,
    clock::{now, random_below},
    cluster::{CallError, Cluster, call, version, watch},
    followed::{Followed, Look, key},
    resources::{JobRequest, JobRequestSpec, JobRequestStatus},
    store::secret,
};
use cloister_model::{EngineError, JobId, Jobs as _, Phase, Timestamp};
use delivery::{delivered, in_secret, keys, over_http};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
    runtime::watcher::Event,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// How often the requests whose jobs have not ended are gone through.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest time between two looks at a request whose job has not ended, in milliseconds. A look reads what this replica has in
/// memory.
const SOON_MS: u64 = 300;

/// For how long, in milliseconds, a replica leaves it to the one that decided about a request to bring its status up to that of its
/// job. If that one is gone, another one follows the job from then on.
const HOLD_BACK_MS: u64 = 5000;

/// How long a request stays as it is that waits for something which may appear: a label, an answer. Longer if many of its namespace wait.
const AGAIN_MS: u64 = 15_000;

/// How long a namespace waits for each request of it that waits. Every decision is two writes of a whole object, which its account may have
/// made large: however many requests wait, this bounds what they cost etcd.
const EACH_MS: u64 = 2000;

/// Jobs of deleted requests that are stopped at once.
const STOPS_AT_ONCE: usize = 8;

/// How long a decision may take, in milliseconds, before another replica may make it.
const DECISION_MS: u64 = 60_000;

/// Decides about every JobRequest in a namespace of an account, in the whole cluster, until the future is dropped. Any number of
/// replicas may do so.
pub fn decide_what_is_requested(
    cluster: Cluster,
    store: Arc<ClusterStore>,
    decide: Arc<dyn Decide>,
) -> BoxFuture<'static, ()> {
    // Boxed, so that it is compiled here, and not again in each program.
    Box::pin(decide_all(cluster, store, decide))
}

async fn decide_all(cluster: Cluster, store: Arc<ClusterStore>, decide: Arc<dyn Decide>) {
    let all: Api<JobRequest> = Api::all(cluster.client().clone());
    let stream = watch(all);
    futures_util::pin_mut!(stream);
    let requests = Requests { cluster, store, decide };
    let mut followed: Followed<Open, u64> = Followed::new(Open::updated);
    let mut pauses = Pauses::default();
    let mut deleted = VecDeque::new();
    let (mut looks, mut stops) = (FuturesUnordered::new(), FuturesUnordered::new());
    let mut pause = tokio::time::interval(PAUSE);
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        while stops.len() < STOPS_AT_ONCE
            && let Some(request) = deleted.pop_front()
        {
            stops.push(requests.stop(request));
        }
        tokio::select! {
            event = stream.next() => match event {
                None => return,
                Some(Ok(Event::Apply(request) | Event::InitApply(request))) => {
                    let at = pauses.heard(&request, now());
                    followed.put(key(&request), Open::shown(request), at);
                }
                Some(Ok(Event::Delete(request))) => {
                    followed.remove(&key(&request));
                    let has_job = request.status.as_ref().is_some_and(|status| status.job.is_some());
                    deleted.extend(has_job.then(|| without_spec(request)));
                }
                Some(Ok(Event::Init | Event::InitDone)) => {}
                Some(Err(error)) => tracing::warn!(%error, "the watch of JobRequests failed; it is tried again"),
            },
            Some(looked) = looks.next(), if !looks.is_empty() => {
                let (namespace, looked): (String, Vec<(String, Open, Next)>) = looked;
                let waiting = looked.iter().filter(|(_, open, _)| open.waits()).count();
                let pause = pauses.note(&namespace, waiting.saturating_add(followed.count(&namespace, Open::waits)));
                let present = now();
                let moment = |open: &Open, next: Next| next.moment(present, if open.waits() { pause } else { AGAIN_MS });
                let looked = looked.into_iter().map(|(name, open, next)| {
                    let at = moment(&open, next);
                    (name, open, at)
                });
                followed.looked(&namespace, looked.collect());
            }
            Some(()) = stops.next(), if !stops.is_empty() => {}
            _ = pause.tick(), if !followed.is_empty() => {
                for (namespace, due) in followed.due(now().unix_ms()) {
                    looks.push(requests.look_at_all(namespace, due));
                }
            }
        }
    }
}

/// When to look at a request next: at a moment of this replica's own, so that of several that see the same thing at the same time one
/// writes, and the others see what it wrote.
fn soon(present: Timestamp) -> u64 {
    present.unix_ms().saturating_add(random_below(SOON_MS))
}

/// A request whose end was not seen.
struct Open {
    /// As this replica has seen or written it last, [`without_spec`]: its users may have made it large, and it may wait for long.
    request: JobRequest,
    /// Whether this replica follows its job: it decided about the request, or the one that did is gone.
    ours: bool,
    /// The job that is known to be one of the account of its namespace.
    own: Option<JobId>,
}

impl Open {
    /// The request as the watch shows it.
    fn shown(request: JobRequest) -> Self {
        Self { request: without_spec(request), ours: false, own: None }
    }

    /// Whether it was said of it that it waits.
    fn waits(&self) -> bool {
        self.request.status.as_ref().is_some_and(status::waits)
    }

    /// The request as the watch shows it; none if that is no newer: what this replica wrote itself is newer than what the watch shows of
    /// the time before.
    fn updated(&self, shown: Self) -> Option<Self> {
        let ours = self.ours && shown.request.uid() == self.request.uid();
        let is_newer = version(&shown.request) > version(&self.request);
        is_newer.then_some(Self { ours, own: self.own, ..shown })
    }
}

/// For how long the requests of a namespace stay as they are that wait, in milliseconds. Of others, it is [`AGAIN_MS`].
#[derive(Debug, Default)]
struct Pauses(BTreeMap<String, u64>);

impl Pauses {
    /// The moment from which a request is looked at that the watch shows. That another replica has found that it waits is no reason to try
    /// it again: otherwise each of two replicas would do so because of what the other one wrote, as fast as they can.
    fn heard(&self, request: &JobRequest, present: Timestamp) -> u64 {
        if !request.status.as_ref().is_some_and(status::waits) {
            return soon(present);
        }
        let namespace = request.namespace().unwrap_or_default();
        soon(present).saturating_add(self.0.get(&namespace).copied().unwrap_or(AGAIN_MS))
    }

    /// So many requests of a namespace wait. For how long they stay as they are.
    fn note(&mut self, namespace: &str, waiting: usize) -> u64 {
        let pause = u64::try_from(waiting).unwrap_or(u64::MAX).saturating_mul(EACH_MS);
        if pause <= AGAIN_MS {
            self.0.remove(namespace);
            return AGAIN_MS;
        }
        self.0.insert(namespace.to_owned(), pause);
        pause
    }
}

/// When to look at a request again.
enum Next {
    /// At the next look at all.
    Again,
    /// In a while.
    Later,
    /// Not at all: it will not change any more.
    Over,
}

impl Next {
    /// The moment from which to look, in milliseconds since 1970. `pause_ms` is how long a while is.
    fn moment(self, present: Timestamp, pause_ms: u64) -> Option<u64> {
        match self {
            Self::Again => Some(soon(present)),
            Self::Later => Some(present.unix_ms().saturating_add(pause_ms)),
            Self::Over => None,
        }
    }
}

struct Requests {
    cluster: Cluster,
    store: Arc<ClusterStore>,
    decide: Arc<dyn Decide>,
}

impl Requests {
    /// Reconciles the requests of a namespace, one after the other. When to look at each next.
    async fn look_at_all(&self, namespace: String, due: Look<Open>) -> (String, Vec<(String, Open, Next)>) {
        let mut looked = Vec::with_capacity(due.len());
        for (name, mut open) in due {
            let next = match self.look(&mut open).await {
                Ok(next) => next,
                // It was deleted, which the watch does not show if it began anew meanwhile.
                Err(CallError::Missing) => {
                    self.stop(open.request.clone()).await;
                    Next::Over
                }
                Err(error) => {
                    tracing::warn!(%error, request = name, "a JobRequest could not be processed; the service tries again");
                    Next::Later
                }
            };
            looked.push((name, open, next));
        }
        (namespace, looked)
    }

    async fn look(&self, open: &mut Open) -> Result<Next, CallError> {
        let before = open.request.status.clone().unwrap_or_default();
        match before.job.as_deref().map(str::parse::<JobId>) {
            Some(Ok(job)) => self.follow(open, &before, job).await,
            // A text of another hand: it names no job.
            Some(Err(_)) => Ok(Next::Over),
            None if status::is_final(&before) => Ok(Next::Over),
            None => self.decide(open, before).await,
        }
    }

    async fn decide(&self, open: &mut Open, before: JobRequestStatus) -> Result<Next, CallError> {
        let (request, present) = (&open.request, now());
        let deciding = before.phase.as_deref() == Some(status::DECIDING);
        if deciding && before.decided.is_some_and(|since| present.unix_ms() < since.timestamp().unix_ms() + DECISION_MS)
        {
            return Ok(Next::Again);
        }
        let namespace = request.namespace().unwrap_or_default();
        let (generation, uid) = (request.meta().generation, request.uid().unwrap_or_default());
        let Some(account) = crate::assets::owner(&self.cluster, &namespace).await? else {
            let after = status::without_account(before.clone(), generation, present);
            if after != before {
                self.write(open, &after).await?;
            }
            return Ok(Next::Later);
        };
        // The version of the object is the fence: of two replicas, one decides. What is asked for comes with the answer.
        let Some(whole) = self.write_whole(open, &status::deciding(before, generation, present)).await? else {
            return Ok(Next::Again);
        };
        let decided = self.decide.request(account, format!("jobrequest/{uid}"), spec(&whole)).await;
        if let Decided::Allowed(job) = &decided {
            open.own = Some(*job);
        }
        let later = matches!(decided, Decided::Later { .. });
        let fenced = open.request.status.clone().unwrap_or_default();
        let after = status::decided(fenced, generation, decided, now());
        let written = self.write(open, &after).await;
        if written == Err(CallError::Missing) {
            // Its job is known nowhere else.
            open.request.status = Some(after);
        }
        written?;
        Ok(if later { Next::Later } else { Next::Again })
    }

    /// Brings the status of a request up to that of its job.
    async fn follow(&self, open: &mut Open, before: &JobRequestStatus, job: JobId) -> Result<Next, CallError> {
        if status::is_final(before) {
            return Ok(Next::Over);
        }
        let known = match self.store.status(job).await {
            Ok(known) => Some(known),
            Err(EngineError::NoSuchJob(_)) => None,
            Err(error) => return Err(unreachable("follow a job", &error.to_string())),
        };
        let known = if known.is_some() && self.is_own(open, job).await? { known } else { None };
        let patience = if open.ours { 0 } else { HOLD_BACK_MS };
        if known.as_ref().is_some_and(|job| status::is_passing(job, now(), patience)) {
            return Ok(Next::Again);
        }
        let mut results = None;
        if known.as_ref().is_some_and(|known| known.phase == Phase::Finished) {
            results = Some(self.deliver(&open.request, job).await?);
        }
        let after = status::following(before.clone(), open.request.meta().generation, known.as_ref(), results, now());
        if after != *before {
            self.write(open, &after).await?;
        }
        Ok(Next::Again)
    }

    /// Whether a job is one of the account of a namespace. Whoever may write the status of a request there can name any other one, and
    /// learns nothing of it.
    async fn is_own(&self, open: &mut Open, job: JobId) -> Result<bool, CallError> {
        if open.own != Some(job) {
            let account = crate::assets::owner(&self.cluster, &open.request.namespace().unwrap_or_default()).await?;
            let of = match self.store.card(job).await {
                Ok(card) => Some(card.record.owner),
                Err(EngineError::NoSuchJob(_)) => None,
                Err(error) => return Err(unreachable("follow a job", &error.to_string())),
            };
            open.own = account.zip(of).filter(|(account, of)| account.key() == of.key()).map(|_| job);
        }
        Ok(open.own == Some(job))
    }

    /// Puts small results into a Secret of the account's namespace. What is said of them.
    async fn deliver(&self, request: &JobRequest, job: JobId) -> Result<String, CallError> {
        let namespace = request.namespace().unwrap_or_default();
        let Some(account) = crate::assets::owner(&self.cluster, &namespace).await? else {
            return Ok(format!(
                "the namespace belongs to no account any more; fetch the results of job {job} over HTTP"
            ));
        };
        let api: Api<Secret> = Api::namespaced(self.cluster.client().clone(), &namespace);
        let name = format!("{}-results", request.name_any());
        // First: reading results goes on record.
        if let Some(said) = delivered(&api, request, &name, job).await? {
            return Ok(said);
        }
        let files = match self.decide.results(account, job).await {
            Results::Files(files) => files,
            Results::TooLarge(bytes) => {
                return Ok(format!("{bytes} bytes are too many for a Secret; {}", over_http(job)));
            }
            Results::Unavailable(why) => return Err(unreachable("fetch the results of a job", &why)),
        };
        let secret = secret(&name, "cloister.dev/results", keys(files), request.controller_owner_ref(&()));
        match call("store the results of a job", || async { api.create(&PostParams::default(), &secret).await }).await {
            Ok(_) => Ok(in_secret(&name)),
            Err(CallError::Exists) => {
                let said = delivered(&api, request, &name, job).await?;
                said.ok_or_else(|| unreachable("store the results of a job", "the Secret was deleted meanwhile"))
            }
            Err(CallError::Refused { words, .. }) => {
                Ok(format!("the service may not create Secrets in this namespace ({words}); {}", over_http(job)))
            }
            Err(error) => Err(error),
        }
    }

    /// A request that is deleted takes its wish back: its job is stopped.
    async fn stop(&self, request: JobRequest) {
        let before = request.status.clone().unwrap_or_default();
        let Some(Ok(job)) = before.job.as_deref().map(str::parse::<JobId>) else { return };
        let account = crate::assets::owner(&self.cluster, &request.namespace().unwrap_or_default()).await;
        let Ok(Some(account)) = account else { return };
        if let Err(error) = self.decide.stop(account, job).await {
            tracing::warn!(%job, error, "the job of a deleted JobRequest was not stopped");
        }
    }

    /// Writes a status, unless the request has changed. The replica that writes it follows the job from then on.
    ///
    /// # Errors
    /// [`CallError::Missing`] if the request was deleted.
    async fn write(&self, open: &mut Open, status: &JobRequestStatus) -> Result<bool, CallError> {
        Ok(self.write_whole(open, status).await?.is_some())
    }

    /// The same, with the whole of what was written.
    async fn write_whole(&self, open: &mut Open, status: &JobRequestStatus) -> Result<Option<JobRequest>, CallError> {
        let request = &open.request;
        let api: Api<JobRequest> =
            Api::namespaced(self.cluster.client().clone(), &request.namespace().unwrap_or_default());
        let mut status = json!(status);
        if let (Some(before), Some(after)) = (json!(request.status).as_object(), status.as_object_mut()) {
            for name in before.keys() {
                after.entry(name.clone()).or_insert(Value::Null);
            }
        }
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": request.resource_version(), "uid": request.uid()}, "status": status,
        }));
        let name = request.name_any();
        let written = call("write the status of a JobRequest", || async {
            api.patch_status(&name, &PatchParams::default(), &patch).await
        });
        match written.await {
            Ok(written) => {
                (open.request, open.ours) = (without_spec(written.clone()), true);
                Ok(Some(written))
            }
            Err(CallError::Conflict) => {
                open.ours = false;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// What is kept of a request in memory.
fn without_spec(request: JobRequest) -> JobRequest {
    let JobRequest { metadata, spec: _, status } = request;
    let metadata = ObjectMeta { annotations: None, managed_fields: None, ..metadata };
    JobRequest { metadata, spec: JobRequestSpec::left_out(), status }
}

/// The request as it would be sent over HTTP.
fn spec(request: &JobRequest) -> Value {
    let mut spec = json!(request.spec);
    // Absent fields of a custom resource may be there as null.
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    spec
}

fn unreachable(what: &'static str, words: &str) -> CallError {
    CallError::Unreachable { what, words: words.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::Account;

    #[test]
    fn an_account_is_no_part_of_what_is_sent() {
        let account: Account = "alice".parse().expect("an account");
        let request = JobRequest::new(
            "r",
            serde_json::from_value(json!({
                "datasets": [{"did": "did:op:abc"}], "algorithm": {"did": "did:op:def"}, "owner": account,
            }))
            .expect("a spec"),
        );
        let sent = spec(&request);
        // It is refused as an unknown field, as over HTTP.
        assert_eq!(sent["owner"], "alice");
        assert!(sent.get("limits").is_none());
    }

    #[test]
    fn what_this_replica_wrote_stays_until_the_watch_shows_something_newer() {
        let open = |version: u64, uid: &str, ours: bool| {
            let spec = json!({"datasets": [{"did": "did:op:abc"}], "algorithm": {"did": "did:op:def"}});
            let mut request = JobRequest::new("r", serde_json::from_value(spec).expect("a spec"));
            request.metadata.resource_version = Some(version.to_string());
            request.metadata.uid = Some(uid.to_owned());
            Open { ours, ..Open::shown(request) }
        };
        for (known, shown, expected) in [
            (open(5, "a", true), open(4, "a", false), None),
            (open(5, "a", true), open(5, "a", false), None),
            (open(5, "a", true), open(6, "a", false), Some((6, true))),
            (open(5, "a", false), open(6, "a", false), Some((6, false))),
            // Another request of its name: nobody has decided about it.
            (open(5, "a", true), open(6, "b", false), Some((6, false))),
        ] {
            let updated = known.updated(shown).map(|open| (version(&open.request), open.ours));
            assert_eq!(updated, expected);
        }
    }

    /// A request of which it was said that it waits.
    fn waiting() -> JobRequest {
        let spec = json!({"datasets": [{"did": "did:op:abc"}], "algorithm": {"did": "did:op:def"}});
        let mut request = JobRequest::new("r", serde_json::from_value(spec).expect("a spec"));
        request.metadata.namespace = Some("a".to_owned());
        let later = Decided::Later { reason: "the queue is full".to_owned() };
        request.status = Some(status::decided(JobRequestStatus::default(), Some(1), later, Timestamp::from_unix_ms(1)));
        request
    }

    #[test]
    fn requests_that_wait_cost_little_however_many_there_are_and_whichever_replica_says_so() {
        let at = |ms: u64| Timestamp::from_unix_ms(1_000_000 + ms);
        let mut pauses = Pauses::default();
        // Another replica has written that it waits.
        let heard = pauses.heard(&waiting(), at(0));
        assert!((at(AGAIN_MS).unix_ms()..at(AGAIN_MS + SOON_MS).unix_ms()).contains(&heard), "{heard}");
        // What it has decided is followed at once.
        let decided = JobRequest { status: None, ..waiting() };
        assert!(pauses.heard(&decided, at(0)) < at(SOON_MS).unix_ms());
        // Many in one namespace are tried no more often than each in its turn, and those of another one as before.
        assert_eq!((pauses.note("a", 100), pauses.note("b", 1)), (100 * EACH_MS, AGAIN_MS));
        assert!(pauses.heard(&waiting(), at(0)) >= at(100 * EACH_MS).unix_ms());
        assert_eq!(Next::Later.moment(at(0), 100 * EACH_MS), Some(at(100 * EACH_MS).unix_ms()));
        pauses.note("a", 2);
        assert!(pauses.heard(&waiting(), at(0)) < at(AGAIN_MS + SOON_MS).unix_ms());
    }

    #[test]
    fn what_is_asked_for_is_not_kept_in_memory() {
        let mut large = waiting();
        large.spec.algorithm.rawcode = Some("x".repeat(1_000_000));
        large.metadata.annotations = Some([("note".to_owned(), "y".repeat(100_000))].into());
        let open = Open::shown(large);
        assert!(open.waits() && json!(open.request).to_string().len() < 2000);
    }
}
