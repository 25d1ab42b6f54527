//! What the three pods of a job have in common.

use super::{
    PodSettings, PodStep, StepResources,
    layout::{CONFIG, CONFIG_FILE, SCRATCH, TERMINATION_MESSAGE, VOLUME},
};
use crate::resources::MANAGED_BY;
use cloister_model::JobId;
use k8s_openapi::{
    api::core::v1::{
        Affinity, Capabilities, Container, EmptyDirVolumeSource, KeyToPath, LocalObjectReference, NodeAffinity,
        NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PersistentVolumeClaimVolumeSource, Pod, PodDNSConfig,
        PodSecurityContext, PodSpec, PreferredSchedulingTerm, ResourceRequirements, SELinuxOptions, SeccompProfile,
        SecretVolumeSource, SecurityContext, Toleration, Volume, VolumeMount,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ObjectMeta, OwnerReference},
    },
};
use std::collections::BTreeMap;

/// The label with the name of the job.
pub const JOB: &str = "cloister.dev/job";
/// The label with the name of the step. Network policies select by it.
pub const STEP: &str = "cloister.dev/step";
/// The standard label with the name of the step.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The annotation with the number of the attempt, from 1 on.
pub const ATTEMPT: &str = "cloister.dev/attempt";

/// The user and the group that every step runs as.
const USER: i64 = 65532;
/// Seconds that a pod stays bound to a node that does not answer.
const NODE_SECONDS: i64 = 120;

/// The ComputeJob that objects of a job belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The job, which is the name of its ComputeJob.
    pub job: JobId,
    /// The `uid` of its ComputeJob.
    pub uid: String,
}

impl Owner {
    /// The metadata of an object of the job.
    pub(super) fn metadata(
        &self,
        settings: &PodSettings,
        name: String,
        labels: BTreeMap<String, String>,
    ) -> ObjectMeta {
        let owner = OwnerReference {
            api_version: "cloister.dev/v1alpha1".to_owned(),
            kind: "ComputeJob".to_owned(),
            name: self.job.to_string(),
            uid: self.uid.clone(),
            controller: Some(true),
            // Nothing waits for the job's objects when the job is deleted.
            block_owner_deletion: Some(false),
        };
        let own = [
            ("app.kubernetes.io/name", "cloister".to_owned()),
            (MANAGED_BY.0, MANAGED_BY.1.to_owned()),
            (JOB, self.job.to_string()),
        ];
        ObjectMeta {
            name: Some(name),
            namespace: Some(settings.namespace.clone()),
            labels: Some(own.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(labels).collect()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        }
    }
}

/// What one pod has beyond the frame.
pub(super) struct Parts {
    pub(super) step: PodStep,
    /// Containers that run first, one after the other.
    pub(super) before: Vec<Container>,
    pub(super) container: Container,
    pub(super) volumes: Vec<Volume>,
    /// The most seconds that the pod may take, from its start to its end.
    pub(super) seconds: i64,
    /// Seconds between SIGTERM and SIGKILL.
    pub(super) grace_seconds: i64,
}

/// A pod of a job.
pub(super) fn pod(settings: &PodSettings, owner: &Owner, attempt: u32, parts: Parts) -> Pod {
    let Parts { step, before, container, mut volumes, seconds, grace_seconds } = parts;
    let labels = [(COMPONENT, step.as_str()), (STEP, step.as_str()), ("sidecar.istio.io/inject", "false")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let mut metadata = owner.metadata(settings, step.pod_name(owner.job), labels);
    let mut annotations = BTreeMap::from([(ATTEMPT.to_owned(), attempt.to_string())]);
    // Asks admission webhooks and log shippers to leave the pod alone. Nothing relies on it: the created pod is compared with
    // this one, and no guest's text is on stdout.
    for (key, value) in [
        ("sidecar.istio.io/inject", "false"),
        ("linkerd.io/inject", "disabled"),
        ("vault.hashicorp.com/agent-inject", "false"),
        ("fluentbit.io/exclude", "true"),
        ("co.elastic.logs/enabled", "false"),
        ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
    ] {
        annotations.insert(key.to_owned(), value.to_owned());
    }
    metadata.annotations = Some(annotations);
    volumes.push(job_volume(owner.job));
    let spec = PodSpec {
        init_containers: (!before.is_empty()).then_some(before),
        containers: vec![container],
        volumes: Some(volumes),
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        host_network: Some(false),
        host_pid: Some(false),
        host_ipc: Some(false),
        host_users: settings.user_namespaces.then_some(false),
        share_process_namespace: Some(false),
        active_deadline_seconds: Some(seconds),
        termination_grace_period_seconds: Some(grace_seconds),
        security_context: Some(security_context(settings, owner.job)),
        node_selector: (!settings.node_selector.is_empty()).then(|| settings.node_selector.clone()),
        tolerations: Some(tolerations(settings)),
        priority_class_name: settings.priority_class.clone(),
        image_pull_secrets: (!settings.image_pull_secrets.is_empty()).then(|| {
            settings.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect()
        }),
        ..PodSpec::default()
    };
    Pod { metadata, spec: Some(spec), status: None }
}

/// Keeps a pod to a node: that of another pod of its job, whose volume they share.
#[must_use]
pub fn pinned(mut pod: Pod, node: &str) -> Pod {
    let is_node = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_fields: Some(vec![is_node]), match_expressions: None };
    pod.spec.get_or_insert_with(PodSpec::default).affinity = Some(Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector { node_selector_terms: vec![term] }),
            preferred_during_scheduling_ignored_during_execution: None,
        }),
        ..Affinity::default()
    });
    pod
}

/// Sends a pod to another node than these, if one takes it.
pub(super) fn elsewhere(pod: &mut Pod, nodes: &[&str]) {
    if nodes.is_empty() {
        return;
    }
    // One name in each: the API server takes no list of names here.
    let is_other = |node: &&str| NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "NotIn".to_owned(),
        values: Some(vec![(*node).to_owned()]),
    };
    let others = nodes.iter().map(is_other).collect();
    let preference = NodeSelectorTerm { match_fields: Some(others), match_expressions: None };
    pod.spec.get_or_insert_with(PodSpec::default).affinity = Some(Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: None,
            preferred_during_scheduling_ignored_during_execution: Some(vec![PreferredSchedulingTerm {
                weight: 100,
                preference,
            }]),
        }),
        ..Affinity::default()
    });
}

/// A pod without DNS. That it reaches nothing is the network policy's doing: it is one of
/// the pods that no policy opens anything for.
pub(super) fn without_network(spec: &mut PodSpec) {
    spec.hostname = Some("algorithm".to_owned());
    // `None` needs at least one server; nothing listens there.
    spec.dns_policy = Some("None".to_owned());
    spec.dns_config = Some(PodDNSConfig { nameservers: Some(vec!["127.0.0.1".to_owned()]), ..PodDNSConfig::default() });
}

/// A container of a step. Its rights are those of the most restricted Pod Security Standard, and less.
///
/// The program is named here, so that nothing that an image says of itself decides what runs.
pub(super) fn container(
    name: &str,
    image: &str,
    program: &str,
    arguments: Vec<String>,
    mounts: Vec<VolumeMount>,
) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        command: Some(vec![program.to_owned()]),
        // A kubelet puts variables in the place of `$(NAME)` in arguments, the address of the API server among them; `$$` is a dollar.
        args: Some(arguments.into_iter().map(|argument| argument.replace('$', "$$")).collect()),
        volume_mounts: Some(mounts),
        termination_message_path: Some(TERMINATION_MESSAGE.to_owned()),
        // Not the last lines of the log: they could be a guest's text.
        termination_message_policy: Some("File".to_owned()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
            privileged: Some(false),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

fn security_context(settings: &PodSettings, job: JobId) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        supplemental_groups_policy: settings.strict_groups.then(|| "Strict".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        se_linux_options: settings
            .selinux_levels
            .then(|| SELinuxOptions { level: Some(level(job)), ..SELinuxOptions::default() }),
        ..PodSecurityContext::default()
    }
}

/// The SELinux level of a job: two different categories of 1024, the lower one first. Equal in the three pods, because pods
/// that share a volume must agree on it.
fn level(job: JobId) -> String {
    let bytes = job.as_bytes();
    let number = |high: u8, low: u8| u32::from(high) << 8 | u32::from(low);
    let one = number(bytes[0], bytes[1]) % 1024;
    let other = (one + 1 + number(bytes[2], bytes[3]) % 1023) % 1024;
    format!("s0:c{},c{}", one.min(other), one.max(other))
}

fn tolerations(settings: &PodSettings) -> Vec<Toleration> {
    let lost = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].map(|key| Toleration {
        key: Some(key.to_owned()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        toleration_seconds: Some(NODE_SECONDS),
        value: None,
    });
    lost.into_iter().chain(settings.tolerations.iter().cloned()).collect()
}

/// Memory and disk are reserved as a whole; a processor is reserved and may be exceeded while others are idle.
pub(super) fn resources(wanted: StepResources) -> ResourceRequirements {
    let StepResources { cpu_millis, memory_bytes, disk_bytes } = wanted;
    let fixed = [("memory", memory_bytes), ("ephemeral-storage", disk_bytes)];
    let fixed = || fixed.iter().map(|(name, bytes)| ((*name).to_owned(), Quantity(bytes.to_string())));
    let cpu = ("cpu".to_owned(), Quantity(format!("{cpu_millis}m")));
    ResourceRequirements {
        requests: Some(fixed().chain([cpu]).collect()),
        limits: Some(fixed().collect()),
        claims: None,
    }
}

fn job_volume(job: JobId) -> Volume {
    Volume {
        name: VOLUME.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: super::volume::name(job),
            read_only: None,
        }),
        ..Volume::default()
    }
}

/// A folder of the pod alone, and where it is mounted.
pub(super) fn scratch(bytes: u64) -> Volume {
    Volume {
        name: "scratch".to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(bytes.to_string())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

pub(super) fn scratch_mount() -> VolumeMount {
    VolumeMount { name: "scratch".to_owned(), mount_path: SCRATCH.to_owned(), ..VolumeMount::default() }
}

/// The settings of a step, from a secret that the engine never reads.
pub(super) fn config(secret: &str) -> (Volume, VolumeMount) {
    let volume = Volume {
        name: "config".to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            items: Some(vec![KeyToPath {
                key: CONFIG_FILE.to_owned(),
                path: CONFIG_FILE.to_owned(),
                ..KeyToPath::default()
            }]),
            default_mode: Some(0o440),
            optional: Some(false),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mount = VolumeMount {
        name: "config".to_owned(),
        mount_path: CONFIG.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    (volume, mount)
}

/// The option that names the settings.
pub(super) fn config_arguments() -> [String; 2] {
    ["--config".to_owned(), format!("{CONFIG}/{CONFIG_FILE}")]
}
