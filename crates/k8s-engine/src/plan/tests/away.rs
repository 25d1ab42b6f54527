//! Jobs whose result store is away.

use super::*;
use cloister_model::StoreWait;

/// Each attempt has a pod of its own. None of them counts as one that came to nothing.
#[test]
fn a_job_whose_store_is_away_keeps_its_outputs_and_tries_again() {
    for (review, early) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut cluster = Cluster { early, store_away: 5, ..Cluster::new(review) };
        let phases = to_its_end(&mut cluster);
        assert_eq!(phases.last(), Some(&Phase::Finished), "{:?}", cluster.stored.status.reason);
        assert_eq!(phases.contains(&Phase::InReview), review);
        assert_eq!((cluster.created, cluster.begun, cluster.kept), (3 + 5, 1, true));
        let Attempts { publishing, store_away, .. } = cluster.stored.attempts;
        assert_eq!((publishing, store_away, cluster.stored.attempts.counted(PodStep::Publishing)), (6, 5, 1));
        assert_eq!(cluster.stored.status.store_wait, None);
        assert!(cluster.pods.is_empty() && !cluster.has_volume);
    }
}

/// Drives a job until it waits for the result store and its pod of publishing is gone.
fn waiting(review: bool) -> (Cluster, StoreWait) {
    let mut cluster = Cluster { store_away: u32::MAX, ..Cluster::new(review) };
    for _ in 0..100 {
        if let Some(wait) = cluster.stored.status.store_wait.clone()
            && !cluster.pods.contains_key(&PodStep::Publishing)
        {
            return (cluster, wait);
        }
        let act = plan(&cluster.world(), &testing::settings(), &mut Patience::default(), cluster.now());
        cluster.perform(act).expect("performed");
        cluster.advance_each();
    }
    panic!("it does not wait: {:?} {:?}", cluster.stored, cluster.pods)
}

#[test]
fn a_job_that_waits_for_its_store_has_a_volume_and_no_pod_of_publishing_until_the_pause_is_over_or_somebody_asks() {
    for review in [false, true] {
        let (mut cluster, wait) = waiting(review);
        let phase = if review { Phase::Filtering } else { Phase::Publishing };
        assert_eq!((cluster.stored.status.phase, cluster.has_volume, wait.failures), (phase, true, 1));
        assert_eq!((wait.why.as_str(), wait.since < wait.next && wait.next < wait.until), ("it is away", true));
        let act =
            |cluster: &Cluster| plan(&cluster.world(), &cluster.settings(), &mut Patience::default(), cluster.now());
        let pause = Act::Wait { text: STORE_IS_AWAY.to_owned(), until: Some(wait.next) };
        assert_eq!(act(&cluster), pause);
        // As the resource shows it, once somebody has asked.
        cluster.stored.status.store_wait = Some(StoreWait { next: cluster.now(), ..wait });
        let others_first = World { may_store: false, ..cluster.world() };
        let waits = plan(&others_first, &cluster.settings(), &mut Patience::default(), cluster.now());
        assert!(matches!(&waits, Act::Wait { until: Some(until), .. } if *until > cluster.now()), "{waits:?}");
        let created = act(&cluster);
        assert!(matches!(&created, Act::CreatePods { pods, .. } if pods[0].0 == PodStep::Publishing), "{created:?}");
    }
}

#[test]
fn a_job_whose_store_is_away_for_longer_than_its_time_limit_expires() {
    for review in [false, true] {
        let (mut cluster, wait) = waiting(review);
        // The time limit of everything before has passed long ago, and ends nothing any more.
        assert!(wait.until.unix_ms() > cluster.spec.created.unix_ms() + cluster.spec.times.total_ms);
        cluster.now = wait.until.unix_ms() - 1;
        let act = plan(&cluster.world(), &testing::settings(), &mut Patience::default(), cluster.now());
        assert!(matches!(act, Act::CreatePods { .. }), "{act:?}");
        cluster.now += 1;
        let phases = to_its_end(&mut cluster);
        assert_eq!((phases.last(), cluster.kept), (Some(&Phase::Expired), true));
        let reason = cluster.stored.status.reason.as_ref().expect("a reason").text();
        assert!(reason.contains("publishing time limit: it is away"), "{reason}");
    }
}
