use super::{Condition, ConditionStatus, Moment, schema};
use cloister_model::{Profile, RuntimeKind};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The condition that the network policy is enforced.
pub const NETWORK_POLICY_ENFORCED: &str = "NetworkPolicyEnforced";
/// The condition that the kernels of its nodes can put up every wall of the sandbox, as far as runs of jobs have found.
pub const KERNELS_COMPLETE: &str = "KernelsComplete";
/// The condition that volumes work, and that none holds more than its size.
pub const STORAGE_WORKS: &str = "StorageWorks";

/// Where jobs run: a namespace, its limits, and what its pods may use. The operator writes it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "cloister.dev",
    version = "v1alpha1",
    kind = "Environment",
    namespaced,
    status = "EnvironmentStatus",
    derive = "PartialEq",
    shortname = "cenv",
    category = "cloister",
    doc = "Where jobs run: a namespace, its limits, and what its pods may use.",
    printcolumn(name = "Jobs", type_ = "integer", json_path = ".spec.limits.jobs"),
    printcolumn(
        name = "Network",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='NetworkPolicyEnforced')].status"
    ),
    printcolumn(name = "Storage", type_ = "string", json_path = ".status.conditions[?(@.type=='StorageWorks')].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9-]{1,63}$')")
        .message("the name of an Environment has 1 to 63 lower-case letters, digits or `-`")
)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentSpec {
    /// A description for consumers.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    pub description: String,
    /// What all its jobs may use.
    pub limits: EnvironmentLimits,
    /// Which kinds of algorithms can run.
    #[serde(default)]
    pub runtimes: RuntimeRules,
    /// Resources of the pods that prepare a run, run it and publish its results.
    #[serde(default)]
    pub steps: Steps,
    /// Labels of the nodes that its pods run on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::node_labels")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that its pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
    /// The volume of a job.
    #[serde(default)]
    pub storage: Storage,
    /// Claims with large datasets, which are mounted read-only and not copied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub roots: Vec<Root>,
    /// Interpreters, each an image pinned by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub interpreters: Vec<Interpreter>,
}

/// What all jobs of an environment may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
#[x_kube(
    validation = Rule::new("self.jobMemoryBytes <= self.memoryBytes")
        .message("jobMemoryBytes, what one job may have, is more than memoryBytes, what all jobs have")
)]
pub struct EnvironmentLimits {
    /// The most jobs that run at once. With 0, no job starts.
    #[schemars(schema_with = "schema::amount")]
    pub jobs: u64,
    /// The most jobs that may wait.
    #[schemars(schema_with = "schema::amount")]
    pub queued: u64,
    /// The most jobs of one account that may wait. If absent, as many as may wait in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::amount_or_none")]
    pub queued_per_account: Option<u64>,
    /// Processors for all jobs.
    #[schemars(range(min = 1, max = 100_000))]
    pub cpus: u32,
    /// Memory for all jobs.
    #[schemars(schema_with = "schema::amount")]
    pub memory_bytes: u64,
    /// The most memory that one job may have.
    #[schemars(schema_with = "schema::amount")]
    pub job_memory_bytes: u64,
    /// The longest that one algorithm may run.
    #[schemars(schema_with = "schema::amount")]
    pub wall_ms: u64,
}

/// What algorithms can run in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
#[x_kube(
    validation = Rule::new("!has(self.kinds) || !('container' in self.kinds) || (has(self.registries) && size(self.registries) > 0)")
        .message("containers are allowed and no registry is; name the prefixes of images that may run in registries")
)]
pub struct RuntimeRules {
    /// The kinds of algorithms that may run. Possible are `wasm` and `container`.
    #[serde(default = "wasm")]
    #[schemars(schema_with = "schema::runtimes")]
    pub kinds: BTreeSet<RuntimeKind>,
    /// The profiles that jobs may request. Possible are `deterministic` and `standard`.
    #[serde(default = "deterministic")]
    #[schemars(schema_with = "schema::profiles")]
    pub profiles: BTreeSet<Profile>,
    /// Prefixes of images that may run: a host, and path segments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 255)))]
    pub registries: Vec<String>,
    /// Secrets of this namespace for pulling images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 253), regex(pattern = schema::OBJECT_NAME)))]
    pub pull_secrets: Vec<String>,
    /// The runtime class of containers, such as gVisor's; WebAssembly does not use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub runtime_class: Option<String>,
    /// Whether containers are refused where the network policy is not enforced.
    #[serde(default = "yes")]
    pub require_network_policy: bool,
    /// Whether containers are refused where the size of volumes is not enforced.
    #[serde(default = "yes")]
    pub require_enforced_storage: bool,
}

fn wasm() -> BTreeSet<RuntimeKind> {
    BTreeSet::from([RuntimeKind::Wasm])
}

fn deterministic() -> BTreeSet<Profile> {
    BTreeSet::from([Profile::Deterministic])
}

fn yes() -> bool {
    true
}

impl Default for RuntimeRules {
    /// WebAssembly, repeatable. Containers, once they are allowed, want both walls.
    fn default() -> Self {
        Self {
            kinds: wasm(),
            profiles: deterministic(),
            registries: Vec::new(),
            pull_secrets: Vec::new(),
            runtime_class: None,
            require_network_policy: true,
            require_enforced_storage: true,
        }
    }
}

/// Resources of the steps around a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(inline)]
pub struct Steps {
    /// Resources of the pod that fetches the inputs.
    pub configuration: StepResources,
    /// Resources of the pod that filters the outputs and publishes the results.
    pub publishing: StepResources,
    /// Whether the pods of a WebAssembly job are created together and wait for each other: a job starts seconds sooner, and
    /// what its run needs is reserved while its data is fetched.
    pub start_early: bool,
    /// Thousandths of a processor that the pod of an algorithm asks for: so many of them fit on a node. A container gets no more than this;
    /// the sandbox uses what is free on the node.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub algorithm_cpu_millis: u32,
}

impl Default for Steps {
    /// One processor for an algorithm, and pods in order.
    fn default() -> Self {
        Self {
            configuration: StepResources::default(),
            publishing: StepResources::default(),
            start_early: false,
            algorithm_cpu_millis: 1000,
        }
    }
}

/// Resources of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(inline)]
pub struct StepResources {
    /// Thousandths of a processor.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub cpu_millis: u32,
    /// Memory.
    #[schemars(schema_with = "schema::amount")]
    pub memory_bytes: u64,
}

impl Default for StepResources {
    /// A tenth of a processor and 256 MiB.
    fn default() -> Self {
        Self { cpu_millis: 100, memory_bytes: 256 * 1024 * 1024 }
    }
}

/// A taint that pods tolerate, as in a PodSpec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Toleration {
    /// The key of the taint. If absent, every taint is tolerated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 317))]
    pub key: Option<String>,
    /// `Exists` or `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub operator: Option<String>,
    /// The value of the taint, with the operator `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// The effect of the taint. If absent, every effect is tolerated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub effect: Option<String>,
}

/// The volume of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(inline)]
pub struct Storage {
    /// The storage class of the volume. If absent, the default of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub class: Option<String>,
    /// The size of the volume, in bytes.
    #[schemars(schema_with = "schema::amount")]
    pub bytes: u64,
    /// One claim for each job, or one that all jobs share.
    pub mode: StorageMode,
    /// The claim that all jobs share, where `mode` is `shared`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub claim: Option<String>,
}

impl Default for Storage {
    /// 2 GiB for each job.
    fn default() -> Self {
        Self { class: None, bytes: 2 * 1024 * 1024 * 1024, mode: StorageMode::PerJob, claim: None }
    }
}

/// Whose a volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum StorageMode {
    /// One claim for each job.
    PerJob,
    /// One claim for all, with a folder for each job: for WebAssembly only, because a container could fill it.
    Shared,
}

/// The volume claims with the datasets of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Root {
    /// The account whose datasets may use these claims.
    #[schemars(schema_with = "schema::account")]
    pub account: String,
    /// The claims.
    #[schemars(length(min = 1, max = 16))]
    pub claims: Vec<RootClaim>,
}

/// A volume claim with datasets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct RootClaim {
    /// The path that sources of type `local` begin with.
    #[schemars(length(min = 2, max = 1024))]
    #[x_kube(validation = Rule::new("self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')")
        .message("path is an absolute path without `..`"))]
    pub path: String,
    /// The claim, in this namespace.
    #[schemars(length(max = 253), regex(pattern = schema::OBJECT_NAME))]
    pub claim: String,
    /// The folder of the claim that `path` stands for. If absent, the whole claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')")
        .message("subPath is a path without `..` that does not begin with `/`"))]
    pub sub_path: Option<String>,
}

/// An interpreter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Interpreter {
    /// Its name, such as `python`.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9][a-z0-9-]*$"))]
    pub name: String,
    /// The image of pods that run scripts with it: the `sandbox` program, and the bundle in `/interpreter`.
    /// deploy/images/build.sh makes it.
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.matches('@sha256:[0-9a-f]{64}$')")
        .message("an image is pinned by digest: NAME@sha256:DIGEST, because a tag can be moved"))]
    pub image: String,
    /// The digest that `sandbox runtime bundle` printed when the image was made. The sandbox runs compiled code only if this digest
    /// covers it.
    #[x_kube(validation = Rule::new("self.matches('^sha256:[0-9a-f]{64}$')")
        .message("the digest of a bundle is sha256: and 64 hexadecimal digits, as `sandbox runtime bundle` printed it"))]
    #[schemars(length(max = 71))]
    pub bundle: String,
}

/// What the controller reports about an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
#[schemars(inline)]
pub struct EnvironmentStatus {
    /// What canary pods found out about network and storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// The generation of the resource that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `NetworkPolicyEnforced`, `StorageWorks`.
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// What canaries found, which go from node to node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Isolation {
    /// When the last canary pod checked.
    pub at: Moment,
    /// For how long after its first instruction a canary pod still reached something, on the node where this took the longest. Absent if
    /// none reached anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::amount_or_none")]
    pub window_ms: Option<u64>,
    /// When the last round of checks ended, which goes over the nodes one by one. Absent during the first round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_ended: Option<Moment>,
    /// The nodes that canary pods have checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub nodes: Vec<NodeIsolation>,
}

/// What a canary found on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct NodeIsolation {
    /// The node.
    #[schemars(length(max = 253))]
    pub node: String,
    /// When the canary pod checked the node.
    pub at: Moment,
    /// For how long after its first instruction the canary pod still reached something. Absent if it reached nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::amount_or_none")]
    pub window_ms: Option<u64>,
    /// Whether the network policy is enforced there.
    pub network: FoundWall,
    /// Whether volumes work there, and hold no more than their size.
    pub storage: FoundWall,
    /// The walls of the sandbox that its kernel cannot put up in full, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 512)))]
    pub kernel_lacks: Vec<String>,
}

/// What a canary found of one wall: the parts of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct FoundWall {
    /// Whether this is so.
    pub status: ConditionStatus,
    /// Why, in one word in CamelCase.
    #[schemars(length(min = 1, max = 64))]
    pub reason: String,
    /// Why, in a sentence. Safe to show.
    #[schemars(length(max = 4096))]
    pub message: String,
}

impl Environment {
    /// What containers want here and is not known to be there: the conditions that do not hold, or a storage that all jobs share,
    /// which a container could fill.
    #[must_use]
    pub fn missing_walls(&self) -> Vec<&'static str> {
        let RuntimeRules { require_network_policy, require_enforced_storage, .. } = &self.spec.runtimes;
        let conditions = self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let holds = |kind: &str| {
            let now = self.metadata.generation;
            Condition::of(conditions, kind).is_some_and(|condition| {
                // What was found out about other rules says nothing of the present ones.
                condition.status == ConditionStatus::True && condition.observed_generation == now
            })
        };
        [
            (*require_network_policy && !holds(NETWORK_POLICY_ENFORCED), NETWORK_POLICY_ENFORCED),
            (*require_enforced_storage && !holds(STORAGE_WORKS), STORAGE_WORKS),
            (self.spec.storage.mode == StorageMode::Shared, "a volume of its own for each job"),
        ]
        .into_iter()
        .filter_map(|(is_missing, wall)| is_missing.then_some(wall))
        .collect()
    }

    /// What it offers, as the ports show it, without any job. None if its name is not one of an environment.
    #[must_use]
    pub fn offered(&self) -> Option<cloister_model::EnvironmentStatus> {
        let id = self.metadata.name.as_deref()?.parse().ok()?;
        let EnvironmentSpec { description, limits, runtimes, interpreters, .. } = &self.spec;
        let withholds_containers = runtimes.kinds.contains(&RuntimeKind::Container) && !self.missing_walls().is_empty();
        let kinds = runtimes.kinds.iter().copied();
        Some(cloister_model::EnvironmentStatus {
            id,
            description: description.clone(),
            offers: cloister_model::Environment {
                runtimes: kinds.filter(|kind| *kind == RuntimeKind::Wasm || !withholds_containers).collect(),
                profiles: runtimes.profiles.clone(),
                registries: runtimes.registries.clone(),
                withholds_containers,
            },
            interpreters: interpreters.iter().filter_map(|interpreter| interpreter.name.parse().ok()).collect(),
            cpus: limits.cpus,
            memory_bytes: limits.memory_bytes,
            job_memory_bytes: limits.job_memory_bytes,
            max_wall_ms: limits.wall_ms,
            max_jobs: limits.jobs,
            max_queued: limits.queued,
            phases: BTreeMap::new(),
        })
    }
}
