//! What the runs of jobs say of the kernels of their nodes, in environments to which no canary is sent. Pure.
//!
//! The sandbox of a pod runs nothing unless every wall of its own stands. So a run says all that there is to know: where it began, the
//! kernel lacks none of them, and otherwise the sandbox says which. Nothing is sent for that, and nothing is stored of nodes that lack
//! nothing.

use super::{
    canary::{MOST_NODES, sends_canaries},
    pod::{PodEnd, PodFacts, PodState},
};
use crate::{
    build::algorithm,
    resources::{Condition, ConditionStatus, Environment, FoundWall, Isolation, KERNELS_COMPLETE, NodeIsolation},
};
use cloister_model::{Said, Timestamp, escape};
use std::collections::BTreeMap;

/// The code that the sandbox exits with if a wall is missing.
const NOT_ISOLATED: i32 = 5;

/// The code that it exits with if an earlier run has the claim. What it repeats of that run says nothing of this node.
const CLAIM_TAKEN: i32 = 6;

/// Characters of what a kernel lacks, as far as they are read, and as they are shown.
const MOST_TEXT: (usize, usize) = (400, 512);

/// Characters of the message of the condition.
const MOST_MESSAGE: usize = 4000;

/// What a run says of the kernel of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Every wall of the sandbox stands.
    Complete,
    /// It lacks some, in the words of the sandbox. Safe to show.
    Lacks(String),
}

/// What the pod of an algorithm says of the kernel of its node, and which node that is; none: nothing.
#[must_use]
pub fn kernel_of(pod: &PodFacts) -> Option<(String, Kernel)> {
    let PodState::Ended(PodEnd::Exit(code)) = pod.state else { return None };
    let kernel = match (&pod.messages.get(algorithm::CONTAINER)?.said, code) {
        (Said::NotRun { reason }, NOT_ISOLATED) => {
            let text = escape(reason.text().as_bytes(), MOST_TEXT.0).to_string();
            Kernel::Lacks(text.chars().take(MOST_TEXT.1).collect())
        }
        (Said::Ran(_), code) if code != CLAIM_TAKEN => Kernel::Complete,
        _ => return None,
    };
    Some((pod.node.clone()?, kernel))
}

/// What is to be stored about an environment, after runs on these nodes; none: nothing that is not stored, or its canaries look.
#[must_use]
pub fn after_runs(
    environment: &Environment,
    found: &BTreeMap<String, Kernel>,
    now: Timestamp,
) -> Option<(Condition, Isolation)> {
    if sends_canaries(environment) {
        return None;
    }
    let generation = environment.metadata.generation;
    let status = environment.status.as_ref();
    let said = status.and_then(|status| Condition::of(&status.conditions, KERNELS_COMPLETE));
    // What was found in another form of the environment may be of nodes that are not its own any more.
    let is_present = said.is_some_and(|said| said.observed_generation == generation);
    let known = status.and_then(|status| status.isolation.as_ref()).filter(|_| is_present);
    let before = known.map(|known| known.nodes.as_slice()).unwrap_or_default();
    let mut nodes: Vec<NodeIsolation> = before.to_vec();
    for (node, kernel) in found {
        let is_same =
            |known: &NodeIsolation| matches!(kernel, Kernel::Lacks(text) if known.kernel_lacks == [text.as_str()]);
        if nodes.iter().any(|known| known.node == *node && is_same(known)) {
            continue;
        }
        nodes.retain(|known| known.node != *node);
        if let Kernel::Lacks(text) = kernel {
            nodes.push(lacking(node, text, now));
        }
    }
    // The ones that were found the longest ago are the first.
    nodes.drain(..nodes.len().saturating_sub(MOST_NODES));
    let is_outdated = said.is_some_and(|said| !is_present && said.status != ConditionStatus::True);
    if nodes == before && !is_outdated {
        return None;
    }
    let condition = condition(&nodes, generation, now);
    Some((condition, Isolation { at: now.into(), window_ms: None, round_ended: None, nodes }))
}

/// Takes what runs have said out of the conditions of an environment, if canaries look at its nodes now: nothing would correct it.
pub fn leave_to_canaries(environment: &Environment, conditions: &mut Vec<Condition>) {
    if sends_canaries(environment) {
        conditions.retain(|condition| condition.kind != KERNELS_COMPLETE);
    }
}

/// What is stored of a node whose kernel lacks something.
fn lacking(node: &str, text: &str, now: Timestamp) -> NodeIsolation {
    let unknown = || FoundWall {
        status: ConditionStatus::Unknown,
        reason: "NoCanary".to_owned(),
        message: "no canary is sent for this Environment".to_owned(),
    };
    NodeIsolation {
        node: node.to_owned(),
        at: now.into(),
        window_ms: None,
        network: unknown(),
        storage: unknown(),
        kernel_lacks: vec![text.to_owned()],
    }
}

fn condition(nodes: &[NodeIsolation], generation: Option<i64>, now: Timestamp) -> Condition {
    let lacks = nodes.iter().map(|known| format!("node {}: {}", known.node, known.kernel_lacks.join("; ")));
    let (status, reason, message) = if nodes.is_empty() {
        let message = "the last runs on all nodes were behind every wall of the sandbox".to_owned();
        (ConditionStatus::True, "KernelsComplete", message)
    } else {
        (ConditionStatus::False, "KernelLacks", lacks.collect::<Vec<_>>().join("; "))
    };
    Condition {
        kind: KERNELS_COMPLETE.to_owned(),
        status,
        reason: reason.to_owned(),
        message: message.chars().take(MOST_MESSAGE).collect(),
        last_transition_time: now.into(),
        observed_generation: generation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::environment;
    use cloister_model::{Fault, JobId, Reason, RunEnd, RunSummary, Sha256, StepMessage};

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn lacks(text: &str) -> Kernel {
        Kernel::Lacks(text.to_owned())
    }

    fn runs<const N: usize>(found: [(&str, Kernel); N]) -> BTreeMap<String, Kernel> {
        found.map(|(node, kernel)| (node.to_owned(), kernel)).into()
    }

    /// The environment with what these runs have found, and whether there was something to store.
    fn with(environment: &Environment, found: &BTreeMap<String, Kernel>) -> (Environment, bool) {
        let mut environment = environment.clone();
        let Some((condition, isolation)) = after_runs(&environment, found, NOW) else { return (environment, false) };
        let status = environment.status.get_or_insert_default();
        Condition::put(&mut status.conditions, condition);
        status.isolation = Some(isolation);
        (environment, true)
    }

    /// What is said: whether no kernel lacks anything, and why.
    fn said(environment: &Environment) -> (ConditionStatus, String) {
        let status = environment.status.as_ref().expect("a status");
        let condition = Condition::of(&status.conditions, KERNELS_COMPLETE).expect("a condition");
        (condition.status, condition.message.clone())
    }

    #[test]
    fn nothing_is_stored_while_nothing_is_lacking_or_new() {
        let fresh = environment(&["wasm"]);
        assert_eq!(after_runs(&fresh, &runs([("a", Kernel::Complete), ("b", Kernel::Complete)]), NOW), None);
        let (first, stored) = with(&fresh, &runs([("a", lacks("landlock")), ("b", Kernel::Complete)]));
        assert!(stored);
        assert_eq!(said(&first), (ConditionStatus::False, "node a: landlock".to_owned()));
        for again in [runs([("a", lacks("landlock"))]), runs([("b", Kernel::Complete)]), runs([])] {
            assert_eq!(after_runs(&first, &again, NOW), None, "{again:?}");
        }
        let (second, _) = with(&first, &runs([("b", lacks("seccomp")), ("a", lacks("openat2"))]));
        let (status, message) = said(&second);
        assert_eq!(status, ConditionStatus::False);
        assert!(message.contains("node a: openat2") && message.contains("node b: seccomp"), "{message}");
        let (third, stored) = with(&second, &runs([("a", Kernel::Complete), ("b", Kernel::Complete)]));
        assert_eq!((said(&third).0, stored), (ConditionStatus::True, true));
        assert_eq!(after_runs(&third, &runs([("a", Kernel::Complete)]), NOW), None);
    }

    #[test]
    fn what_was_found_in_another_form_of_an_environment_counts_no_more() {
        let (mut changed, _) = with(&environment(&["wasm"]), &runs([("a", lacks("landlock"))]));
        changed.metadata.generation = Some(4);
        assert_eq!(said(&with(&changed, &runs([("b", Kernel::Complete)])).0).0, ConditionStatus::True);
        let (again, _) = with(&changed, &runs([("b", lacks("seccomp"))]));
        assert_eq!(said(&again), (ConditionStatus::False, "node b: seccomp".to_owned()));
    }

    #[test]
    fn canaries_look_where_they_are_sent_and_the_list_is_bounded() {
        let found = runs([("a", lacks("landlock"))]);
        assert_eq!(after_runs(&environment(&["wasm", "container"]), &found, NOW), None);
        let (plain, _) = with(&environment(&["wasm"]), &found);
        let mut conditions = plain.status.as_ref().expect("a status").conditions.clone();
        leave_to_canaries(&plain, &mut conditions);
        assert_eq!(conditions.len(), 1);
        leave_to_canaries(&environment(&["wasm", "container"]), &mut conditions);
        assert!(conditions.is_empty(), "{conditions:?}");
        let mut filled = environment(&["wasm"]);
        for number in 0..MOST_NODES + 5 {
            let text = "x".repeat(MOST_TEXT.1);
            (filled, _) = with(&filled, &runs([(format!("node-{number}").as_str(), lacks(&text))]));
        }
        let nodes = &filled.status.as_ref().and_then(|status| status.isolation.as_ref()).expect("known").nodes;
        assert_eq!((nodes.len(), nodes[0].node.as_str()), (MOST_NODES, "node-5"));
        assert_eq!(said(&filled).1.len(), MOST_MESSAGE);
    }

    #[test]
    fn a_run_says_whether_its_node_lacks_a_wall() {
        let digest = Sha256::from_bytes([1; 32]);
        let ran = Said::Ran(RunSummary {
            end: RunEnd::Failed,
            reason: None,
            algorithm: digest,
            interpreted: false,
            files: None,
            report: Some(digest),
        });
        let not_run = Said::NotRun { reason: Reason::new("kernel 5 lacks landlock: \u{202e}", Fault::System) };
        let pod = |said: Option<&Said>, state: PodState| PodFacts {
            uid: "u".to_owned(),
            attempt: 1,
            node: Some("a".to_owned()),
            keeps: false,
            created: NOW,
            state,
            is_container: false,
            messages: said
                .map(|said| {
                    let message = StepMessage::new(JobId::from_bytes([7; 16]), said.clone());
                    (algorithm::CONTAINER.to_owned(), message)
                })
                .into_iter()
                .collect(),
        };
        let exited = |code| PodState::Ended(PodEnd::Exit(code));
        for (said, state, expected) in [
            (Some(&ran), exited(0), Some(Kernel::Complete)),
            (Some(&ran), exited(1), Some(Kernel::Complete)),
            // Another node ran it.
            (Some(&ran), exited(CLAIM_TAKEN), None),
            // For another reason.
            (Some(&not_run), exited(70), None),
            (None, exited(NOT_ISOLATED), None),
            (Some(&ran), PodState::Running, None),
        ] {
            let found = kernel_of(&pod(said, state.clone())).map(|(_, kernel)| kernel);
            assert_eq!(found, expected, "{said:?} {state:?}");
        }
        let (node, found) = kernel_of(&pod(Some(&not_run), exited(NOT_ISOLATED))).expect("it says so");
        let Kernel::Lacks(text) = found else { panic!("{found:?}") };
        assert_eq!(node, "a");
        assert!(text.starts_with("kernel 5 lacks landlock") && text.is_ascii(), "{text}");
        let nowhere = PodFacts { node: None, ..pod(Some(&ran), exited(0)) };
        assert_eq!(kernel_of(&nowhere), None);
    }
}
