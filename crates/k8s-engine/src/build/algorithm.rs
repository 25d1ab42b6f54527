//! The pod that runs the algorithm: no network, no secret, no token, and inputs that it cannot write.

use super::{
    Owner, PodSettings, PodStep, StepResources,
    frame::{Parts, container, pod, resources, scratch, scratch_mount, without_network},
    layout::{BUNDLE, Folder, LAID_OUT, LOG, MOUNTED, RAN, REPORT, SANDBOX, SCRATCH, TERMINATION_MESSAGE},
    roots::{DatasetRoot, Mounted},
    settings::InterpreterImage,
};
use cloister_lifecycle::run_contract;
use cloister_model::{
    CommandLine, CompileLimits, Did, JobId, JobSpec, Limits, OutputContract, Profile, StandardInput, Terms,
};
use k8s_openapi::{
    api::core::v1::{Container, Pod, PodSpec, Volume},
    apimachinery::pkg::api::resource::Quantity,
};

/// The name of the container.
pub const CONTAINER: &str = "sandbox";
/// Memory of the sandbox itself, in bytes: the host's program, its threads and what it reads and writes.
const SANDBOX_BYTES: u64 = 256 << 20;
/// The most of the node's disk for `/tmp` and compiled artifacts beyond the artifact itself, in bytes.
const DISK_BYTES: u64 = 64 << 20;
/// Seconds that the pod may take beyond the limits of its run: it waits for its image and its volume, and digests inputs.
const WAITING_SECONDS: u64 = 900;
/// The most bytes of a log that can be read while its algorithm runs.
const MOST_LIVE_LOG_BYTES: u64 = 8 << 20;
/// The sandbox ends its guest at SIGTERM.
const GRACE_SECONDS: i64 = 10;

/// What compiling takes where nothing is compiled.
const NOTHING_TO_COMPILE: CompileLimits = CompileLimits { wall_ms: 0, memory_bytes: 0, artifact_bytes: 0 };

/// A run, as the sandbox in the pod is told it.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The algorithm; none for a raw one.
    pub did: Option<Did>,
    /// The datasets, in the order of `DIDS`.
    pub datasets: Vec<Did>,
    /// What it may leave.
    pub contract: OutputContract,
    /// What it may use.
    pub limits: Limits,
    /// What it may learn of time and chance.
    pub profile: Profile,
    /// The most bytes of its log that the pod prints while it runs; 0: none. What a pod prints is shipped to places outside every
    /// contract, so it is what the consumer may read at once, and nothing else.
    pub live_log_bytes: u64,
    /// The interpreter, which is compiled already; none: the file is a WebAssembly program itself.
    pub interpreter: Option<InterpreterImage>,
    /// What the algorithm is started with, before it was [filled](CommandLine::filled).
    pub command_line: CommandLine,
    /// Claims that files of its datasets may be on.
    pub roots: Vec<DatasetRoot>,
    /// If its inputs may still have to be laid out, for how long it waits for them at most, in milliseconds.
    pub awaits_inputs_ms: Option<u64>,
}

impl Run {
    /// The run of a job. None: the environment no longer has its interpreter.
    #[must_use]
    pub fn of(spec: &JobSpec, settings: &PodSettings) -> Option<Self> {
        let interpreter = match &spec.algorithm.interpreter {
            Some(name) => Some(settings.interpreters.get(name)?.clone()),
            None => None,
        };
        Some(Self {
            did: spec.algorithm.did.clone(),
            datasets: spec.inputs.iter().map(|input| input.did.clone()).collect(),
            contract: run_contract(&spec.terms),
            limits: spec.limits.clone(),
            profile: spec.terms.profile,
            live_log_bytes: live_log_bytes(&spec.terms),
            interpreter,
            command_line: spec.command_line(),
            roots: Vec::new(),
            awaits_inputs_ms: None,
        })
    }
}

/// The most bytes of a log that can be read while its algorithm runs: a log that the contract holds cannot, and a kubelet gives
/// back 10 MiB at most.
#[must_use]
pub fn live_log_bytes(terms: &Terms) -> u64 {
    let bytes = terms.output_contract.max_log_bytes;
    if terms.release.holds_log() || bytes > MOST_LIVE_LOG_BYTES { 0 } else { bytes }
}

/// What is reserved for a run, in bytes: its memory and the sandbox's. Compiling may take more for a moment, up to
/// [`memory_limit`].
#[must_use]
pub fn memory_request(limits: &Limits) -> u64 {
    limits.memory_bytes.saturating_add(SANDBOX_BYTES)
}

/// The most memory of a run, in bytes.
#[must_use]
pub fn memory_limit(limits: &Limits) -> u64 {
    limits.memory_bytes.max(limits.compile.memory_bytes).saturating_add(SANDBOX_BYTES)
}

/// The pod that runs the algorithm. The claim on the volume lets it begin once, however often the pod is created.
#[must_use]
pub fn build(settings: &PodSettings, owner: &Owner, attempt: u32, run: &Run) -> Pod {
    let Run {
        did: _,
        datasets: _,
        contract: _,
        limits,
        profile: _,
        live_log_bytes: _,
        interpreter,
        command_line: _,
        roots,
        awaits_inputs_ms,
    } = run;
    let mut mounts = vec![
        Folder::Inputs.read_only(),
        Folder::Ready.read_only(),
        Folder::Outputs.writable(),
        Folder::Run.writable(),
        Folder::Claim.writable(),
        scratch_mount(),
    ];
    let (of_roots, mounts_of_roots): (Vec<_>, Vec<_>) = Mounted::of(roots).volumes().into_iter().unzip();
    mounts.extend(mounts_of_roots);
    // An interpreter is compiled already, and a program is compiled here.
    let compiling = if interpreter.is_some() { NOTHING_TO_COMPILE } else { limits.compile.clone() };
    let disk_bytes = compiling.artifact_bytes.saturating_add(DISK_BYTES);
    let image = interpreter.as_ref().map_or(&settings.sandbox_image, |interpreter| &interpreter.image);
    let mut container = container(CONTAINER, image, SANDBOX, arguments(owner.job, run), mounts);
    let mut wanted = resources(StepResources {
        cpu_millis: settings.algorithm_cpu_millis,
        memory_bytes: memory_request(limits),
        disk_bytes,
    });
    if let Some(limits_of_pod) = &mut wanted.limits {
        let most = memory_limit(&Limits { compile: compiling.clone(), ..limits.clone() });
        limits_of_pod.insert("memory".to_owned(), Quantity(most.to_string()));
    }
    container.resources = Some(wanted);
    let parts = Closed {
        before: Vec::new(),
        container,
        volumes: std::iter::once(scratch(disk_bytes)).chain(of_roots).collect(),
        milliseconds: limits.wall_ms.saturating_add(compiling.wall_ms).saturating_add(awaits_inputs_ms.unwrap_or(0)),
        runtime_class: settings.runtime_class.clone(),
    };
    closed(settings, owner, attempt, parts)
}

/// What one pod of a stranger's program has beyond the frame.
pub(super) struct Closed {
    pub(super) before: Vec<Container>,
    pub(super) container: Container,
    pub(super) volumes: Vec<Volume>,
    /// The limits of the run.
    pub(super) milliseconds: u64,
    pub(super) runtime_class: Option<String>,
}

/// A pod for a stranger's program, whatever runs it: it has no network.
pub(super) fn closed(settings: &PodSettings, owner: &Owner, attempt: u32, parts: Closed) -> Pod {
    let Closed { before, container, volumes, milliseconds, runtime_class } = parts;
    let seconds = milliseconds.div_ceil(1000).saturating_add(WAITING_SECONDS);
    let parts = Parts {
        step: PodStep::Algorithm,
        before,
        container,
        volumes,
        seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
        grace_seconds: GRACE_SECONDS,
    };
    let mut pod = pod(settings, owner, attempt, parts);
    let spec = pod.spec.get_or_insert_with(PodSpec::default);
    spec.runtime_class_name = runtime_class;
    without_network(spec);
    pod
}

fn arguments(job: JobId, run: &Run) -> Vec<String> {
    let Run {
        did,
        datasets,
        contract,
        limits,
        profile,
        live_log_bytes,
        interpreter,
        command_line,
        roots,
        awaits_inputs_ms,
    } = run;
    let json = |value: serde_json::Result<String>| value.unwrap_or_default();
    let dids: Vec<&str> = datasets.iter().map(Did::id).collect();
    let mut arguments = vec!["run".to_owned(), Folder::Inputs.file("transformations/algorithm")];
    let mut option = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    option("claim", Folder::Claim.file("claim"));
    option("data", Folder::Inputs.path());
    option("dids", dids.join(","));
    if !roots.is_empty() {
        option("mounted", Folder::Inputs.file(MOUNTED));
    }
    option("outputs", Folder::Outputs.path());
    option("report", Folder::Run.file(REPORT));
    option("log", Folder::Run.file(LOG));
    // The first one for a pod of publishing that waits for it.
    option("termination-message", Folder::Run.file(RAN));
    option("termination-message", TERMINATION_MESSAGE.to_owned());
    if awaits_inputs_ms.is_some() {
        option("wait-for", Folder::Ready.file(LAID_OUT));
    }
    option("job", job.to_string());
    option("contract", json(serde_json::to_string(contract)));
    option("limits", json(serde_json::to_string(limits)));
    option("profile", profile.as_str().to_owned());
    option("home", format!("{SCRATCH}/home"));
    if *live_log_bytes > 0 {
        option("live-log-bytes", live_log_bytes.to_string());
    }
    if let Some(did) = did {
        option("did", did.id().to_owned());
    }
    if let Some(interpreter) = interpreter {
        option("runtime-bundle", BUNDLE.to_owned());
        option("trust-artifact", format!("sha256:{}", interpreter.bundle));
    }
    // Nothing else of the guest on stdout or stderr.
    arguments.extend(["--quiet", "--require-isolation"].map(str::to_owned));
    if command_line.has_parameters() {
        arguments.push("--fill-arguments".to_owned());
    }
    match &command_line.stdin {
        None => {}
        Some(StandardInput::File(path)) => arguments.extend(["--stdin-data".to_owned(), path.clone()]),
        // One word: a text may begin with `-`.
        Some(StandardInput::Text(text)) => arguments.push(format!("--stdin-text={text}")),
    }
    if !command_line.arguments.is_empty() {
        arguments.push("--".to_owned());
        arguments.extend(command_line.arguments.iter().cloned());
    }
    arguments
}
