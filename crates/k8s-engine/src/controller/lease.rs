//! Which of several controllers works: the one that holds a Lease.
//!
//! It saves work and is not needed for what is right: two controllers at a time do no harm. Clocks of two machines are never
//! compared: a holder is taken over when its record has not changed for the lease's duration, as the one that takes over has
//! seen itself.

use crate::{
    clock,
    cluster::{CallError, Cluster, call},
};
use cloister_model::escape;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The name of the Lease, in the namespace of the programs.
pub const LEASE: &str = "cloister-engine";

/// For how long a record must not change before its holder counts as gone.
const DURATION: Duration = Duration::from_secs(15);

/// How often the holder renews its record.
const RENEW: Duration = Duration::from_secs(5);

/// How often the others look, and how soon a renewal that failed is tried again.
const LOOK: Duration = Duration::from_secs(1);

/// One of the controllers that may hold the lease. [`Candidate::acquire`] and [`Candidate::keep`] alternate.
#[derive(Debug)]
pub struct Candidate {
    api: Api<Lease>,
    identity: String,
    seen: Option<Seen>,
    /// What this candidate has written last, and when it began to write it.
    held: Option<(Lease, Instant)>,
}

/// A record of the lease, as it was seen first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    version: String,
    since: Instant,
}

/// What a candidate that does not hold the lease does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Take it.
    Take,
    /// Look again later.
    Wait,
}

/// Why a holder does not hold it any more.
#[derive(Debug)]
enum NotRenewed {
    /// Another controller has it, or it was deleted.
    Lost,
    Failed(CallError),
}

impl From<CallError> for NotRenewed {
    fn from(error: CallError) -> Self {
        Self::Failed(error)
    }
}

/// Decides on the record as it is now. `seen` is the last one that was seen, and since when.
fn decide(identity: &str, record: Option<&Lease>, seen: Option<&Seen>, now: Instant) -> Step {
    let Some(record) = record else { return Step::Take };
    match holder(record) {
        None => Step::Take,
        // A write of ours whose answer was lost.
        Some(holder) if holder == identity => Step::Take,
        Some(_) => {
            let unchanged = seen.filter(|seen| seen.version == version(record));
            if unchanged.is_some_and(|seen| now.duration_since(seen.since) >= DURATION) {
                Step::Take
            } else {
                Step::Wait
            }
        }
    }
}

/// What is remembered of a record.
fn see(record: Option<&Lease>, seen: Option<Seen>, now: Instant) -> Option<Seen> {
    let version = version(record?);
    Some(seen.filter(|seen| seen.version == version).unwrap_or(Seen { version, since: now }))
}

/// Who holds it; none: it was given up.
fn holder(record: &Lease) -> Option<&str> {
    record.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

fn version(record: &Lease) -> String {
    record.metadata.resource_version.clone().unwrap_or_default()
}

/// The record that makes this candidate the holder, after another one.
fn record(identity: &str, before: Option<&Lease>, now: Timestamp) -> Lease {
    let earlier = before.and_then(|before| before.spec.clone()).unwrap_or_default();
    let stays = earlier.holder_identity.as_deref() == Some(identity);
    let changes = earlier.lease_transitions.unwrap_or(0);
    Lease {
        metadata: metadata(before),
        spec: Some(LeaseSpec {
            holder_identity: Some(identity.to_owned()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: earlier.acquire_time.filter(|_| stays).or(Some(MicroTime(now))),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(if stays || before.is_none() { changes } else { changes.saturating_add(1) }),
            ..LeaseSpec::default()
        }),
    }
}

/// The version is the condition of the write.
fn metadata(before: Option<&Lease>) -> ObjectMeta {
    match before {
        Some(before) => before.metadata.clone(),
        None => ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() },
    }
}

/// The calendar's time, for people: nothing is decided by it.
fn calendar() -> Timestamp {
    i64::try_from(clock::now().unix_ms()).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default()
}

impl Candidate {
    /// A candidate. Every process has an identity that no other one ever had.
    #[must_use]
    pub fn new(cluster: &Cluster, identity: String) -> Self {
        Self { api: cluster.system(), identity, seen: None, held: None }
    }

    /// Waits until this candidate holds the lease.
    pub async fn acquire(&mut self) {
        let mut reported = None;
        loop {
            match self.look().await {
                Ok(None) => return,
                Ok(Some(other)) => {
                    if reported.as_ref() != Some(&other) {
                        let holder = escape(other.as_bytes(), 128).to_string();
                        tracing::info!(holder, "another controller works; this one stands by");
                        reported = Some(other);
                    }
                }
                Err(error) => tracing::warn!(%error, "the lease cannot be taken; it is tried again"),
            }
            sleep(LOOK).await;
        }
    }

    /// Looks once, and takes it if it may. None: it holds it; otherwise who does.
    async fn look(&mut self) -> Result<Option<String>, CallError> {
        let found = call("read the lease", || async { self.api.get_opt(LEASE).await }).await?;
        let now = Instant::now();
        let step = decide(&self.identity, found.as_ref(), self.seen.as_ref(), now);
        self.seen = see(found.as_ref(), self.seen.take(), now);
        if step == Step::Wait {
            return Ok(Some(found.as_ref().and_then(holder).unwrap_or_default().to_owned()));
        }
        match self.write(found.as_ref()).await {
            // Another one was first.
            Err(CallError::Conflict | CallError::Exists | CallError::Missing) => Ok(Some(String::new())),
            answer => answer.map(|()| None),
        }
    }

    async fn write(&mut self, before: Option<&Lease>) -> Result<(), CallError> {
        let began = Instant::now();
        let wanted = record(&self.identity, before, calendar());
        let written = match before {
            None => {
                call("create the lease", || async { self.api.create(&PostParams::default(), &wanted).await }).await?
            }
            Some(_) => {
                let params = PostParams::default();
                call("write the lease", || async { self.api.replace(LEASE, &params, &wanted).await }).await?
            }
        };
        self.held = Some((written, began));
        Ok(())
    }

    /// Renews the lease for as long as this candidate holds it. Done when it is lost: another one has it, or it could not be
    /// renewed within its duration.
    pub async fn keep(&mut self) {
        let mut pause = RENEW;
        while let Some((_, renewed)) = &self.held {
            let (end, now) = (*renewed + DURATION, Instant::now());
            sleep_until((now + pause).min(end)).await;
            let left = end.saturating_duration_since(Instant::now());
            match timeout(left, self.renew()).await {
                Ok(Ok(())) => pause = RENEW,
                Ok(Err(NotRenewed::Lost)) => {
                    tracing::warn!("another controller has taken the lease");
                    break;
                }
                Ok(Err(NotRenewed::Failed(error))) if !left.is_zero() => {
                    tracing::warn!(%error, "the lease could not be renewed; it is tried again");
                    pause = LOOK;
                }
                Ok(Err(NotRenewed::Failed(_))) | Err(_) => {
                    tracing::warn!("the lease could not be renewed in time");
                    break;
                }
            }
        }
        self.held = None;
        self.seen = None;
    }

    async fn renew(&mut self) -> Result<(), NotRenewed> {
        let before = self.held.as_ref().map(|(lease, _)| lease.clone());
        match self.write(before.as_ref()).await {
            Err(CallError::Conflict | CallError::Missing | CallError::Exists) => {}
            answer => return Ok(answer?),
        }
        // An earlier write of ours whose answer was lost, or an annotation that another program made.
        let found = call("read the lease", || async { self.api.get_opt(LEASE).await }).await?;
        let Some(found) = found.filter(|found| holder(found) == Some(&self.identity)) else {
            return Err(NotRenewed::Lost);
        };
        Ok(self.write(Some(&found)).await?)
    }

    /// Gives the lease up, so that another one need not wait. If that fails, it waits for the lease's duration.
    pub async fn release(&mut self) {
        let Some((lease, _)) = self.held.take() else { return };
        let given_up = match self.give_up(lease).await {
            // A renewal whose answer was not waited for.
            Err(CallError::Conflict) => {
                match call("read the lease", || async { self.api.get_opt(LEASE).await }).await {
                    Ok(Some(found)) if holder(&found) == Some(&self.identity) => self.give_up(found).await,
                    answer => answer.map(drop),
                }
            }
            answer => answer,
        };
        match given_up {
            Ok(()) | Err(CallError::Conflict | CallError::Missing) => {}
            Err(error) => {
                tracing::warn!(%error, "the lease could not be given up; another controller waits for its end");
            }
        }
    }

    async fn give_up(&self, mut lease: Lease) -> Result<(), CallError> {
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        let params = PostParams::default();
        call("give up the lease", || async { self.api.replace(LEASE, &params, &lease).await }).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: Option<&str>, version: &str) -> Lease {
        let metadata = ObjectMeta { resource_version: Some(version.to_owned()), ..ObjectMeta::default() };
        let spec = LeaseSpec { holder_identity: holder.map(str::to_owned), ..LeaseSpec::default() };
        Lease { metadata, spec: Some(spec) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_taken_if_it_is_free_or_its_holder_was_seen_to_be_silent() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let seen = |version: &str| Some(Seen { version: version.to_owned(), since: start });
        for (what, record, seen, now, expected) in [
            ("there is none", None, None, 0, Step::Take),
            ("given up", Some(lease(Some(""), "1")), None, 0, Step::Take),
            ("never held", Some(lease(None, "1")), None, 0, Step::Take),
            ("our own", Some(lease(Some("a"), "1")), None, 0, Step::Take),
            ("seen for the first time", Some(lease(Some("b"), "1")), None, 1000, Step::Wait),
            ("not silent for long enough", Some(lease(Some("b"), "1")), seen("1"), 14, Step::Wait),
            ("silent", Some(lease(Some("b"), "1")), seen("1"), 15, Step::Take),
            ("renewed", Some(lease(Some("b"), "2")), seen("1"), 1000, Step::Wait),
            ("another holder", Some(lease(Some("c"), "2")), seen("1"), 1000, Step::Wait),
        ] {
            assert_eq!(decide("a", record.as_ref(), seen.as_ref(), after(now)), expected, "{what}");
        }
        let first = see(Some(&lease(Some("b"), "1")), None, start);
        assert_eq!(see(Some(&lease(Some("b"), "1")), first.clone(), after(9)), first);
        assert_eq!(see(Some(&lease(Some("b"), "2")), first.clone(), after(9)).map(|seen| seen.since), Some(after(9)));
        assert_eq!(see(None, first, after(9)), None);
    }

    #[test]
    fn a_record_counts_its_holders() {
        let at = Timestamp::from_second(5).expect("a moment");
        let later = Timestamp::from_second(9).expect("a moment");
        let first = record("a", None, at);
        let spec = |lease: &Lease| lease.spec.clone().expect("a spec");
        assert_eq!((spec(&first).lease_transitions, spec(&first).lease_duration_seconds), (Some(0), Some(15)));
        let renewed = record("a", Some(&first), later);
        assert_eq!((spec(&renewed).lease_transitions, spec(&renewed).acquire_time), (Some(0), Some(MicroTime(at))));
        assert_eq!(spec(&renewed).renew_time, Some(MicroTime(later)));
        let taken = record("b", Some(&renewed), later);
        assert_eq!((spec(&taken).lease_transitions, spec(&taken).acquire_time), (Some(1), Some(MicroTime(later))));
    }
}
