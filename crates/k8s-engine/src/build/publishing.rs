//! The pod that checks the outputs and stores what may leave.
//!
//! Two containers, one after the other. The first one reads what strangers wrote and has no credentials; the second one has
//! the result store's credentials and copies bytes by their digests. What the first one decided is in a folder of the pod.
//!
//! The report and the log of the run go into the store, too, whatever becomes of the outputs. Where nothing else is to be
//! stored, because the run failed, a pod with one container does that.

use super::{
    Owner, PodSettings, PodStep, StepResources,
    algorithm::memory_limit,
    frame::{Parts, config, config_arguments, container, pod, resources, scratch, scratch_mount},
    layout::{CLOISTER, Folder, LOG, RAN, REPORT, RESULTS, SCRATCH, TERMINATION_MESSAGE},
};
use cloister_model::{FilterOrder, PublishOrder, Sha256};
use k8s_openapi::api::core::v1::{Container, PersistentVolumeClaimVolumeSource, Pod, PodSpec, Volume, VolumeMount};

/// The name of the container that checks the outputs.
pub const FILTER: &str = "filter";
/// The name of the container that stores them.
pub const PUBLISH: &str = "publish";
/// The name of the container that keeps the report and the log of a run that has no results.
pub const KEEP: &str = "keep";

const GRACE_SECONDS: i64 = 30;

/// Seconds that keeping a report and a log may take.
const KEEP_SECONDS: i64 = 900;

/// The outputs of a run, for the pod that checks and stores them.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs<'a> {
    /// What may leave. Its list of outputs is empty: the step takes it from the report of the run.
    pub filter: &'a FilterOrder,
    /// What becomes of what may leave. Its list of files is empty: the step takes it from the report of filtering.
    pub publish: &'a PublishOrder,
    /// Whether a reviewer has to look at them.
    pub reviewed: bool,
    /// What the run left beside them.
    pub run: RunFiles,
}

/// What a run leaves beside its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunFiles {
    /// Its report.
    pub report: RunReport,
    /// The most bytes of its log that are kept.
    pub log_bytes: u64,
}

/// The report of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunReport {
    /// It has this digest, as the sandbox has said.
    Digest(Sha256),
    /// It left none that counts.
    None,
    /// The run has not ended yet: the pod waits, and learns it from the sandbox itself, on the volume of the job. No guest can
    /// write there.
    Awaited,
}

impl From<Option<Sha256>> for RunReport {
    fn from(digest: Option<Sha256>) -> Self {
        digest.map_or(Self::None, Self::Digest)
    }
}

/// The pod that checks the outputs and stores what may leave. `seconds` is the most that it may take.
#[must_use]
pub fn build(settings: &PodSettings, owner: &Owner, attempt: u32, outputs: &Outputs<'_>, seconds: i64) -> Pod {
    let read = [Folder::Outputs.read_only(), Folder::Run.read_only(), scratch_mount()];
    let (mut mounts, mut wanted) = (read.to_vec(), settings.publishing);
    if !outputs.filter.release.checks.is_empty() {
        mounts.push(Folder::Checks.read_only());
        // A check is a run of its own, on a copy of the outputs.
        wanted.memory_bytes = wanted.memory_bytes.max(memory_limit(&outputs.filter.check_limits));
        wanted.disk_bytes = wanted.disk_bytes.saturating_add(outputs.filter.contract.max_bytes);
    }
    let mut filter = container(FILTER, &settings.cloister_image, CLOISTER, filter_arguments(outputs), mounts);
    filter.resources = Some(resources(wanted));
    let (arguments, disk_bytes) = (publish_arguments(outputs), wanted.disk_bytes);
    with_store(
        settings,
        owner,
        attempt,
        Storing { before: vec![filter], name: PUBLISH, arguments, read: &read, seconds, disk_bytes },
    )
}

/// The pod that keeps the report and the log of a run, and does nothing else.
#[must_use]
pub fn keep(settings: &PodSettings, owner: &Owner, attempt: u32, run: RunFiles) -> Pod {
    let mut arguments = vec!["step".to_owned(), "keep".to_owned()];
    arguments.extend(["--job".to_owned(), owner.job.to_string()]);
    arguments.extend(kept(run));
    arguments.extend(last_arguments());
    let read = [Folder::Run.read_only(), scratch_mount()];
    let disk_bytes = settings.publishing.disk_bytes;
    let storing = Storing { before: Vec::new(), name: KEEP, arguments, read: &read, seconds: KEEP_SECONDS, disk_bytes };
    with_store(settings, owner, attempt, storing)
}

/// A container that has the result store, in a pod.
struct Storing<'a> {
    /// What runs first, without the store.
    before: Vec<Container>,
    name: &'a str,
    arguments: Vec<String>,
    /// What it reads.
    read: &'a [VolumeMount],
    seconds: i64,
    /// The most of the node's disk.
    disk_bytes: u64,
}

fn with_store(settings: &PodSettings, owner: &Owner, attempt: u32, storing: Storing<'_>) -> Pod {
    let Storing { before, name, arguments, read, seconds, disk_bytes } = storing;
    let (config_volume, config_mount) = config(&settings.results.secret);
    let mut volumes = vec![scratch(disk_bytes), config_volume];
    let mut mounts = read.to_vec();
    mounts.push(config_mount);
    if let Some(claim) = &settings.results.claim {
        volumes.push(results_volume(claim));
        mounts.push(VolumeMount {
            name: "results".to_owned(),
            mount_path: RESULTS.to_owned(),
            ..VolumeMount::default()
        });
    }
    let mut container = container(name, &settings.cloister_image, CLOISTER, arguments, mounts);
    container.resources = Some(resources(StepResources { disk_bytes, ..settings.publishing }));
    let step = PodStep::Publishing;
    let parts = Parts { step, before, container, volumes, seconds, grace_seconds: GRACE_SECONDS };
    let mut pod = pod(settings, owner, attempt, parts);
    pod.spec.get_or_insert_with(PodSpec::default).dns_policy = Some("ClusterFirst".to_owned());
    pod
}

fn filter_arguments(outputs: &Outputs<'_>) -> Vec<String> {
    let mut arguments = vec!["step".to_owned(), "filter".to_owned()];
    let mut option = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    option("order", serde_json::to_string(outputs.filter).unwrap_or_default());
    if !outputs.filter.unreported {
        option("run-report", Folder::Run.file(REPORT));
        match outputs.run.report {
            RunReport::Digest(digest) => option("run-report-sha256", digest.to_string()),
            // Without a report no outputs are checked; the step refuses a report of another digest.
            RunReport::None => option("run-report-sha256", Sha256::from_bytes([0; 32]).to_string()),
            RunReport::Awaited => option("after-run", Folder::Run.file(RAN)),
        }
    }
    option("outputs", Folder::Outputs.path());
    option("log", Folder::Run.file(LOG));
    option("log-copy", format!("{SCRATCH}/log"));
    if !outputs.filter.release.checks.is_empty() {
        option("programs", Folder::Checks.path());
    }
    option("scratch", format!("{SCRATCH}/checks"));
    option("report", format!("{SCRATCH}/filter.json"));
    option("termination-message", TERMINATION_MESSAGE.to_owned());
    option("home", format!("{SCRATCH}/home"));
    arguments.push("--refusal-is-done".to_owned());
    arguments
}

fn publish_arguments(outputs: &Outputs<'_>) -> Vec<String> {
    let mut arguments = vec!["step".to_owned(), "publish".to_owned()];
    let mut option = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    option("order", serde_json::to_string(outputs.publish).unwrap_or_default());
    option("filtered", format!("{SCRATCH}/filter.json"));
    option("outputs", Folder::Outputs.path());
    option("log", format!("{SCRATCH}/log"));
    option("report", format!("{SCRATCH}/publish.json"));
    arguments.extend(kept(outputs.run));
    if outputs.reviewed {
        arguments.push("--hold".to_owned());
    }
    arguments.extend(last_arguments());
    arguments
}

/// What goes into the store whatever becomes of the outputs.
fn kept(run: RunFiles) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut option = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    match run.report {
        RunReport::None => {}
        RunReport::Digest(digest) => {
            option("run-report", Folder::Run.file(REPORT));
            option("run-report-sha256", digest.to_string());
        }
        RunReport::Awaited => {
            option("run-report", Folder::Run.file(REPORT));
            option("after-run", Folder::Run.file(RAN));
        }
    }
    option("run-log", Folder::Run.file(LOG));
    option("run-log-bytes", run.log_bytes.to_string());
    arguments
}

fn last_arguments() -> Vec<String> {
    let mut arguments = vec!["--termination-message".to_owned(), TERMINATION_MESSAGE.to_owned()];
    arguments.extend(["--home".to_owned(), format!("{SCRATCH}/home")]);
    arguments.extend(config_arguments());
    arguments
}

fn results_volume(claim: &str) -> Volume {
    Volume {
        name: "results".to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim.to_owned(),
            read_only: None,
        }),
        ..Volume::default()
    }
}
