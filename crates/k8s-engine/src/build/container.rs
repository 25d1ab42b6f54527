//! The pod of an algorithm that is a container: a stranger's image, so that nothing in it is believed.
//!
//! First a container of ours takes the claim of the run and leaves the program `entry` in a folder of the pod. Then the
//! algorithm's own image runs that program, read-only, as its process 1; it puts up walls of its own and starts the
//! algorithm's command behind them. The claim, the termination message and the report of a sandbox have no counterpart here: of
//! what happens in the algorithm's container, only the exit code of its process 1 counts, which the kubelet sees.
//!
//! What it writes is bounded by the size of the job's volume, and `/tmp` by memory. How many processes a pod may have is the
//! node's setting (`podPidsLimit`); what is set here bounds each container as well as an unprivileged process can.

use super::{
    ATTEMPT, JOB, Owner, PodSettings, StepResources,
    algorithm::{Closed, closed, live_log_bytes},
    frame::{container, elsewhere, resources},
    layout::{CLOISTER_FOLDER, ENTRY, Folder, LOG, TERMINATION_MESSAGE},
};
use cloister_lifecycle::run_contract;
use cloister_model::{Did, ImageError, JobId, JobSpec, Limits, PinnedImage, Sha256, algorithm_variables};
use k8s_openapi::{
    api::core::v1::{Container, EmptyDirVolumeSource, PersistentVolumeClaim, Pod, Volume, VolumeMount},
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ObjectMeta, OwnerReference},
    },
};

/// The name of the algorithm's container.
pub const CONTAINER: &str = "algorithm";
/// The name of the container that takes the claim.
pub const BEGIN: &str = "begin";

/// `/tmp` and what else is temporary, in bytes: in memory, because that is the only bound of a folder that the kernel keeps.
const TEMPORARY_BYTES: u64 = 64 << 20;
/// Memory of process 1, in bytes.
const ENTRY_BYTES: u64 = 16 << 20;
/// Memory of the container that takes the claim, the container runtime's own start included, in bytes.
const BEGIN_BYTES: u64 = 64 << 20;
/// The folder with the program, and what the container runtime keeps, in bytes.
const DISK_BYTES: u64 = 64 << 20;
/// Processes and threads of the algorithm, where no other pod counts as the same user.
const PROCESSES: u64 = 512;
/// The same where all pods of a node are one user: it has to hold for all of them together.
const PROCESSES_OF_NODE: u64 = 8192;

/// A run, as process 1 in the pod is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What it runs in.
    pub image: PinnedImage,
    /// Its command.
    pub entrypoint: String,
    /// The algorithm; none for a raw one.
    pub did: Option<Did>,
    /// The digest of its files, which stands for the name of a raw one.
    pub algorithm: Sha256,
    /// The datasets, in the order of `DIDS`.
    pub datasets: Vec<Did>,
    /// What it may use.
    pub limits: Limits,
    /// Bytes of one output.
    pub output_bytes: u64,
    /// The most bytes of its log.
    pub log_bytes: u64,
    /// The most bytes of its log that the pod prints while it runs; 0: none.
    pub live_log_bytes: u64,
}

impl Run {
    /// The run of a job. `algorithm` is the digest of the files that configuration has laid out.
    ///
    /// # Errors
    /// If its image is not pinned, which no decision allows.
    pub fn of(spec: &JobSpec, algorithm: Sha256) -> Result<Self, ImageError> {
        let contract = run_contract(&spec.terms);
        Ok(Self {
            image: PinnedImage::of(&spec.algorithm.container)?,
            entrypoint: spec.algorithm.container.entrypoint.clone(),
            did: spec.algorithm.did.clone(),
            algorithm,
            datasets: spec.inputs.iter().map(|input| input.did.clone()).collect(),
            limits: spec.limits.clone(),
            output_bytes: contract.max_bytes,
            log_bytes: contract.max_log_bytes,
            live_log_bytes: live_log_bytes(&spec.terms),
        })
    }
}

/// The most memory of a run, in bytes: what the algorithm may have, what it keeps in `/tmp`, and process 1. It is reserved.
#[must_use]
pub fn memory_bytes(limits: &Limits) -> u64 {
    limits.memory_bytes.saturating_add(TEMPORARY_BYTES).saturating_add(ENTRY_BYTES)
}

/// The pod that runs the container. The claim on the volume lets it begin once, however often the pod is created.
#[must_use]
pub fn build(settings: &PodSettings, owner: &Owner, attempt: u32, run: &Run) -> Pod {
    let algorithm = algorithm(settings, &run.image.to_string(), arguments(settings, run), &run.limits);
    around(settings, owner, attempt, algorithm, &run.limits)
}

/// How long a canary tries, in milliseconds: policies that come late come within this on the slowest plugins that are known.
const CANARY_MS: u64 = 30_000;
/// Memory of a canary beside what every algorithm's container has, in bytes.
const CANARY_BYTES: u64 = 16 << 20;
/// The label of a canary and its volume: the environment.
pub const CANARY: &str = "cloister.dev/canary";
/// What a canary must not reach, beside the API server, which it knows itself.
const CLOSED: [&str; 3] = [
    "the metadata of the machine=169.254.169.254:80",
    "the metadata of the machine=[fd00:ec2::254]:80",
    "the internet=1.1.1.1:443",
];

/// The volume and the pod of the canary of an environment: those of an algorithm that is a container, made by the same functions,
/// with our program in the place of the algorithm's and without the walls that it would put up itself. It goes to another node than
/// those that canaries have `been_to`, if one takes it.
#[must_use]
pub fn canary(
    settings: &PodSettings,
    environment: &EnvironmentOwner,
    generation: i64,
    been_to: &[&str],
) -> (PersistentVolumeClaim, Pod) {
    let settings = PodSettings { algorithm_cpu_millis: 50, ..settings.clone() };
    let digest = Sha256::of(environment.uid.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    // It belongs to no job, and no job has this id.
    let owner = Owner { job: JobId::from_bytes(bytes), uid: environment.uid.clone() };
    let mut arguments = vec!["canary".to_owned()];
    let mut option = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    option("ms", CANARY_MS.to_string());
    option("folder", "/data/outputs".to_owned());
    option("message", TERMINATION_MESSAGE.to_owned());
    CLOSED.into_iter().for_each(|place| option("reach", place.to_owned()));
    let limits = Limits { memory_bytes: CANARY_BYTES, wall_ms: CANARY_MS, ..Limits::default() };
    let container = algorithm(&settings, &settings.sandbox_image, arguments, &limits);
    let mut pod = around(&settings, &owner, 1, container, &limits);
    let mut claim = super::volume::build(&settings, &owner);
    let claimed = environment.volume();
    for volume in pod.spec.iter_mut().flat_map(|spec| spec.volumes.iter_mut().flatten()) {
        if let Some(of_job) = &mut volume.persistent_volume_claim {
            of_job.claim_name.clone_from(&claimed);
        }
    }
    // Which version of the Environment it speaks of.
    pod.metadata.annotations.get_or_insert_default().insert(ATTEMPT.to_owned(), generation.to_string());
    elsewhere(&mut pod, been_to);
    environment.own(&mut pod.metadata, environment.pod());
    environment.own(&mut claim.metadata, claimed);
    (claim, pod)
}

/// The Environment that a canary belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentOwner {
    /// Its name.
    pub name: String,
    /// Its `uid`.
    pub uid: String,
}

impl EnvironmentOwner {
    /// The name of its canary.
    #[must_use]
    pub fn pod(&self) -> String {
        format!("canary-{}", self.name)
    }

    /// The name of the claim of its canary.
    #[must_use]
    pub fn volume(&self) -> String {
        format!("canary-{}", self.name)
    }

    fn own(&self, metadata: &mut ObjectMeta, name: String) {
        metadata.name = Some(name);
        metadata.owner_references = Some(vec![OwnerReference {
            api_version: "cloister.dev/v1alpha1".to_owned(),
            kind: "Environment".to_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(false),
        }]);
        let labels = metadata.labels.get_or_insert_default();
        labels.remove(JOB);
        labels.insert(CANARY.to_owned(), self.name.clone());
    }
}

/// The container of the algorithm: any program of any image has these rights.
fn algorithm(settings: &PodSettings, image: &str, arguments: Vec<String>, limits: &Limits) -> Container {
    let mut mounts: Vec<VolumeMount> = ["inputs", "ddos", "transformations"].into_iter().map(input).collect();
    mounts.push(VolumeMount { mount_path: "/data/outputs".to_owned(), ..Folder::Outputs.writable() });
    mounts.push(Folder::Run.writable());
    mounts.extend([("/tmp", "tmp"), ("/var/tmp", "var"), ("/data/logs", "logs")].map(temporary_mount));
    mounts.push(program_mount(true));
    let program = format!("{CLOISTER_FOLDER}{ENTRY}");
    let mut container = container(CONTAINER, image, &program, arguments, mounts);
    let mut wanted = resources(StepResources {
        cpu_millis: settings.algorithm_cpu_millis,
        memory_bytes: memory_bytes(limits),
        disk_bytes: DISK_BYTES,
    });
    if let Some(most) = &mut wanted.limits {
        // Unlike the sandbox, it may have any number of threads.
        most.insert("cpu".to_owned(), Quantity(format!("{}m", settings.algorithm_cpu_millis)));
    }
    container.resources = Some(wanted);
    container
}

/// A pod with everything that an algorithm's container has around it, and nothing else.
fn around(settings: &PodSettings, owner: &Owner, attempt: u32, algorithm: Container, limits: &Limits) -> Pod {
    let parts = Closed {
        before: vec![begin(settings)],
        container: algorithm,
        volumes: vec![program_volume(), temporary_volume()],
        milliseconds: limits.wall_ms,
        runtime_class: settings.container_runtime_class.clone(),
    };
    closed(settings, owner, attempt, parts)
}

/// The container that takes the claim: the only one of the pod that sees it.
fn begin(settings: &PodSettings) -> Container {
    let arguments =
        ["begin", "--claim", &Folder::Claim.file("claim"), "--copy-to", &format!("{CLOISTER_FOLDER}{ENTRY}")];
    let arguments = arguments.map(str::to_owned).to_vec();
    let mounts = vec![Folder::Claim.writable(), program_mount(false)];
    let mut container = container(BEGIN, &settings.sandbox_image, ENTRY, arguments, mounts);
    container.resources =
        Some(resources(StepResources { cpu_millis: 10, memory_bytes: BEGIN_BYTES, disk_bytes: DISK_BYTES }));
    container
}

fn arguments(settings: &PodSettings, run: &Run) -> Vec<String> {
    let Run { image: _, entrypoint, did, algorithm, datasets, limits, output_bytes, log_bytes, live_log_bytes } = run;
    let mut arguments = vec!["run".to_owned()];
    let mut option = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    option("entrypoint", entrypoint.clone());
    option("log", Folder::Run.file(LOG));
    option("log-bytes", log_bytes.to_string());
    option("live-log-bytes", live_log_bytes.to_string());
    option("wall-ms", limits.wall_ms.to_string());
    option("cpu-seconds", limits.cpu_seconds.to_string());
    option("file-bytes", output_bytes.to_string());
    option("processes", if settings.user_namespaces { PROCESSES } else { PROCESSES_OF_NODE }.to_string());
    for folder in ["/data/outputs", "/data/logs", "/tmp", "/var/tmp"] {
        option("writable", folder.to_owned());
    }
    option("home", "/tmp/home".to_owned());
    for (name, value) in algorithm_variables(datasets, did.as_ref(), algorithm) {
        option("env", format!("{name}={value}"));
    }
    arguments
}

/// A part of the inputs, where an algorithm looks for it.
fn input(part: &str) -> VolumeMount {
    let whole = Folder::Inputs.read_only();
    VolumeMount {
        mount_path: format!("/data/{part}"),
        sub_path: Some(format!("{}/{part}", Folder::Inputs.sub_path())),
        ..whole
    }
}

fn program_volume() -> Volume {
    let size_limit = Some(Quantity(DISK_BYTES.to_string()));
    let empty = EmptyDirVolumeSource { size_limit, ..EmptyDirVolumeSource::default() };
    Volume { name: "program".to_owned(), empty_dir: Some(empty), ..Volume::default() }
}

fn program_mount(read_only: bool) -> VolumeMount {
    VolumeMount {
        name: "program".to_owned(),
        mount_path: CLOISTER_FOLDER.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    }
}

fn temporary_volume() -> Volume {
    let size_limit = Some(Quantity(TEMPORARY_BYTES.to_string()));
    let medium = Some("Memory".to_owned());
    let empty = EmptyDirVolumeSource { size_limit, medium, ..EmptyDirVolumeSource::default() };
    Volume { name: "temporary".to_owned(), empty_dir: Some(empty), ..Volume::default() }
}

fn temporary_mount((path, folder): (&str, &str)) -> VolumeMount {
    VolumeMount {
        name: "temporary".to_owned(),
        mount_path: path.to_owned(),
        sub_path: Some(folder.to_owned()),
        ..VolumeMount::default()
    }
}
