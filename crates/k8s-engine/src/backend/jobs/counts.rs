//! How many jobs there are in each environment, and how many bytes of results each account keeps. A submission asks for both, and there
//! may be a hundred thousand jobs: so both are kept up to date with each change of a job, and nobody passes over the jobs to count them.

use super::KnownJob;
use crate::cluster::Observer;
use cloister_model::{Account, EnvironmentId, JobCard, JobId, Phase, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// No id of a job comes after this one.
const LAST: JobId = JobId::from_bytes([u8::MAX; 16]);

/// Where a process knows a job from. One that has just been archived is in both, and counts as the API server has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend) enum Place {
    /// The API server.
    Cluster,
    /// The archive.
    Archive,
}

/// What is counted of a job.
#[derive(Debug)]
struct Counted {
    environment: EnvironmentId,
    /// It names the owner, and is shared with what else is known of the job.
    card: Arc<JobCard>,
    phase: Phase,
    /// The queue that it waits in; none: it does not wait.
    waits_in: Option<String>,
    /// Bytes of its results.
    result_bytes: u64,
    /// When its results do not count any more.
    expires: Option<Timestamp>,
    /// Whether it was removed: it is in no count.
    removed: bool,
}

impl Counted {
    fn of(known: &KnownJob) -> Self {
        let KnownJob { status, card, environment, queue, removed, results, .. } = known;
        let waits = status.phase == Phase::Queued && status.stop_requested.is_none();
        Self {
            environment: environment.clone(),
            card: Arc::clone(card),
            phase: status.phase,
            waits_in: waits.then(|| queue.clone()),
            result_bytes: results.as_ref().map_or(0, |list| list.bytes),
            expires: status.expires,
            removed: *removed,
        }
    }
}

/// A job in both places.
#[derive(Debug, Default)]
struct Places {
    cluster: Option<Counted>,
    archive: Option<Counted>,
}

impl Places {
    /// What counts.
    fn counted(&self) -> Option<&Counted> {
        self.cluster.as_ref().or(self.archive.as_ref())
    }
}

/// The jobs of an environment.
#[derive(Debug, Default)]
struct Load {
    phases: BTreeMap<Phase, u64>,
    waiting: u64,
    /// Those that wait, by their queues.
    queues: BTreeMap<String, u64>,
}

/// The counts. At any time they are what a pass over all jobs would give.
#[derive(Debug)]
pub(in crate::backend) struct Counts {
    jobs: BTreeMap<JobId, Places>,
    environments: BTreeMap<EnvironmentId, Load>,
    /// Bytes of the results of each account at the moment `present`. The sum of many jobs may be more than 64 bits hold.
    results: BTreeMap<Account, u128>,
    /// Jobs with results that expire or have expired, by the moment.
    expiring: BTreeSet<(Timestamp, JobId)>,
    present: Timestamp,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            jobs: BTreeMap::new(),
            environments: BTreeMap::new(),
            results: BTreeMap::new(),
            expiring: BTreeSet::new(),
            present: Timestamp::from_unix_ms(0),
        }
    }
}

impl Counts {
    /// Sets what is known of a job in one of the places; none: it is not there, or not any more.
    pub(in crate::backend) fn set(&mut self, place: Place, job: JobId, known: Option<&KnownJob>) {
        let mut places = self.jobs.remove(&job).unwrap_or_default();
        if let Some(before) = places.counted() {
            self.leave(job, before);
        }
        let here = match place {
            Place::Cluster => &mut places.cluster,
            Place::Archive => &mut places.archive,
        };
        *here = known.map(Counted::of);
        if let Some(after) = places.counted() {
            self.enter(job, after);
            self.jobs.insert(job, places);
        }
    }

    /// How many jobs of an environment are in each phase, without removed ones.
    pub(in crate::backend) fn phases(&self, environment: &EnvironmentId) -> BTreeMap<Phase, u64> {
        self.environments.get(environment).map(|load| load.phases.clone()).unwrap_or_default()
    }

    /// How many jobs wait in an environment, and how many of them in this queue. A job that was asked to stop does not wait.
    pub(in crate::backend) fn waiting(&self, environment: &EnvironmentId, queue: &str) -> (u64, u64) {
        let load = self.environments.get(environment);
        load.map_or((0, 0), |load| (load.waiting, load.queues.get(queue).copied().unwrap_or(0)))
    }

    /// Bytes of the results of an account at this moment, without those of jobs that were removed or have expired.
    pub(in crate::backend) fn result_bytes(&mut self, owner: &Account, present: Timestamp) -> u64 {
        self.move_to(present);
        self.results.get(owner).map_or(0, |bytes| u64::try_from(*bytes).unwrap_or(u64::MAX))
    }

    fn enter(&mut self, job: JobId, counted: &Counted) {
        if counted.removed {
            return;
        }
        let load = self.environments.entry(counted.environment.clone()).or_default();
        more(&mut load.phases, &counted.phase);
        if let Some(queue) = &counted.waits_in {
            load.waiting += 1;
            more(&mut load.queues, queue);
        }
        if let Some(expires) = counted.expires.filter(|_| counted.result_bytes > 0) {
            self.expiring.insert((expires, job));
        }
        if counted.expires.is_none_or(|expires| expires > self.present) {
            add_results(&mut self.results, counted);
        }
    }

    fn leave(&mut self, job: JobId, counted: &Counted) {
        if counted.removed {
            return;
        }
        if let Some(load) = self.environments.get_mut(&counted.environment) {
            fewer(&mut load.phases, &counted.phase);
            if let Some(queue) = &counted.waits_in {
                load.waiting = load.waiting.saturating_sub(1);
                fewer(&mut load.queues, queue);
            }
            if load.phases.is_empty() {
                self.environments.remove(&counted.environment);
            }
        }
        if let Some(expires) = counted.expires {
            self.expiring.remove(&(expires, job));
        }
        if counted.expires.is_none_or(|expires| expires > self.present) {
            take_results(&mut self.results, counted);
        }
    }

    /// Makes `results` those of another moment, which may be an earlier one: the clock may be set.
    fn move_to(&mut self, present: Timestamp) {
        let (before, after) = (self.present.min(present), self.present.max(present));
        if before == after {
            return;
        }
        // A job counts until the moment before that in which it expires.
        let between = self.expiring.range((Bound::Excluded((before, LAST)), Bound::Included((after, LAST))));
        for (_, job) in between {
            let Some(counted) = self.jobs.get(job).and_then(Places::counted) else { continue };
            if present == after {
                take_results(&mut self.results, counted);
            } else {
                add_results(&mut self.results, counted);
            }
        }
        self.present = present;
    }
}

fn more<K: Ord + Clone>(counts: &mut BTreeMap<K, u64>, key: &K) {
    *counts.entry(key.clone()).or_default() += 1;
}

/// The opposite of [`more`]. What nothing is left of is forgotten.
fn fewer<K: Ord>(counts: &mut BTreeMap<K, u64>, key: &K) {
    let Some(count) = counts.get_mut(key) else { return };
    *count = count.saturating_sub(1);
    if *count == 0 {
        counts.remove(key);
    }
}

fn add_results(results: &mut BTreeMap<Account, u128>, counted: &Counted) {
    if counted.result_bytes > 0 {
        *results.entry(counted.card.record.owner.clone()).or_default() += u128::from(counted.result_bytes);
    }
}

/// The opposite of [`add_results`].
fn take_results(results: &mut BTreeMap<Account, u128>, counted: &Counted) {
    let owner = &counted.card.record.owner;
    let Some(bytes) = results.get_mut(owner) else { return };
    *bytes = bytes.saturating_sub(u128::from(counted.result_bytes));
    if *bytes == 0 {
        results.remove(owner);
    }
}

/// The counts of a process. Their lock is taken last: nothing else is locked while it is held.
#[derive(Clone, Default)]
pub(in crate::backend) struct SharedCounts(Arc<Mutex<Counts>>);

impl fmt::Debug for SharedCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCounts").finish_non_exhaustive()
    }
}

impl SharedCounts {
    pub(in crate::backend) fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a watch of the jobs in the API server tells of each change.
    pub(in crate::backend) fn observer(&self) -> Observer<KnownJob> {
        let counts = self.clone();
        Box::new(move |before: Option<&KnownJob>, after: Option<&KnownJob>| {
            if let Some(known) = after.or(before) {
                counts.lock().set(Place::Cluster, known.status.id, after);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{JobStatus, Labels, ListDigest, Sha256};
    use cloister_testkit::{account, job, job_id};

    const ENVIRONMENTS: [&str; 2] = ["local", "gpu"];
    const OWNERS: [&str; 3] = ["alice", "bob", "carol"];

    /// Numbers without an order, the same ones in each run.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % bound
        }

        fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
            choices[usize::try_from(self.below(choices.len() as u64)).expect("a few")]
        }

        fn moment(&mut self) -> Timestamp {
            Timestamp::from_unix_ms(self.below(50))
        }

        /// Any state of the job with this number. It may change everything but its owner.
        fn known(&mut self, number: u64) -> KnownJob {
            let owner = OWNERS[usize::try_from(number % 3).expect("a few")];
            let mut spec = job(number, Timestamp::from_unix_ms(0));
            spec.record.owner = account(owner);
            let mut status = JobStatus::queued(spec.id, Labels::new(), spec.created);
            status.phase = self.one_of(&[Phase::Queued, Phase::Queued, Phase::Running, Phase::Finished]);
            status.stop_requested = Some(spec.created).filter(|_| self.below(4) == 0);
            status.expires = Some(self.moment()).filter(|_| self.below(3) > 0);
            let bytes = self.one_of(&[0, 1, 1000, u64::MAX]);
            let list = ListDigest { sha256: Sha256::of(b"a list"), files: 1, bytes };
            KnownJob {
                status,
                card: Arc::new(spec.card()),
                environment: self.one_of(&ENVIRONMENTS).parse().expect("the name of an environment"),
                queue: self.one_of(&OWNERS).to_owned(),
                ahead: None,
                explanation: None,
                report: None,
                results: Some(list).filter(|_| self.below(3) > 0),
                awaits_registration: false,
                log_discarded: false,
                removed: self.below(5) == 0,
                version: 1,
                uid: String::new(),
            }
        }
    }

    /// Jobs as they are in both places, to pass over.
    #[derive(Default)]
    struct Jobs {
        cluster: BTreeMap<JobId, KnownJob>,
        archive: BTreeMap<JobId, KnownJob>,
    }

    impl Jobs {
        fn set(&mut self, place: Place, job: JobId, known: Option<&KnownJob>) {
            let jobs = match place {
                Place::Cluster => &mut self.cluster,
                Place::Archive => &mut self.archive,
            };
            match known {
                Some(known) => jobs.insert(job, known.clone()),
                None => jobs.remove(&job),
            };
        }

        fn those(&self, wanted: impl Fn(&KnownJob) -> bool) -> Vec<&KnownJob> {
            let archived = self.archive.iter().filter(|(job, _)| !self.cluster.contains_key(*job));
            let all = self.cluster.values().chain(archived.map(|(_, known)| known));
            all.filter(|known| wanted(known)).collect()
        }
    }

    fn assert_same(counts: &mut Counts, jobs: &Jobs, present: Timestamp, step: u64) {
        for name in ENVIRONMENTS {
            let environment: EnvironmentId = name.parse().expect("the name of an environment");
            let there = jobs.those(|known| known.environment == environment && !known.removed);
            let mut phases = BTreeMap::new();
            for known in &there {
                *phases.entry(known.status.phase).or_insert(0) += 1;
            }
            assert_eq!(counts.phases(&environment), phases, "step {step}, {name}");
            let waits = |known: &KnownJob| known.status.phase == Phase::Queued && known.status.stop_requested.is_none();
            let waiting = there.iter().filter(|known| waits(known)).count() as u64;
            for queue in OWNERS {
                let of_queue = there.iter().filter(|known| waits(known) && known.queue == queue).count() as u64;
                assert_eq!(counts.waiting(&environment, queue), (waiting, of_queue), "step {step}, {name}, {queue}");
            }
        }
        for name in OWNERS {
            let owner = account(name);
            let kept = jobs.those(|known| known.card.record.owner == owner && !known.is_absent(present));
            let bytes = kept.iter().filter_map(|known| known.results.map(|list| list.bytes));
            let bytes = bytes.fold(0, u64::saturating_add);
            assert_eq!(counts.result_bytes(&owner, present), bytes, "step {step}, {name}");
        }
    }

    #[test]
    fn counts_are_what_a_pass_over_all_jobs_gives() {
        for seed in 0..8 {
            let (mut numbers, mut counts, mut jobs) = (Numbers(seed), Counts::default(), Jobs::default());
            for step in 0..1000 {
                let number = numbers.below(20);
                let place = numbers.one_of(&[Place::Cluster, Place::Archive]);
                let known = if numbers.below(3) == 0 { None } else { Some(numbers.known(number)) };
                counts.set(place, job_id(number), known.as_ref());
                jobs.set(place, job_id(number), known.as_ref());
                // The clock may be set, too.
                assert_same(&mut counts, &jobs, numbers.moment(), step);
            }
            for number in 0..20 {
                for place in [Place::Cluster, Place::Archive] {
                    counts.set(place, job_id(number), None);
                }
            }
            // Nothing is left of what is gone.
            let Counts { jobs, environments, results, expiring, present: _ } = counts;
            assert!(jobs.is_empty() && environments.is_empty() && results.is_empty() && expiring.is_empty());
        }
    }

    #[test]
    fn a_job_that_is_archived_counts_once_and_as_the_api_server_has_it() {
        let (mut numbers, shared) = (Numbers(1), SharedCounts::default());
        let (alice, present) = (account("alice"), Timestamp::from_unix_ms(9));
        let mut known = numbers.known(0);
        (known.removed, known.status.expires) = (false, None);
        known.results = Some(ListDigest { sha256: Sha256::of(b"a list"), files: 1, bytes: 7 });
        let observer = shared.observer();
        observer(None, Some(&known));
        shared.lock().set(Place::Archive, known.status.id, Some(&known));
        assert_eq!(shared.lock().result_bytes(&alice, present), 7);
        let removed = KnownJob { removed: true, ..known.clone() };
        observer(Some(&known), Some(&removed));
        assert_eq!(shared.lock().result_bytes(&alice, present), 0);
        // It has left the API server; that it was removed is in the archive from now on.
        shared.lock().set(Place::Archive, known.status.id, Some(&removed));
        observer(Some(&removed), None);
        assert_eq!(shared.lock().result_bytes(&alice, present), 0);
        shared.lock().set(Place::Archive, known.status.id, Some(&known));
        assert_eq!(shared.lock().result_bytes(&alice, present), 7);
    }
}
