//! The pod that fetches the inputs. It is the only one that reads the order with the sources' credentials, and it sees
//! nothing of what the algorithm writes. A result store that is a claim it sees only if the order needs it, and cannot write.

use super::{
    Owner, PodSettings, PodStep,
    frame::{Parts, config, config_arguments, container, pod, resources, scratch, scratch_mount},
    layout::{CLOISTER, Folder, LAID_OUT, MOUNTED, ORDER, RESULTS, SCRATCH, TERMINATION_MESSAGE},
    roots::{DatasetRoot, Mounted},
};
use cloister_model::Sha256;
use k8s_openapi::api::core::v1::{
    KeyToPath, PersistentVolumeClaimVolumeSource, Pod, PodSpec, ProjectedVolumeSource, SecretProjection, Volume,
    VolumeMount, VolumeProjection,
};

/// The name of the container.
pub const CONTAINER: &str = "configure";
/// The key of each secret of an order.
pub const PART: &str = "part";

/// Seconds for a grace period: a fetch is cut off at once.
const GRACE_SECONDS: i64 = 30;

/// Where the order of configuration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderParts {
    /// The secrets that hold it, in order.
    pub secrets: Vec<String>,
    /// The digest of the whole order.
    pub sha256: Sha256,
    /// Whether it needs files of the result store: uploads, or results of other jobs.
    pub reads_store: bool,
    /// Whether files of its datasets may be on claims of the operator's.
    pub reads_local: bool,
}

/// The pod that carries out the order of configuration.
///
/// `seconds` is the most that it may take; `memory_bytes` is what the algorithm's pod needs. Configuration asks for no less,
/// so that the node that it chooses, and with it the place of the volume, has room for the algorithm, too. Files in `roots` are not
/// copied.
#[must_use]
pub fn build(
    settings: &PodSettings,
    owner: &Owner,
    attempt: u32,
    (order, roots): (&OrderParts, &[DatasetRoot]),
    seconds: i64,
    memory_bytes: u64,
) -> Pod {
    let mut arguments = vec!["step", "configure", "--order", ORDER, "--order-sha256"]
        .into_iter()
        .map(str::to_owned)
        .collect::<Vec<_>>();
    arguments.push(order.sha256.to_string());
    arguments.extend(["--into".to_owned(), Folder::Inputs.path()]);
    arguments.extend(["--report".to_owned(), Folder::Control.file("configure.json")]);
    arguments.extend(["--ready".to_owned(), Folder::Ready.file(LAID_OUT)]);
    arguments.extend(["--programs".to_owned(), Folder::Checks.path()]);
    arguments.extend(["--termination-message".to_owned(), TERMINATION_MESSAGE.to_owned()]);
    arguments.extend(["--home".to_owned(), format!("{SCRATCH}/home")]);
    let folders = [Folder::Inputs, Folder::Checks, Folder::Control, Folder::Ready].map(Folder::writable);
    let mut mounts = vec![order_mount(), scratch_mount()];
    mounts.extend(folders);
    let mut volumes = vec![order_volume(order), scratch(settings.configuration.disk_bytes)];
    let mounted = Mounted::of(roots);
    for DatasetRoot { did, root } in roots {
        arguments.extend(["--root".to_owned(), format!("{}={}", did.id(), root.path), mounted.folder(root)]);
    }
    for (volume, mount) in mounted.volumes() {
        volumes.push(volume);
        mounts.push(mount);
    }
    if !roots.is_empty() {
        arguments.extend(["--mounted".to_owned(), Folder::Inputs.file(MOUNTED)]);
    }
    if let Some(secret) = &settings.sources_secret {
        let (volume, mount) = config(secret);
        volumes.push(volume);
        mounts.push(mount);
        arguments.extend(config_arguments());
    }
    if let Some(claim) = settings.results.claim.as_deref().filter(|_| order.reads_store) {
        let (volume, mount) = results_read_only(claim);
        volumes.push(volume);
        mounts.push(mount);
    }
    let mut container = container(CONTAINER, &settings.cloister_image, CLOISTER, arguments, mounts);
    let mut wanted = settings.configuration;
    wanted.memory_bytes = wanted.memory_bytes.max(memory_bytes);
    container.resources = Some(resources(wanted));
    let parts = Parts {
        step: PodStep::Configuration,
        before: Vec::new(),
        container,
        volumes,
        seconds,
        grace_seconds: GRACE_SECONDS,
    };
    let mut pod = pod(settings, owner, attempt, parts);
    pod.spec.get_or_insert_with(PodSpec::default).dns_policy = Some("ClusterFirst".to_owned());
    pod
}

fn order_volume(order: &OrderParts) -> Volume {
    // Every secret has its part under one key; in the pod, parts are put together in the order of their names.
    let part = |(number, secret): (usize, &String)| VolumeProjection {
        secret: Some(SecretProjection {
            name: secret.clone(),
            items: Some(vec![KeyToPath { key: PART.to_owned(), path: format!("{number:04}"), ..KeyToPath::default() }]),
            optional: Some(false),
        }),
        ..VolumeProjection::default()
    };
    Volume {
        name: "order".to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(0o440),
            sources: Some(order.secrets.iter().enumerate().map(part).collect()),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The claim that is the result store. The volume itself is read-only, too, so that no mount of it can be written.
fn results_read_only(claim: &str) -> (Volume, VolumeMount) {
    let volume = Volume {
        name: "results".to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim.to_owned(),
            read_only: Some(true),
        }),
        ..Volume::default()
    };
    let mount = VolumeMount {
        name: "results".to_owned(),
        mount_path: RESULTS.to_owned(),
        read_only: Some(true),
        recursive_read_only: Some("IfPossible".to_owned()),
        ..VolumeMount::default()
    };
    (volume, mount)
}

fn order_mount() -> VolumeMount {
    VolumeMount {
        name: "order".to_owned(),
        mount_path: ORDER.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}
