//! The pod that checks the outputs and stores what may leave.
//!
//! Two containers, one after the other. The first one reads what strangers wrote and has no credentials; the second one has
//! the result store's credentials and copies bytes by their digests. What the first one decided is in a folder of the pod.

use super::{
    Owner, PodSettings, PodStep,
    frame::{Parts, config, config_arguments, container, pod, resources, scratch, scratch_mount},
    layout::{CLOISTER, Folder, RESULTS, SCRATCH, TERMINATION_MESSAGE},
};
use cloister_model::{FilterOrder, PublishOrder, Sha256};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, PodSpec, Volume, VolumeMount};

/// The name of the container that checks the outputs.
pub const FILTER: &str = "filter";
/// The name of the container that stores them.
pub const PUBLISH: &str = "publish";

const GRACE_SECONDS: i64 = 30;

/// The outputs of a run, for the pod that checks and stores them.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs<'a> {
    /// What may leave. Its list of outputs is empty: the step takes it from the report of the run.
    pub filter: &'a FilterOrder,
    /// What becomes of what may leave. Its list of files is empty: the step takes it from the report of filtering.
    pub publish: &'a PublishOrder,
    /// The digest of the report of the run.
    pub report: Sha256,
}

/// The pod that checks the outputs and stores what may leave. `seconds` is the most that it may take.
#[must_use]
pub fn build(settings: &PodSettings, owner: &Owner, attempt: u32, outputs: &Outputs<'_>, seconds: i64) -> Pod {
    let (config_volume, config_mount) = config(&settings.results.secret);
    let mut volumes = vec![scratch(settings.publishing.disk_bytes), config_volume];
    let read = [Folder::Outputs.read_only(), Folder::Run.read_only(), scratch_mount()];
    let mut filter = container(FILTER, &settings.cloister_image, CLOISTER, filter_arguments(outputs), read.to_vec());
    filter.resources = Some(resources(settings.publishing));
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
    let mut publish = container(PUBLISH, &settings.cloister_image, CLOISTER, publish_arguments(outputs), mounts);
    publish.resources = Some(resources(settings.publishing));
    let parts = Parts {
        step: PodStep::Publishing,
        before: vec![filter],
        container: publish,
        volumes,
        seconds,
        grace_seconds: GRACE_SECONDS,
    };
    let mut pod = pod(settings, owner, attempt, parts);
    pod.spec.get_or_insert_with(PodSpec::default).dns_policy = Some("ClusterFirst".to_owned());
    pod
}

fn filter_arguments(outputs: &Outputs<'_>) -> Vec<String> {
    let mut arguments = vec!["step".to_owned(), "filter".to_owned()];
    let mut option = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    option("order", serde_json::to_string(outputs.filter).unwrap_or_default());
    option("run-report", Folder::Run.file("report.json"));
    option("run-report-sha256", outputs.report.to_string());
    option("outputs", Folder::Outputs.path());
    option("log", Folder::Run.file("log"));
    option("log-copy", format!("{SCRATCH}/log"));
    option("scratch", format!("{SCRATCH}/checks"));
    option("report", format!("{SCRATCH}/filter.json"));
    option("termination-message", TERMINATION_MESSAGE.to_owned());
    option("home", format!("{SCRATCH}/home"));
    arguments
}

fn publish_arguments(outputs: &Outputs<'_>) -> Vec<String> {
    let mut arguments = vec!["step".to_owned(), "publish".to_owned()];
    let mut option = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    option("order", serde_json::to_string(outputs.publish).unwrap_or_default());
    option("filtered", format!("{SCRATCH}/filter.json"));
    option("run-report", Folder::Run.file("report.json"));
    option("run-report-sha256", outputs.report.to_string());
    option("outputs", Folder::Outputs.path());
    option("log", format!("{SCRATCH}/log"));
    option("report", format!("{SCRATCH}/publish.json"));
    option("termination-message", TERMINATION_MESSAGE.to_owned());
    option("home", format!("{SCRATCH}/home"));
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
