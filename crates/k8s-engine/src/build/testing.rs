//! Settings and a job for tests.

use super::{
    DatasetRoot, InterpreterImage, Owner, PodSettings, ResultStoreAccess, StepResources, Storage, algorithm,
    configuration::OrderParts, container, publishing::Outputs,
};
use cloister_model::{
    CommandLine, Container, FilterOrder, JobId, Limits, OutputContract, PinnedImage, Profile, PublishOrder,
    ReleaseRules, Sha256, StepVersion,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use std::collections::BTreeMap;

pub(crate) const JOB: JobId = JobId::from_bytes([7; 16]);
pub(crate) const REPORT: Sha256 = Sha256::from_bytes([9; 32]);

pub(crate) fn settings() -> PodSettings {
    let resources = StepResources { cpu_millis: 100, memory_bytes: 256 << 20, disk_bytes: 1 << 30 };
    PodSettings {
        namespace: "cloister-jobs".to_owned(),
        cloister_image: format!("registry.example/cloister@sha256:{}", "1".repeat(64)),
        sandbox_image: format!("registry.example/sandbox@sha256:{}", "2".repeat(64)),
        interpreters: BTreeMap::from([("python".parse().expect("a name"), python())]),
        image_pull_secrets: vec!["pull".to_owned()],
        node_selector: BTreeMap::from([("pool".to_owned(), "jobs".to_owned())]),
        tolerations: Vec::new(),
        priority_class: Some("jobs".to_owned()),
        runtime_class: Some("fast".to_owned()),
        container_runtime_class: Some("apart".to_owned()),
        user_namespaces: true,
        selinux_levels: true,
        strict_groups: true,
        storage: Storage { class: Some("local".to_owned()), bytes: 4 << 30 },
        configuration: resources,
        publishing: resources,
        start_early: false,
        algorithm_cpu_millis: 1000,
        sources_secret: Some("sources".to_owned()),
        roots: Vec::new(),
        results: ResultStoreAccess { secret: "results".to_owned(), claim: Some("results".to_owned()) },
    }
}

fn python() -> InterpreterImage {
    InterpreterImage {
        image: format!("registry.example/sandbox-python@sha256:{}", "4".repeat(64)),
        bundle: Sha256::from_bytes([5; 32]),
    }
}

/// Everything that can be left out is.
pub(crate) fn bare_settings() -> PodSettings {
    PodSettings {
        interpreters: BTreeMap::new(),
        image_pull_secrets: Vec::new(),
        node_selector: BTreeMap::new(),
        priority_class: None,
        runtime_class: None,
        container_runtime_class: None,
        user_namespaces: false,
        selinux_levels: false,
        strict_groups: false,
        storage: Storage { class: None, bytes: 1 },
        sources_secret: None,
        results: ResultStoreAccess { secret: "results".to_owned(), claim: None },
        ..settings()
    }
}

pub(crate) fn owner() -> Owner {
    Owner { job: JOB, uid: "5f2c1d3e-0000-4000-8000-000000000000".to_owned() }
}

pub(crate) fn run() -> algorithm::Run {
    algorithm::Run {
        did: Some("did:op:algorithm".parse().expect("a DID")),
        datasets: vec!["did:op:one".parse().expect("a DID"), "did:op:two".parse().expect("a DID")],
        contract: OutputContract::default(),
        limits: Limits::default(),
        profile: Profile::Deterministic,
        live_log_bytes: 1 << 20,
        interpreter: None,
        command_line: CommandLine::default(),
        roots: Vec::new(),
        awaits_inputs_ms: None,
    }
}

pub(crate) fn configuration(settings: &PodSettings) -> Pod {
    configuration_of(settings, false)
}

/// The pod of an order that needs files of the result store.
pub(crate) fn configuration_with_store(settings: &PodSettings) -> Pod {
    configuration_of(settings, true)
}

fn configuration_of(settings: &PodSettings, reads_store: bool) -> Pod {
    let secrets = vec![format!("{JOB}-p0"), format!("{JOB}-p1")];
    let order = OrderParts { secrets, sha256: Sha256::from_bytes([8; 32]), reads_store, reads_local: false };
    let memory = algorithm::memory_request(&run().limits);
    super::configuration::build(settings, &owner(), 1, (&order, &[]), 3600, memory)
}

/// The pods of a job whose datasets are on claims of the operator's: the pod of configuration, and that of the algorithm.
pub(crate) fn with_roots(settings: &PodSettings, roots: &[DatasetRoot]) -> [Pod; 2] {
    let order = OrderParts {
        secrets: vec![format!("{JOB}-p0")],
        sha256: Sha256::from_bytes([8; 32]),
        reads_store: false,
        reads_local: true,
    };
    let configuration = super::configuration::build(settings, &owner(), 1, (&order, roots), 3600, 0);
    [configuration, algorithm::build(settings, &owner(), 1, &algorithm::Run { roots: roots.to_vec(), ..run() })]
}

pub(crate) fn algorithm(settings: &PodSettings) -> Pod {
    algorithm::build(settings, &owner(), 2, &run())
}

/// The pod of an algorithm that is a script.
pub(crate) fn script(settings: &PodSettings) -> Pod {
    algorithm::build(settings, &owner(), 2, &algorithm::Run { interpreter: Some(python()), ..run() })
}

/// The container that [`container`] runs.
pub(crate) fn container_run() -> container::Run {
    let image = Container {
        image: "registry.example/team/python".to_owned(),
        tag: Some("3".to_owned()),
        entrypoint: "python3 $ALGO".to_owned(),
        checksum: Some(format!("sha256:{}", "3".repeat(64))),
    };
    container::Run {
        image: PinnedImage::of(&image).expect("an image"),
        entrypoint: image.entrypoint,
        did: Some("did:op:algorithm".parse().expect("a DID")),
        algorithm: Sha256::from_bytes([6; 32]),
        datasets: vec!["did:op:one".parse().expect("a DID"), "did:op:two".parse().expect("a DID")],
        limits: Limits::default(),
        output_bytes: 1 << 30,
        log_bytes: 16 << 20,
        live_log_bytes: 1 << 20,
    }
}

/// The pod of an algorithm that is a container.
pub(crate) fn container(settings: &PodSettings) -> Pod {
    container::build(settings, &owner(), 2, &container_run())
}

/// The volume and the pod of the canary of an environment.
pub(crate) fn canary(settings: &PodSettings, been_to: &[&str]) -> (PersistentVolumeClaim, Pod) {
    let owner = container::EnvironmentOwner { name: "local".to_owned(), uid: owner().uid };
    container::canary(settings, &owner, 3, been_to)
}

pub(crate) fn publishing(settings: &PodSettings) -> Pod {
    publishing_with(settings, ReleaseRules::default())
}

pub(crate) fn publishing_with(settings: &PodSettings, release: ReleaseRules) -> Pod {
    let filter = FilterOrder {
        version: StepVersion::V1,
        job: JOB,
        contract: OutputContract::default(),
        release,
        check_limits: Limits::default(),
        outputs: Vec::new(),
        output_directories: 0,
        unreported: false,
    };
    let publish = PublishOrder { version: StepVersion::V1, job: JOB, files: Vec::new(), encrypt_to: None };
    let outputs = Outputs {
        filter: &filter,
        publish: &publish,
        reviewed: false,
        run: super::publishing::RunFiles { report: super::publishing::RunReport::Digest(REPORT), log_bytes: 1 << 20 },
    };
    super::publishing::build(settings, &owner(), 1, &outputs, 3600)
}

/// The pod that keeps the report and the log of the run.
pub(crate) fn keep(settings: &PodSettings) -> Pod {
    let run = super::publishing::RunFiles { report: super::publishing::RunReport::Digest(REPORT), log_bytes: 1 << 20 };
    super::publishing::keep(settings, &owner(), 1, run)
}
