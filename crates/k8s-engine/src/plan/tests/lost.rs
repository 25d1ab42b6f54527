//! Jobs whose node does not answer any more.

use super::*;

/// Drives a job whose node does not answer any more, from the deletion of its pods on: its acts but waits, and why it ended.
fn with_a_silent_node(cluster: &mut Cluster) -> (Vec<Act>, Option<Reason>) {
    let (since, grace_seconds) = (cluster.now(), 10);
    for pod in cluster.pods.values_mut() {
        if !matches!(pod.state, PodState::Ended(_)) {
            pod.state = PodState::Leaving { since, grace_seconds };
        }
    }
    let (mut acts, mut patience) = (Vec::new(), Patience::default());
    for _ in 0..20 {
        let act = plan(&cluster.world(), &testing::settings(), &mut patience, cluster.now());
        let given_up = since.unix_ms() + 70_000;
        if cluster.now < given_up {
            let looks_in_time = matches!(act, Act::Wait { until: Some(until), .. } if until.unix_ms() <= given_up);
            assert!(looks_in_time, "the grace period and a minute: {act:?}");
        }
        if !matches!(act, Act::Wait { .. }) {
            acts.push(act.clone());
        }
        cluster.perform(act).expect("performed");
        if cluster.stored.status.phase.has_ended() {
            return (acts, cluster.stored.status.reason.clone());
        }
    }
    panic!("it does not end: {:?} {:?}", cluster.stored, cluster.pods)
}

/// The algorithm may still run there: nothing else of the job is begun, and no pod waits for the volume.
#[test]
fn a_job_whose_node_does_not_answer_ends_without_another_pod() {
    for stop in [false, true] {
        let mut cluster = Cluster::new(false);
        while !matches!(cluster.pods.get(&PodStep::Algorithm).map(|pod| &pod.state), Some(PodState::Running)) {
            let act = plan(&cluster.world(), &testing::settings(), &mut Patience::default(), cluster.now());
            cluster.perform(act).expect("performed");
            cluster.advance(5);
        }
        let created = cluster.created;
        cluster.stop = stop;
        let (acts, reason) = with_a_silent_node(&mut cluster);
        assert!(matches!(acts.as_slice(), [Act::Store { .. }]), "{acts:?}");
        let expected = if stop { Phase::Stopped } else { Phase::AlgorithmFailed };
        assert_eq!((cluster.stored.status.phase, cluster.created, cluster.begun), (expected, created, 1));
        let reason = reason.expect("a reason");
        assert!(stop || reason.text().contains("its node does not answer"), "{}", reason.text());
        assert!(stop || reason.fault() == Fault::System);
        // The node is back: its pods go, and then the volume.
        to_its_end(&mut cluster);
        assert!(cluster.pods.is_empty() && !cluster.has_volume);
    }
}

/// A pod that was given up before its node fell silent has the name of the next one, and no job waits for it without end.
#[test]
fn a_pod_of_an_earlier_attempt_on_a_silent_node_ends_the_job() {
    let mut cluster = with_a_pod_of_an_earlier_attempt();
    let (acts, reason) = with_a_silent_node(&mut cluster);
    assert!(matches!(acts.as_slice(), [Act::Store { .. }]), "{acts:?}");
    assert_eq!(cluster.stored.status.phase, Phase::DataProvisioningFailed);
    assert!(reason.is_some_and(|reason| reason.text().contains("its node does not answer")));
}
