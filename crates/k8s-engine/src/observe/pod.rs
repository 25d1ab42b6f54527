//! What a pod does, in our words.

use crate::build::{ATTEMPT, PodStep, container, publishing::KEEP};
use cloister_model::{StepMessage, Timestamp, escape};
use k8s_openapi::{
    api::core::v1::{ContainerState, ContainerStatus, Pod, PodCondition, PodStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};
use std::collections::BTreeMap;

/// Characters of a text of the cluster's that are shown.
const MOST_TEXT: usize = 300;

/// What is known of a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PodFacts {
    /// Its `uid`.
    pub uid: String,
    /// The number of the attempt that it belongs to; 0 if it does not say.
    pub attempt: u32,
    /// The node that it is bound to.
    pub node: Option<String>,
    /// Whether it is a pod of publishing that stores no outputs: it keeps the report and the log of the run.
    pub keeps: bool,
    /// When it was created.
    pub created: Timestamp,
    /// What it does.
    pub state: PodState,
    /// Whether its last container is the algorithm's own image: its exit code is that of our process 1 in it.
    pub is_container: bool,
    /// What its containers said at their ends, by their names. None of these is an algorithm: the sandbox writes the message
    /// of the algorithm's pod, and the message of an algorithm that is a container is left out, because it could have written it.
    pub messages: BTreeMap<String, StepMessage>,
}

/// What a pod does at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodState {
    /// No container of it has begun.
    Waiting {
        /// What it waits for.
        on: WaitingOn,
        /// What the cluster says about it, safe to show; empty: nothing.
        text: String,
    },
    /// It runs.
    Running,
    /// It is being deleted, since this moment, with this grace period in seconds.
    Leaving {
        /// Since when.
        since: Timestamp,
        /// Its grace period.
        grace_seconds: u64,
    },
    /// It has ended.
    Ended(PodEnd),
}

/// What a pod waits for that has not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitingOn {
    /// A node that takes it.
    Node,
    /// Its volumes, its network, its containers.
    Start,
    /// An image that could not be pulled so far.
    Image,
    /// Nothing: the name of its image is invalid.
    ImageName,
    /// The image of an algorithm that is a container.
    AlgorithmImage,
    /// Nothing: the name of that image is invalid.
    AlgorithmImageName,
    /// The container of such an algorithm, which its node cannot make or start. The claim on the run is taken by then.
    AlgorithmContainer,
    /// A secret, or another thing that its containers are made of.
    Parts,
}

/// How a pod ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodEnd {
    /// Its last container exited with this code.
    Exit(i32),
    /// The kernel took memory back from it, whatever it exited with.
    OutOfMemory,
    /// Its active deadline passed.
    Deadline,
    /// It filled more of its node's disk than it may.
    Disk,
    /// Its node gave it up, or lost touch with it: one sentence.
    NodeGaveUp(String),
    /// Its node could not start its program, which has done nothing: one sentence.
    NotStarted(String),
    /// The cluster made another pod of it than the one that was asked for: one sentence.
    Changed(String),
}

impl PodFacts {
    /// What a pod shows.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        let metadata = &pod.metadata;
        let default = PodStatus::default();
        let status = pod.status.as_ref().unwrap_or(&default);
        let attempt = metadata.annotations.as_ref().and_then(|all| all.get(ATTEMPT)?.parse().ok()).unwrap_or(0);
        let spec = pod.spec.as_ref();
        let has = |name| spec.is_some_and(|spec| spec.containers.iter().any(|container| container.name == name));
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            attempt,
            node: spec.and_then(|spec| spec.node_name.clone()),
            keeps: has(KEEP),
            is_container: has(container::CONTAINER),
            created: metadata.creation_timestamp.as_ref().map_or(Timestamp::from_unix_ms(0), moment),
            state: state(pod, status),
            messages: containers(status).filter_map(message).collect(),
        }
    }
}

fn moment(time: &Time) -> Timestamp {
    Timestamp::from_unix_ms(u64::try_from(time.0.as_millisecond()).unwrap_or(0))
}

fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    let after = status.container_statuses.iter().flatten();
    status.init_container_statuses.iter().flatten().chain(after)
}

fn message(container: &ContainerStatus) -> Option<(String, StepMessage)> {
    if container.name == container::CONTAINER {
        return None;
    }
    let ended = container.state.as_ref()?.terminated.as_ref()?;
    let message = StepMessage::read(ended.message.as_deref()?.as_bytes())?;
    Some((container.name.clone(), message))
}

fn state(pod: &Pod, status: &PodStatus) -> PodState {
    // First: an ended pod may be on its way out, and how it ended counts.
    if let Some(end) = end(status) {
        return PodState::Ended(end);
    }
    if let Some(deleted) = &pod.metadata.deletion_timestamp {
        let grace_seconds = u64::try_from(pod.metadata.deletion_grace_period_seconds.unwrap_or(0)).unwrap_or(0);
        // The timestamp is when the grace period is over.
        let since = moment(deleted).unix_ms().saturating_sub(grace_seconds.saturating_mul(1000));
        return PodState::Leaving { since: Timestamp::from_unix_ms(since), grace_seconds };
    }
    let runs = |container: &ContainerStatus| container.state.as_ref().is_some_and(|state| state.running.is_some());
    let ended = |container: &ContainerStatus| container.state.as_ref().is_some_and(|state| state.terminated.is_some());
    // A container that ended before the last one began says nothing of it: its image may still be missing.
    if containers(status).any(runs) || status.container_statuses.iter().flatten().any(ended) {
        return PodState::Running;
    }
    let (on, text) = waiting(pod, status);
    PodState::Waiting { on, text: shown(&text) }
}

/// What a pod waits for that has not begun, and what the cluster says.
fn waiting(pod: &Pod, status: &PodStatus) -> (WaitingOn, String) {
    let scheduled = condition(status, "PodScheduled");
    let bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    if !bound {
        let text = scheduled.and_then(|condition| condition.message.clone()).unwrap_or_default();
        let lacking = lacking(pod, &text);
        return (WaitingOn::Node, if lacking.is_empty() { text } else { format!("{lacking} ({text})") });
    }
    let reasons = containers(status)
        .filter_map(|container| Some((container.name.as_str(), container.state.as_ref()?.waiting.as_ref()?)));
    let mut found = (WaitingOn::Start, String::new());
    for (name, waiting) in reasons {
        let of_algorithm = name == container::CONTAINER;
        let on = match waiting.reason.as_deref().unwrap_or_default() {
            "InvalidImageName" if of_algorithm => WaitingOn::AlgorithmImageName,
            "ErrImagePull"
            | "ImagePullBackOff"
            | "ErrImageNeverPull"
            | "RegistryUnavailable"
            | "ImageInspectError"
            | "SignatureValidationFailed"
                if of_algorithm =>
            {
                WaitingOn::AlgorithmImage
            }
            "InvalidImageName" => WaitingOn::ImageName,
            "ErrImagePull"
            | "ImagePullBackOff"
            | "ErrImageNeverPull"
            | "RegistryUnavailable"
            | "ImageInspectError"
            | "SignatureValidationFailed" => WaitingOn::Image,
            "CreateContainerConfigError" | "PreStartHookError" => WaitingOn::Parts,
            "CreateContainerError" | "RunContainerError" if of_algorithm => WaitingOn::AlgorithmContainer,
            // Also `CreateContainerError` and `RunContainerError`: a containerd that was killed while it made a container may say so of
            // this pod again and again, and makes another one.
            _ => WaitingOn::Start,
        };
        // The containers after one that cannot be made wait for it, and say nothing.
        if found.0 == WaitingOn::Start && (on != WaitingOn::Start || found.1.is_empty()) {
            let text = waiting.message.clone().unwrap_or_default();
            found = match on {
                WaitingOn::Image | WaitingOn::AlgorithmImage if text.is_empty() => (on, pull(pod, name)),
                WaitingOn::Image | WaitingOn::AlgorithmImage => (on, format!("{} ({text})", pull(pod, name))),
                _ => (on, text),
            };
        }
    }
    found
}

/// The image of a container, and the names of the Secrets that the kubelet may pull it with. What it says itself names no Secret.
fn pull(pod: &Pod, name: &str) -> String {
    let spec = pod.spec.as_ref();
    let containers = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let image = containers.filter(|container| container.name == name).find_map(|container| container.image.as_deref());
    let secrets = spec.into_iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
    let secrets: Vec<String> = secrets.map(|secret| format!("`{}`", secret.name)).collect();
    let with = match secrets.as_slice() {
        [] => "without a pull secret, because the Environment has no `pullSecrets`".to_owned(),
        [secret] => format!("with the pull secret {secret}"),
        secrets => format!("with the pull secrets {}", secrets.join(", ")),
    };
    image.map_or_else(|| with.clone(), |image| format!("{image}, {with}"))
}

/// What no node has enough of, and how much of it the pod asks for; empty if the scheduler does not say so. It names the resource and
/// not the number.
fn lacking(pod: &Pod, text: &str) -> String {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let asks: BTreeMap<&str, &str> = containers
        .filter_map(|container| container.resources.as_ref()?.requests.as_ref())
        .flatten()
        .map(|(name, amount)| (name.as_str(), amount.0.as_str()))
        .collect();
    let insufficient = |(name, _): &(&&str, &&str)| text.contains(&format!("Insufficient {name}"));
    let lacking: Vec<String> =
        asks.iter().filter(insufficient).map(|(name, amount)| format!("{amount} of {name}")).collect();
    if lacking.is_empty() { String::new() } else { format!("it asks for {}", lacking.join(" and ")) }
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// How a pod ended; none if it has not.
fn end(status: &PodStatus) -> Option<PodEnd> {
    let ended = |state: &Option<ContainerState>| state.as_ref().and_then(|state| state.terminated.clone());
    let all: Vec<_> = containers(status).filter_map(|container| ended(&container.state)).collect();
    let last = containers(status).filter_map(|container| ended(&container.last_state));
    // Some kernels kill one process of a container and not its first one: then the pod goes on, and ends as if all were well.
    let out_of_memory = all.iter().cloned().chain(last).any(|ended| ended.reason.as_deref() == Some("OOMKilled"));
    let (reason, text) = (status.reason.as_deref().unwrap_or_default(), status.message.as_deref().unwrap_or_default());
    match status.phase.as_deref().unwrap_or_default() {
        "Succeeded" | "Failed" if out_of_memory => return Some(PodEnd::OutOfMemory),
        "Succeeded" => return Some(PodEnd::Exit(0)),
        "Unknown" => return Some(PodEnd::NodeGaveUp("its node does not answer".to_owned())),
        "Failed" => {}
        _ => return None,
    }
    let disrupted = condition(status, "DisruptionTarget").filter(|condition| condition.status == "True");
    Some(match reason {
        "DeadlineExceeded" => PodEnd::Deadline,
        "Evicted" if is_its_own_disk(text) => PodEnd::Disk,
        "Evicted"
        | "NodeLost"
        | "NodeShutdown"
        | "Terminated"
        | "Shutdown"
        | "Preempting"
        | "UnexpectedAdmissionError"
        | "NodeAffinity"
        | "OutOfcpu"
        | "OutOfmemory"
        | "OutOfpods"
        | "OutOfephemeral-storage" => PodEnd::NodeGaveUp(sentence("its node gave its pod up", reason, text)),
        _ => match (all.iter().find(|ended| ended.exit_code != 0), disrupted) {
            (Some(ended), _) if matches!(ended.reason.as_deref(), Some("StartError" | "ContainerCannotRun")) => {
                let text = ended.message.as_deref().unwrap_or_default();
                PodEnd::NotStarted(sentence("its program could not be started", "StartError", text))
            }
            // Codes that tell nothing of themselves: the kubelet lost sight of the container, or containerd did, which then gives
            // it the code 255.
            (Some(ended), None) if matches!(ended.reason.as_deref(), Some("ContainerStatusUnknown" | "Unknown")) => {
                PodEnd::NodeGaveUp("its node lost sight of its pod".to_owned())
            }
            (Some(ended), None) => PodEnd::Exit(ended.exit_code),
            (_, Some(disrupted)) => {
                let (reason, text) = (disrupted.reason.as_deref(), disrupted.message.as_deref());
                let text = text.unwrap_or_default();
                PodEnd::NodeGaveUp(sentence("the cluster took its pod away", reason.unwrap_or_default(), text))
            }
            (None, None) => PodEnd::NodeGaveUp(sentence("its pod failed before it began", reason, text)),
        },
    })
}

/// Whether an eviction is for the disk that the pod itself used, and not for what its node lacks.
fn is_its_own_disk(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let disk = text.contains("ephemeral") || text.contains("emptydir");
    disk && text.contains("exceed") && !text.contains("the node was low")
}

fn sentence(what: &str, reason: &str, text: &str) -> String {
    match (reason, text) {
        ("", "") => what.to_owned(),
        (reason, "") => format!("{what} ({})", shown(reason)),
        (_, text) => format!("{what}: {}", shown(text)),
    }
}

fn shown(text: &str) -> String {
    escape(text.as_bytes(), MOST_TEXT).to_string()
}

/// The container whose message is the step's.
#[must_use]
pub fn speaker(step: PodStep) -> &'static str {
    match step {
        PodStep::Configuration => crate::build::configuration::CONTAINER,
        PodStep::Algorithm => crate::build::algorithm::CONTAINER,
        PodStep::Publishing => crate::build::publishing::PUBLISH,
    }
}
