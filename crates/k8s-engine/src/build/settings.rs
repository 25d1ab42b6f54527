use super::roots::Root;
use cloister_model::{InterpreterId, Sha256};
use k8s_openapi::api::core::v1::Toleration;
use std::collections::BTreeMap;

/// What the operator says about the pods of an environment.
#[derive(Clone, Debug, PartialEq)]
pub struct PodSettings {
    /// The namespace of the jobs.
    pub namespace: String,
    /// The image with the `cloister` program, pinned by its digest.
    pub cloister_image: String,
    /// The image with the `sandbox` program and nothing else, pinned by its digest.
    pub sandbox_image: String,
    /// The images of algorithm pods that run scripts, by the interpreter that they hold.
    pub interpreters: BTreeMap<InterpreterId, InterpreterImage>,
    /// Secrets that the kubelet pulls these images with.
    pub image_pull_secrets: Vec<String>,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that pods tolerate.
    pub tolerations: Vec<Toleration>,
    /// The priority of all pods; none: the cluster's default.
    pub priority_class: Option<String>,
    /// The runtime of algorithm pods; none: the cluster's default.
    pub runtime_class: Option<String>,
    /// The runtime of the pods of algorithms that are containers; none: the cluster's default.
    pub container_runtime_class: Option<String>,
    /// Whether pods run in a user namespace of their own. The nodes and the file system of the volumes must be able to.
    pub user_namespaces: bool,
    /// Whether the three pods of a job get one SELinux level, which no other job has.
    pub selinux_levels: bool,
    /// Whether pods get no groups that an image names.
    pub strict_groups: bool,
    /// The volume of a job.
    pub storage: Storage,
    /// What configuration may use.
    pub configuration: StepResources,
    /// What publishing may use.
    pub publishing: StepResources,
    /// Whether the pods of a WebAssembly job are created together, and wait for each other on its volume.
    pub start_early: bool,
    /// Thousandths of a processor for the algorithm.
    pub algorithm_cpu_millis: u64,
    /// The secret with the settings of configuration (which networks sources may be in, and so on) in its key
    /// [`CONFIG_FILE`](super::layout::CONFIG_FILE); none: the defaults, which are the closed ones.
    pub sources_secret: Option<String>,
    /// Claims with large datasets, which are not copied.
    pub roots: Vec<Root>,
    /// How publishing reaches the result store.
    pub results: ResultStoreAccess,
}

/// An image with the `sandbox` program, and with an interpreter that is compiled already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterpreterImage {
    /// The image, pinned by its digest.
    pub image: String,
    /// The digest of the interpreter's bundle. The sandbox runs no machine code that it does not vouch for, so that an image that
    /// a node has under another name is of no use.
    pub bundle: Sha256,
}

/// The volume that the three pods of a job share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The class; none: the cluster's default.
    pub class: Option<String>,
    /// Its size in bytes: inputs, outputs, log and report together.
    pub bytes: u64,
}

/// What a step may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepResources {
    /// Thousandths of a processor that it is given at least.
    pub cpu_millis: u64,
    /// The most memory, in bytes. It is reserved.
    pub memory_bytes: u64,
    /// The most of the node's disk, in bytes. It is reserved.
    pub disk_bytes: u64,
}

/// How publishing reaches the result store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultStoreAccess {
    /// The secret with `results.url` and the store's credentials in its key [`CONFIG_FILE`](super::layout::CONFIG_FILE).
    pub secret: String,
    /// The claim that is the store, mounted at `/results`; none: the store is elsewhere.
    pub claim: Option<String>,
}
