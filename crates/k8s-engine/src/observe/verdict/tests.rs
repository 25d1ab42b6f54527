//! Every state that a pod can be seen in, and what comes of its step: no state waits for ever.

use super::*;
use cloister_model::{Fault, JobId, Reason, RunEnd, RunSummary, Sha256, StepFailure, StepName};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

fn later(seconds: u64) -> Timestamp {
    after(NOW, Duration::from_secs(seconds))
}

/// A pod of the algorithm with this status, as the API server shows it.
fn pod(bound: bool, status: &Value) -> PodFacts {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "a", "uid": "u", "annotations": {"cloister.dev/attempt": "1"}},
        "spec": {"containers": [], "nodeName": if bound { json!("node-1") } else { Value::Null }},
        "status": status,
    }))
    .expect("a pod");
    PodFacts::of(&pod)
}

fn container(state: &Value) -> Value {
    json!({"name": "sandbox", "image": "i", "imageID": "i", "ready": false, "restartCount": 0, "state": state})
}

fn waits_for(reason: &str) -> Value {
    json!({"phase": "Pending", "containerStatuses": [container(&json!({"waiting": {"reason": reason, "message": "words"}}))]})
}

fn terminated(phase: &str, code: i32, reason: &str, message: Option<&StepMessage>) -> Value {
    let message = message.map(|message| String::from_utf8(message.write()).expect("text"));
    let ended = json!({"terminated": {"exitCode": code, "reason": reason, "message": message}});
    json!({"phase": phase, "containerStatuses": [container(&ended)]})
}

fn ran() -> StepMessage {
    let digest = Sha256::from_bytes([1; 32]);
    let summary = RunSummary {
        end: RunEnd::Succeeded,
        reason: None,
        algorithm: digest,
        interpreted: false,
        files: Some(digest),
        report: Some(digest),
    };
    StepMessage::new(JobId::from_bytes([7; 16]), Said::Ran(summary))
}

fn of(pod: Option<&PodFacts>, attempts: u32, now: Timestamp) -> Verdict {
    verdict(PodStep::Algorithm, pod, attempts, &mut Patience::default(), now)
}

/// What is expected of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    Create,
    Wait,
    Again,
    Said,
    OutOfMemory,
    Deadline,
    Disk,
    Repeated,
    CutOff,
    NotStarted,
    Container(ContainerEnd),
}

fn comes(verdict: &Verdict) -> Comes {
    match verdict {
        Verdict::Create => Comes::Create,
        Verdict::Wait { .. } => Comes::Wait,
        Verdict::Again { .. } => Comes::Again,
        Verdict::Said(_) => Comes::Said,
        Verdict::Ended(ObservedEnd::OutOfMemory) => Comes::OutOfMemory,
        Verdict::Ended(ObservedEnd::Deadline) => Comes::Deadline,
        Verdict::Ended(ObservedEnd::Disk) => Comes::Disk,
        Verdict::Ended(ObservedEnd::Repeated) => Comes::Repeated,
        Verdict::Ended(ObservedEnd::CutOff(_)) => Comes::CutOff,
        Verdict::Ended(ObservedEnd::NotStarted(_)) => Comes::NotStarted,
        Verdict::Ended(ObservedEnd::Container(end)) => Comes::Container(*end),
    }
}

#[test]
fn every_wait_has_a_deadline_and_a_sentence() {
    let unscheduled = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: 3 Insufficient memory"},
    ]});
    for (bound, status, on, then) in [
        (false, unscheduled, WaitingOn::Node, Comes::CutOff),
        // The scheduler has not looked at it yet.
        (false, json!({"phase": "Pending"}), WaitingOn::Node, Comes::CutOff),
        (true, waits_for("ContainerCreating"), WaitingOn::Start, Comes::Again),
        (true, waits_for("PodInitializing"), WaitingOn::Start, Comes::Again),
        // A reboot of the node between the pod's creation and its start.
        (true, json!({"phase": "Pending"}), WaitingOn::Start, Comes::Again),
        (true, Value::Null, WaitingOn::Start, Comes::Again),
        (true, waits_for("ErrImagePull"), WaitingOn::Image, Comes::CutOff),
        (true, waits_for("ImagePullBackOff"), WaitingOn::Image, Comes::CutOff),
        (true, waits_for("ErrImageNeverPull"), WaitingOn::Image, Comes::CutOff),
        (true, waits_for("InvalidImageName"), WaitingOn::ImageName, Comes::CutOff),
        (true, waits_for("CreateContainerConfigError"), WaitingOn::Parts, Comes::CutOff),
        (true, waits_for("CreateContainerError"), WaitingOn::Start, Comes::Again),
        (true, waits_for("RunContainerError"), WaitingOn::Start, Comes::Again),
        // A reason of a later kubelet.
        (true, waits_for("SomethingNew"), WaitingOn::Start, Comes::Again),
    ] {
        let pod = pod(bound, &status);
        let PodState::Waiting { on: found, .. } = pod.state else { panic!("{pod:?}") };
        assert_eq!(found, on, "{status}");
        let mut patience = Patience::default();
        let at =
            |seconds, patience: &mut Patience| verdict(PodStep::Algorithm, Some(&pod), 1, patience, later(seconds));
        let limit = on.limit().as_secs();
        if limit > 0 {
            let Verdict::Wait { text, until } = at(0, &mut patience) else { panic!("{status}") };
            assert!(!text.is_empty());
            assert_eq!(until, Some(later(limit)), "{status}");
            assert_eq!(comes(&at(limit - 1, &mut patience)), Comes::Wait, "{status}");
        }
        assert_eq!(comes(&at(limit, &mut patience)), then, "{status}");
    }
}

/// A registry that answers again ends the wait for it, and a later hiccup has its whole patience again.
#[test]
fn patience_counts_for_one_wait_and_one_pod() {
    let mut patience = Patience::default();
    assert_eq!(patience.since("u", WaitingOn::Image, NOW), NOW);
    assert_eq!(patience.since("u", WaitingOn::Image, later(50)), NOW);
    assert_eq!(patience.since("u", WaitingOn::Start, later(60)), later(60));
    assert_eq!(patience.since("u", WaitingOn::Image, later(70)), later(70));
    assert_eq!(patience.since("v", WaitingOn::Image, later(80)), later(80));
    patience.forget("u");
    assert_eq!(patience.since("u", WaitingOn::Image, later(90)), later(90));
}

#[test]
fn an_end_is_what_the_kubelet_or_the_program_says() {
    let said = ran();
    let failed = |reason: &str, message: &str| json!({"phase": "Failed", "reason": reason, "message": message});
    let disrupted = json!({"phase": "Failed", "conditions": [
        {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "taint"},
    ]});
    for (status, expected) in [
        (terminated("Succeeded", 0, "Completed", Some(&said)), Comes::Said),
        (terminated("Failed", 1, "Error", Some(&said)), Comes::Said),
        // The claim was taken, and the report of the run that took it is there.
        (terminated("Failed", 6, "Error", Some(&said)), Comes::Said),
        (terminated("Failed", 6, "Error", None), Comes::Repeated),
        // Out of memory is out of memory, whatever the program said and exited with.
        (terminated("Succeeded", 0, "OOMKilled", Some(&said)), Comes::OutOfMemory),
        (terminated("Failed", 137, "OOMKilled", None), Comes::OutOfMemory),
        (terminated("Failed", 137, "Error", None), Comes::Again),
        (terminated("Failed", 137, "ContainerStatusUnknown", None), Comes::Again),
        (terminated("Succeeded", 0, "Completed", None), Comes::CutOff),
        (terminated("Failed", 2, "Error", None), Comes::CutOff),
        (terminated("Failed", 255, "Unknown", None), Comes::Again),
        (terminated("Failed", 255, "Error", None), Comes::CutOff),
        (terminated("Failed", 128, "StartError", None), Comes::Again),
        (terminated("Failed", 128, "ContainerCannotRun", None), Comes::Again),
        (failed("DeadlineExceeded", "Pod was active on the node longer than the specified deadline"), Comes::Deadline),
        (
            failed("Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."),
            Comes::Disk,
        ),
        (failed("Evicted", "Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Gi\"."), Comes::Disk),
        (failed("Evicted", "The node was low on resource: memory."), Comes::Again),
        (failed("Evicted", "The node was low on resource: ephemeral-storage. Threshold exceeded"), Comes::Again),
        (failed("NodeLost", ""), Comes::Again),
        (failed("OutOfmemory", "Pod was rejected: Node didn't have enough resource: memory"), Comes::Again),
        (failed("", ""), Comes::Again),
        (disrupted, Comes::Again),
        (json!({"phase": "Unknown"}), Comes::Again),
    ] {
        let pod = pod(true, &status);
        assert!(matches!(pod.state, PodState::Ended(_)), "{status}: {pod:?}");
        assert_eq!(comes(&of(Some(&pod), 1, NOW)), expected, "{status}");
    }
}

/// A success that was seen is a success that is kept: the deadline and the deletion of the pod come after it.
#[test]
fn what_a_program_said_counts_more_than_how_its_pod_went() {
    let said = ran();
    let mut status = terminated("Failed", 0, "Completed", Some(&said));
    status["reason"] = json!("DeadlineExceeded");
    assert_eq!(of(Some(&pod(true, &status)), 1, NOW), Verdict::Said(said.clone()));
    let deleted: Pod = serde_json::from_value(json!({
        "metadata": {"name": "a", "uid": "u", "deletionTimestamp": "2026-11-29T00:00:00Z"},
        "spec": {"containers": [], "nodeName": "node-1"},
        "status": terminated("Succeeded", 0, "Completed", Some(&said)),
    }))
    .expect("a pod");
    assert_eq!(of(Some(&PodFacts::of(&deleted)), 1, NOW), Verdict::Said(said));
}

#[test]
fn three_pods_may_come_to_nothing_and_one_that_is_gone_is_created() {
    for attempts in 0..=MOST_ATTEMPTS {
        assert_eq!(of(None, attempts, NOW), Verdict::Create);
    }
    let lost = pod(true, &json!({"phase": "Failed", "reason": "NodeLost"}));
    for attempts in 1..MOST_ATTEMPTS {
        assert_eq!(comes(&of(Some(&lost), attempts, NOW)), Comes::Again);
    }
    let Verdict::Ended(ObservedEnd::CutOff(text)) = of(Some(&lost), MOST_ATTEMPTS, NOW) else { panic!("again") };
    assert!(text.contains("3 pods of this step failed"), "{text}");
}

/// It would be changed again.
#[test]
fn a_pod_that_the_cluster_changed_is_not_created_once_more() {
    let changed = PodFacts {
        state: PodState::Ended(PodEnd::Changed("a container was added".to_owned())),
        ..pod(true, &json!({"phase": "Pending"}))
    };
    assert_eq!(comes(&of(Some(&changed), 1, NOW)), Comes::CutOff);
}

#[test]
fn a_pod_whose_node_does_not_answer_is_given_up() {
    let leaving: Pod = serde_json::from_value(json!({
        "metadata": {
            "name": "a", "uid": "u", "deletionTimestamp": "2027-01-15T08:00:30Z", "deletionGracePeriodSeconds": 30,
        },
        "spec": {"containers": [], "nodeName": "node-1"},
        "status": {"phase": "Running", "containerStatuses": [container(&json!({"running": {}}))]},
    }))
    .expect("a pod");
    let facts = PodFacts::of(&leaving);
    // 2027-01-15T08:00:00Z
    assert_eq!(facts.state, PodState::Leaving { since: NOW, grace_seconds: 30 });
    assert_eq!(comes(&of(Some(&facts), 1, later(89))), Comes::Wait);
    let Verdict::Ended(ObservedEnd::CutOff(text)) = of(Some(&facts), 1, later(90)) else { panic!("it waits") };
    assert!(text.contains("does not answer"), "{text}");
}

/// The container with the credentials does not run where the outputs may not leave.
#[test]
fn a_refusal_of_the_first_container_is_what_publishing_says() {
    let refused = StepMessage::new(
        JobId::from_bytes([7; 16]),
        Said::Failed {
            step: StepName::Filter,
            failure: StepFailure::Outputs,
            rule: Some("csv-rows".to_owned()),
            reason: Reason::new("why", Fault::Algorithm),
            detail: None,
        },
    );
    let text = String::from_utf8(refused.write()).expect("text");
    let filter = json!({"terminated": {"exitCode": 1, "reason": "Error", "message": text}});
    let mut first = container(&filter);
    first["name"] = json!("filter");
    let mut second = container(&json!({"waiting": {"reason": "PodInitializing"}}));
    second["name"] = json!("publish");
    let status = json!({"phase": "Failed", "initContainerStatuses": [first], "containerStatuses": [second]});
    let facts = pod(true, &status);
    assert_eq!(facts.messages, BTreeMap::from([("filter".to_owned(), refused.clone())]));
    let found = verdict(PodStep::Publishing, Some(&facts), 1, &mut Patience::default(), NOW);
    assert_eq!(found, Verdict::Said(refused));
}

/// What schedulers and kubelets say, word for word, and what the consumer is told: which resource, and which number.
#[test]
fn what_is_missing_is_named_with_its_number() {
    let unscheduled = |message: &str| {
        json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message},
        ]})
    };
    let waiting = |reason: &str, message: &str| json!({"phase": "Pending", "containerStatuses": [container(&json!({"waiting": {"reason": reason, "message": message}}))]});
    let preemption = "preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.";
    for (bound, status, expected) in [
        (
            false,
            unscheduled(&format!("0/3 nodes are available: 3 Insufficient memory. {preemption}")),
            ["it asks for 1280Mi of memory", "0/3 nodes are available"],
        ),
        (
            false,
            unscheduled(&format!(
                "0/3 nodes are available: 1 node(s) had untolerated taint {{node-role.kubernetes.io/control-plane: }}, 2 Insufficient \
                 cpu, 2 Insufficient memory. {preemption}"
            )),
            ["it asks for 1 of cpu and 1280Mi of memory", "untolerated taint"],
        ),
        (
            false,
            unscheduled("0/1 nodes are available: 1 Insufficient ephemeral-storage. no new claims to deallocate"),
            ["it asks for 64Mi of ephemeral-storage", "1 Insufficient"],
        ),
        (
            false,
            unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"),
            ["no node takes its pod: 0/1", "unbound immediate PersistentVolumeClaims"],
        ),
        (
            false,
            unscheduled("0/4 nodes are available: 4 node(s) didn't match Pod's node affinity/selector."),
            ["no node takes its pod: 0/4", "node affinity/selector"],
        ),
        (
            true,
            waiting(
                "ImagePullBackOff",
                "Back-off pulling image \"registry.example/sandbox@sha256:22\": ErrImagePull: failed to pull and unpack image: not found",
            ),
            ["an image of its pod cannot be pulled", "registry.example/sandbox@sha256:22"],
        ),
        (
            true,
            waiting("CreateContainerConfigError", "secret \"sources\" not found"),
            ["a container of its pod cannot be made", "secret \"sources\" not found"],
        ),
    ] {
        let spec = json!({"nodeName": if bound { json!("node-1") } else { Value::Null }, "containers": [{
            "name": "sandbox",
            "resources": {"requests": {"cpu": "1", "memory": "1280Mi", "ephemeral-storage": "64Mi"}},
        }]});
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"uid": "u"}, "spec": spec, "status": status})).expect("a pod");
        let Verdict::Wait { text, until: Some(_) } = of(Some(&PodFacts::of(&pod)), 1, NOW) else { panic!("{status}") };
        for part in expected {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
    }
}

#[test]
fn texts_of_the_cluster_are_safe_to_show() {
    let hostile = "\u{1b}[31m".repeat(1000);
    let status = json!({"phase": "Failed", "reason": "Evicted", "message": hostile});
    let Verdict::Again { text } = of(Some(&pod(true, &status)), 1, NOW) else { panic!("not again") };
    assert!(!text.contains('\u{1b}') && text.len() < 4000, "{text}");
}

#[test]
fn an_invalid_message_of_a_step_is_not_believed() {
    let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed", "message": "{\"result\": \"succeeded\"}"}});
    let status = json!({"phase": "Succeeded", "containerStatuses": [container(&ended)]});
    assert_eq!(comes(&of(Some(&pod(true, &status)), 1, NOW)), Comes::CutOff);
}

/// A pod of an algorithm that is a container: `begin` has ended so, and the algorithm is in this state.
fn container_pod(phase: &str, begin: &Value, algorithm: &Value) -> PodFacts {
    let named = |name: &str, state: &Value| {
        let mut status = container(state);
        status["name"] = json!(name);
        status
    };
    let mut all = json!({"phase": phase, "initContainerStatuses": [named("begin", begin)]});
    all["containerStatuses"] = json!([named("algorithm", algorithm)]);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "a", "uid": "u", "annotations": {"cloister.dev/attempt": "1"}},
        "spec": {"containers": [{"name": "algorithm"}], "initContainers": [{"name": "begin"}], "nodeName": "node-1"},
        "status": all,
    }))
    .expect("a pod");
    PodFacts::of(&pod)
}

fn exited(code: i32, reason: &str, message: Option<&str>) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "message": message}})
}

/// What a container says in its termination message is whatever its algorithm likes.
#[test]
fn the_word_of_a_container_does_not_count_and_its_exit_code_does() {
    let begun = exited(0, "Completed", None);
    let forged = String::from_utf8(ran().write()).expect("text");
    for message in [None, Some(forged.as_str())] {
        for (phase, code, reason, expected) in [
            ("Succeeded", 0, "Completed", Comes::Container(ContainerEnd::Exited(0))),
            ("Failed", 1, "Error", Comes::Container(ContainerEnd::Exited(1))),
            // The sandbox's code for a claim that is taken is any other code here.
            ("Failed", 6, "Error", Comes::Container(ContainerEnd::Exited(6))),
            ("Failed", 209, "Error", Comes::Container(ContainerEnd::Signal(9))),
            ("Failed", 241, "Error", Comes::Container(ContainerEnd::NoWall)),
            ("Failed", 242, "Error", Comes::Container(ContainerEnd::NoProgram)),
            ("Failed", 244, "Error", Comes::Container(ContainerEnd::WallTime)),
            ("Failed", 245, "Error", Comes::Container(ContainerEnd::Memory)),
            // Memory is memory, whatever process 1 exited with.
            ("Succeeded", 0, "OOMKilled", Comes::OutOfMemory),
            ("Failed", 1, "OOMKilled", Comes::OutOfMemory),
            // Process 1 itself was ended, which the algorithm cannot do: the claim tells a second pod that it had begun.
            ("Failed", 137, "Error", Comes::Again),
            ("Failed", 143, "Error", Comes::Again),
            ("Failed", 137, "ContainerStatusUnknown", Comes::Again),
            ("Failed", 255, "Unknown", Comes::Again),
            ("Failed", 128, "StartError", Comes::Again),
            ("Failed", 250, "Error", Comes::CutOff),
        ] {
            let pod = container_pod(phase, &begun, &exited(code, reason, message));
            assert_eq!(pod.messages, BTreeMap::new(), "{code} {reason}");
            assert_eq!(comes(&of(Some(&pod), 1, NOW)), expected, "{code} {reason}");
        }
    }
    let taken = exited(240, "Error", None);
    let pod = container_pod("Failed", &taken, &json!({"waiting": {"reason": "PodInitializing"}}));
    assert_eq!(comes(&of(Some(&pod), 2, NOW)), Comes::Container(ContainerEnd::BegunBefore));
    let broken = exited(246, "Error", None);
    let pod = container_pod("Failed", &broken, &json!({"waiting": {"reason": "PodInitializing"}}));
    assert_eq!(comes(&of(Some(&pod), 1, NOW)), Comes::Container(ContainerEnd::HostFault));
}

/// The image of the algorithm is looked for after our container has ended: that it is missing is seen all the same.
#[test]
fn an_image_of_an_algorithm_is_waited_for_and_its_absence_is_no_fault_of_the_system() {
    let begun = exited(0, "Completed", None);
    for (reason, on, then) in [
        ("ErrImagePull", WaitingOn::AlgorithmImage, Comes::NotStarted),
        ("ImagePullBackOff", WaitingOn::AlgorithmImage, Comes::NotStarted),
        ("InvalidImageName", WaitingOn::AlgorithmImageName, Comes::NotStarted),
        // Its claim is taken: another pod would not begin.
        ("CreateContainerError", WaitingOn::AlgorithmContainer, Comes::CutOff),
        ("RunContainerError", WaitingOn::AlgorithmContainer, Comes::CutOff),
        ("CreateContainerConfigError", WaitingOn::Parts, Comes::CutOff),
        ("PodInitializing", WaitingOn::Start, Comes::Again),
    ] {
        let pod = container_pod("Pending", &begun, &json!({"waiting": {"reason": reason, "message": "words"}}));
        let PodState::Waiting { on: found, .. } = pod.state else { panic!("{pod:?}") };
        assert_eq!(found, on, "{reason}");
        let mut patience = Patience::default();
        let mut at = |seconds| verdict(PodStep::Algorithm, Some(&pod), 1, &mut patience, later(seconds));
        let limit = on.limit().as_secs();
        if limit > 0 {
            assert_eq!(comes(&at(0)), Comes::Wait, "{reason}");
        }
        assert_eq!(comes(&at(limit)), then, "{reason}");
    }
    // The image of our own container is the operator's.
    let ours = container_pod(
        "Pending",
        &json!({"waiting": {"reason": "ErrImagePull"}}),
        &json!({"waiting": {"reason": "PodInitializing"}}),
    );
    assert!(matches!(ours.state, PodState::Waiting { on: WaitingOn::Image, .. }), "{ours:?}");
    // What is said of it is not lost behind the container that waits for it.
    let ours = container_pod(
        "Pending",
        &json!({"waiting": {"reason": "CreateContainerError", "message": "words"}}),
        &json!({"waiting": {"reason": "PodInitializing"}}),
    );
    let PodState::Waiting { on: WaitingOn::Start, text } = &ours.state else { panic!("{ours:?}") };
    assert_eq!(text, "words");
    let runs = container_pod("Running", &begun, &json!({"running": {}}));
    assert_eq!(runs.state, PodState::Running);
    let begins = container_pod("Pending", &json!({"running": {}}), &json!({"waiting": {"reason": "PodInitializing"}}));
    assert_eq!(begins.state, PodState::Running);
}

/// Long words of a kubelet do not take their place.
#[test]
fn an_image_that_cannot_be_pulled_is_named_with_the_pull_secrets_that_were_tried() {
    let image = format!("registry.example/team/image@sha256:{}", "2".repeat(64));
    let message = format!("Back-off pulling image {image:?}: {}", "words ".repeat(100));
    for (secrets, expected) in [
        (json!([]), "without a pull secret, because the Environment has no `pullSecrets`"),
        (json!([{"name": "registry"}]), "with the pull secret `registry` ("),
        (json!([{"name": "one"}, {"name": "two"}]), "with the pull secrets `one`, `two` ("),
    ] {
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": message}});
        let status = json!({"phase": "Pending", "containerStatuses": [container(&waiting)]});
        let containers = json!([{"name": "sandbox", "image": image}]);
        let spec = json!({"nodeName": "node-1", "containers": containers, "imagePullSecrets": secrets});
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"uid": "u"}, "spec": spec, "status": status})).expect("a pod");
        let Verdict::Wait { text, until: Some(_) } = of(Some(&PodFacts::of(&pod)), 1, NOW) else { panic!("{status}") };
        assert!(text.contains(&format!("cannot be pulled: {image}, {expected}")), "`{expected}` is not in: {text}");
    }
}
