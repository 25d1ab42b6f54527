//! Where things are: in the volume of a job, and in its pods.
//!
//! Every pod mounts folders of the volume and never the volume itself, each with the rights that its step needs.

use k8s_openapi::api::core::v1::VolumeMount;

/// The volume of the job, as pods name it.
pub(super) const VOLUME: &str = "job";

/// A folder of the job's volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// The inputs, as the guest sees them: `/data`.
    Inputs,
    /// What the algorithm wrote.
    Outputs,
    /// The report and the log of the run.
    Run,
    /// The claim that lets the algorithm begin at most once.
    Claim,
    /// The reports of steps.
    Control,
    /// The file that says that the inputs are laid out.
    Ready,
    /// The programs that must agree with the outputs. The algorithm's pod does not see them.
    Checks,
}

impl Folder {
    /// Its path in the volume.
    pub(super) fn sub_path(self) -> &'static str {
        match self {
            Self::Inputs => "in",
            Self::Outputs => "out",
            Self::Run => "run",
            Self::Claim => "claim",
            Self::Control => "control",
            Self::Ready => "ready",
            Self::Checks => "checks",
        }
    }

    /// Its path in a pod.
    pub(super) fn path(self) -> String {
        format!("/job/{}", self.sub_path())
    }

    /// A file in it, as a pod sees it.
    pub(super) fn file(self, name: &str) -> String {
        format!("{}/{name}", self.path())
    }

    /// Mounts it for a step that writes it.
    pub(super) fn writable(self) -> VolumeMount {
        self.mount(false)
    }

    /// Mounts it for a step that reads it. What is mounted below it is read-only, too, where the node can do that.
    pub(super) fn read_only(self) -> VolumeMount {
        VolumeMount { recursive_read_only: Some("IfPossible".to_owned()), ..self.mount(true) }
    }

    fn mount(self, read_only: bool) -> VolumeMount {
        VolumeMount {
            name: VOLUME.to_owned(),
            mount_path: self.path(),
            sub_path: Some(self.sub_path().to_owned()),
            read_only: Some(read_only),
            ..VolumeMount::default()
        }
    }
}

/// The program of the steps, in its image.
pub(super) const CLOISTER: &str = "/cloister";
/// The sandbox, in its image.
pub(super) const SANDBOX: &str = "/sandbox";
/// The bundle of an interpreter, in its image.
pub(super) const BUNDLE: &str = "/interpreter";
/// The first program of a container that is an algorithm, in the image of the sandbox.
pub(super) const ENTRY: &str = "/entry";
/// Where that container finds it.
pub(super) const CLOISTER_FOLDER: &str = "/cloister";
/// Where the kubelet reads what a container says at its end.
pub(super) const TERMINATION_MESSAGE: &str = "/dev/termination-log";
/// The order of configuration: one file for each part.
pub(super) const ORDER: &str = "/order";
/// The settings of a step, as a configuration file of `cloister`.
pub(super) const CONFIG: &str = "/etc/cloister";
/// The name of that file, and its key in the secret or config map that holds it.
pub const CONFIG_FILE: &str = "cloister.toml";
/// What the algorithm printed, in [`Folder::Run`].
pub(super) const LOG: &str = "log";
/// The report of the run, in [`Folder::Run`].
pub(super) const REPORT: &str = "report.json";
/// Which files were not copied, in [`Folder::Inputs`]. The guest does not see it.
pub(super) const MOUNTED: &str = "mounted.json";
/// What configuration says at its end, in [`Folder::Ready`].
pub(super) const LAID_OUT: &str = "configured.json";
/// What the sandbox says at its end, in [`Folder::Run`].
pub(super) const RAN: &str = "ran.json";
/// A folder of the pod alone.
pub(super) const SCRATCH: &str = "/scratch";
/// Where a store of results that is a claim is mounted.
pub(super) const RESULTS: &str = "/results";
