//! Outputs that no pod can check or store.

use super::*;
use crate::build::publishing::PUBLISH;

/// Drives a job whose pods for its outputs end for their memory, each time; what its first container said by then. How many there were.
fn without_outputs(cluster: &mut Cluster, said: Option<Said>) -> u32 {
    let (settings, mut patience, mut pods) = (cluster.settings(), Patience::default(), 0);
    let message = said.map(|said| StepMessage::new(cluster.spec.id, said));
    for _ in 0..500 {
        let act = plan(&cluster.world(), &settings, &mut patience, cluster.now());
        if !cluster.perform(act).expect("performed") {
            return pods;
        }
        match cluster.pods.get_mut(&PodStep::Publishing) {
            Some(pod) if !pod.keeps => {
                pods += u32::from(!matches!(pod.state, PodState::Ended(_)));
                pod.state = PodState::Ended(PodEnd::OutOfMemory);
                pod.messages.extend(message.clone().map(|message| (FILTER.to_owned(), message)));
            }
            _ => [3, 4, 5].into_iter().for_each(|fate| cluster.advance(fate)),
        }
    }
    panic!("it does not end: {:?} {:?}", cluster.stored, cluster.pods)
}

/// They are tried as often as every pod, and not for as long as the job may last; what is known of the run is kept.
#[test]
fn a_job_whose_outputs_no_pod_can_check_or_store_ends_and_its_log_is_kept() {
    for (review, said, phase) in [
        (false, None, Phase::OutputRefused),
        (false, Some(Said::Passed { checked: LIST }), Phase::PublishingFailed),
        // It is not shown to a reviewer what is not there.
        (true, Some(Said::Passed { checked: LIST }), Phase::OutputRefused),
    ] {
        let mut cluster = Cluster::new(review);
        let pods = without_outputs(&mut cluster, said);
        let status = &cluster.stored.status;
        assert_eq!((status.phase, pods, cluster.kept), (phase, MOST_ATTEMPTS, true), "{status:?}");
        assert_eq!(status.reason.as_ref().map(Reason::fault), Some(Fault::System), "{status:?}");
        assert!(cluster.pods.is_empty() && !cluster.has_volume);
    }
}

/// What the checks said counts, though the outputs cannot be stored; the program that stores them has kept the log before.
#[test]
fn outputs_that_are_refused_end_a_job_at_once() {
    let mut cluster = Cluster::new(false);
    to_phase(&mut cluster, Phase::Configuring);
    while !cluster.pods.contains_key(&PodStep::Publishing) {
        let act = plan(&cluster.world(), &testing::settings(), &mut Patience::default(), cluster.now());
        cluster.perform(act).expect("performed");
        [3, 4, 5].into_iter().for_each(|fate| cluster.advance(fate));
    }
    let said = Said::Failed {
        step: StepName::Filter,
        failure: StepFailure::Outputs,
        rule: Some("names".to_owned()),
        reason: Reason::new("a name that is not allowed", Fault::Algorithm),
        detail: None,
    };
    let message = StepMessage::new(cluster.spec.id, said);
    let pod = cluster.pods.get_mut(&PodStep::Publishing).expect("a pod");
    pod.state = PodState::Ended(PodEnd::Exit(1));
    pod.messages.extend([FILTER, PUBLISH].map(|name| (name.to_owned(), message.clone())));
    cluster.kept = true;
    let created = cluster.created;
    to_its_end(&mut cluster);
    let status = &cluster.stored.status;
    assert_eq!((status.phase, cluster.created), (Phase::OutputRefused, created), "{status:?}");
    assert_eq!(cluster.stored.rule.as_deref(), Some("names"));
}
