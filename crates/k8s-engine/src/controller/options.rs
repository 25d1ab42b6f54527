//! What the pods of an environment are made of: what the operator says of the installation, and what the Environment says.

use crate::{
    build::{InterpreterImage, PodSettings, ResultStoreAccess, Root, StepResources, Storage},
    resources::{self, Environment, EnvironmentSpec},
};
use cloister_lifecycle::Capacity;
use cloister_model::{Account, InterpreterId};
use k8s_openapi::api::core::v1::Toleration;

/// The most of a node's disk that a step around a run may use, in bytes.
const STEP_DISK_BYTES: u64 = 1 << 30;

/// What is the same for every environment of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// The image with the `cloister` program, pinned by its digest.
    pub cloister_image: String,
    /// The image with the `sandbox` program and nothing else, pinned by its digest.
    pub sandbox_image: String,
    /// How publishing reaches the result store.
    pub results: ResultStoreAccess,
    /// The Secret with the settings of configuration; none: the defaults, which are the closed ones.
    ///
    /// If jobs use uploads or results of other jobs, these settings must name the result store (`results.url`, and
    /// `results.options` with keys that may read it): configuration reads those files there. A store that is a claim is
    /// mounted for it at `/results`, read-only.
    pub sources_secret: Option<String>,
    /// The priority of all pods; none: the cluster's default.
    pub priority_class: Option<String>,
    /// Whether pods run in a user namespace of their own. The nodes and the file system of the volumes must be able to.
    pub user_namespaces: bool,
    /// Whether the three pods of a job get one SELinux level, which no other job has.
    pub selinux_levels: bool,
    /// Whether pods get no groups that an image names (`supplementalGroupsPolicy`, Kubernetes 1.35).
    pub strict_groups: bool,
}

/// An interpreter; none if the API server has let something through that its definition forbids.
fn interpreter(of: &resources::Interpreter) -> Option<(InterpreterId, InterpreterImage)> {
    let bundle = of.bundle.strip_prefix("sha256:")?.parse().ok()?;
    Some((of.name.parse().ok()?, InterpreterImage { image: of.image.clone(), bundle }))
}

/// The claims of an account.
fn roots_of(of: &resources::Root) -> Vec<Root> {
    let Ok(account) = of.account.parse::<Account>() else { return Vec::new() };
    let root = |claim: &resources::RootClaim| Root {
        account: account.clone(),
        path: claim.path.clone(),
        claim: claim.claim.clone(),
        sub_path: claim.sub_path.clone(),
    };
    of.claims.iter().map(root).collect()
}

/// What the pods of an environment are made of.
pub(super) fn settings(options: &EngineOptions, namespace: &str, environment: &Environment) -> PodSettings {
    let EngineOptions {
        cloister_image,
        sandbox_image,
        results,
        sources_secret,
        priority_class,
        user_namespaces,
        selinux_levels,
        strict_groups,
    } = options.clone();
    let EnvironmentSpec { runtimes, interpreters, steps, node_selector, tolerations, storage, roots, .. } =
        &environment.spec;
    let step = |resources: resources::StepResources| StepResources {
        cpu_millis: u64::from(resources.cpu_millis),
        memory_bytes: resources.memory_bytes,
        disk_bytes: STEP_DISK_BYTES,
    };
    let toleration = |toleration: &resources::Toleration| Toleration {
        key: toleration.key.clone(),
        operator: toleration.operator.clone(),
        value: toleration.value.clone(),
        effect: toleration.effect.clone(),
        toleration_seconds: None,
    };
    PodSettings {
        namespace: namespace.to_owned(),
        cloister_image,
        sandbox_image,
        interpreters: interpreters.iter().filter_map(interpreter).collect(),
        image_pull_secrets: runtimes.pull_secrets.clone(),
        node_selector: node_selector.clone(),
        tolerations: tolerations.iter().map(toleration).collect(),
        priority_class,
        // The runtime class of an environment is for containers: gVisor has no Landlock.
        runtime_class: None,
        container_runtime_class: runtimes.runtime_class.clone(),
        user_namespaces,
        selinux_levels,
        strict_groups,
        storage: Storage { class: storage.class.clone(), bytes: storage.bytes },
        configuration: step(steps.configuration),
        publishing: step(steps.publishing),
        start_early: steps.start_early,
        algorithm_cpu_millis: u64::from(steps.algorithm_cpu_millis),
        sources_secret,
        roots: roots.iter().flat_map(roots_of).collect(),
        results,
    }
}

/// What there is for all jobs of an environment together.
pub(super) fn capacity(environment: &Environment) -> Capacity {
    let limits = &environment.spec.limits;
    Capacity { jobs: limits.jobs, cpus: u64::from(limits.cpus), memory_bytes: limits.memory_bytes, reserved: 0 }
}
