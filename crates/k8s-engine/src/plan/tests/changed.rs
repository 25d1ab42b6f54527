//! Jobs whose pods the cluster changes when they are created: each of those is deleted at once, and another one would be changed as
//! well.

use super::*;

const WHAT: &str = "an admission webhook added the container `a`";

/// Drives a job to its end. The pods of some steps are gone as soon as they are created, and the engine remembers that.
fn with_changed_pods(cluster: &mut Cluster) {
    let (settings, mut patience) = (cluster.settings(), Patience::default());
    let mut remembered: BTreeSet<PodStep> = BTreeSet::new();
    for _ in 0..200 {
        let mut world = cluster.world();
        for step in remembered.iter().filter(|_| !cluster.stored.status.phase.has_ended()) {
            let facts = PodFacts {
                uid: String::new(),
                attempt: cluster.stored.attempts.of(*step),
                node: None,
                keeps: false,
                is_container: false,
                created: cluster.now(),
                state: PodState::Ended(PodEnd::Changed(WHAT.to_owned())),
                messages: BTreeMap::new(),
            };
            world.pods.insert(*step, facts);
        }
        let act = plan(&world, &settings, &mut patience, cluster.now());
        let waits = matches!(act, Act::Wait { .. });
        if !cluster.perform(act).expect("performed") {
            return;
        }
        for step in cluster.changed.clone() {
            if cluster.pods.remove(&step).is_some() {
                remembered.insert(step);
            }
        }
        if waits {
            cluster.advance_each();
        }
    }
    panic!("it does not end: {:?} {:?}", cluster.stored, cluster.pods)
}

#[test]
fn pods_that_the_cluster_changes_end_their_job_and_are_not_created_again_and_again() {
    use PodStep::{Algorithm, Configuration, Publishing};
    for early in [false, true] {
        for (changed, phase) in [
            (vec![Configuration], Phase::DataProvisioningFailed),
            (vec![Algorithm], Phase::AlgorithmFailed),
            (vec![Publishing], Phase::OutputRefused),
            (vec![Algorithm, Publishing], Phase::AlgorithmFailed),
            (vec![Configuration, Algorithm, Publishing], Phase::DataProvisioningFailed),
        ] {
            let mut cluster = Cluster { early, changed: changed.clone(), ..Cluster::new(false) };
            with_changed_pods(&mut cluster);
            let status = &cluster.stored.status;
            assert_eq!(status.phase, phase, "{changed:?}, early: {early}");
            let reason = status.reason.as_ref().expect("a reason");
            assert!(reason.text().contains(WHAT) && reason.fault() == Fault::System, "{changed:?}: {}", reason.text());
            // One of each step, and one that keeps the log.
            assert!(cluster.created <= 4, "{changed:?}, early: {early}: {} pods", cluster.created);
            assert!(cluster.pods.is_empty() && !cluster.has_volume);
        }
    }
}
