//! One container, as a process.

use super::{Machine, volumes::Volumes};
use k8s_openapi::{
    api::core::v1::{Container, ContainerStateTerminated, VolumeMount},
    apimachinery::pkg::apis::meta::v1::Time,
};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::process::{Child, Command};

/// The most bytes of what a container says at its end.
const MOST_MESSAGE: usize = 4096;

/// A container whose process has begun.
pub(super) struct Running {
    child: Child,
    group: Pid,
    message: PathBuf,
    started: Time,
}

impl Drop for Running {
    /// A container ends with everything in it.
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}

impl Running {
    /// Starts the process of a container of this pod.
    pub(super) fn start(machine: &Machine, uid: &str, container: &Container, volumes: &Volumes) -> Self {
        let folder = machine.folder_of(uid).join("containers").join(&container.name);
        fs::create_dir_all(&folder).expect("the folder of a container");
        let message = folder.join("message");
        File::create(&message).expect("the file of a message");
        let mounts: Vec<(&str, PathBuf)> =
            container.volume_mounts.iter().flatten().map(|mount| mounted(mount, volumes)).collect();
        let command = container.command.iter().flatten().next().expect("a command");
        let program = machine.program(command).unwrap_or_else(|| panic!("no image has {command}"));
        let mut process = Command::new(program);
        process.env_clear().current_dir(&folder).process_group(0).kill_on_drop(true);
        let output = |name: &str| File::create(folder.join(name)).expect("a file for what is printed");
        process.stdin(Stdio::null()).stdout(output("stdout")).stderr(output("stderr"));
        let ends_at = container.termination_message_path.as_deref().unwrap_or_default();
        for argument in container.args.iter().flatten() {
            if argument == ends_at {
                process.arg(&message);
            } else if argument.starts_with('/') {
                process
                    .arg(found(argument, &mounts).unwrap_or_else(|| folder.join("not-mounted").join(&argument[1..])));
            } else {
                process.arg(argument);
            }
        }
        let child = process.spawn().expect("a process");
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("the number of a process");
        Self { child, group, message, started: now() }
    }

    pub(super) fn started(&self) -> Time {
        self.started.clone()
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> ContainerStateTerminated {
        let status = self.child.wait().await.expect("the end of a process");
        self.terminated(status)
    }

    /// Asks it to end, waits for so long, and kills it.
    pub(super) async fn stop(&mut self, patience: Duration) -> ContainerStateTerminated {
        let _ = kill_process(self.group, Signal::TERM);
        if let Ok(ended) = tokio::time::timeout(patience, self.ended()).await {
            return ended;
        }
        let _ = kill_process_group(self.group, Signal::KILL);
        self.ended().await
    }

    fn terminated(&self, status: ExitStatus) -> ContainerStateTerminated {
        let code = status.code().or_else(|| Some(128 + status.signal()?)).expect("the end of a process");
        let said = fs::read(&self.message).unwrap_or_default();
        let said = String::from_utf8_lossy(&said[..said.len().min(MOST_MESSAGE)]).into_owned();
        ContainerStateTerminated {
            exit_code: code,
            reason: Some(if code == 0 { "Completed" } else { "Error" }.to_owned()),
            message: Some(said).filter(|said| !said.is_empty()),
            started_at: Some(self.started()),
            finished_at: Some(now()),
            ..ContainerStateTerminated::default()
        }
    }
}

pub(super) fn now() -> Time {
    Time(k8s_openapi::jiff::Timestamp::now())
}

/// Where a mount is, in the container and on this machine.
fn mounted<'a>(mount: &'a VolumeMount, volumes: &Volumes) -> (&'a str, PathBuf) {
    let volume = volumes.get(&mount.name).unwrap_or_else(|| panic!("no volume is named {}", mount.name));
    let folder = volume.join(mount.sub_path.as_deref().unwrap_or_default());
    fs::create_dir_all(&folder).expect("a folder of a volume");
    (&mount.mount_path, folder)
}

/// A path of the container on this machine; none: nothing is mounted there.
fn found(path: &str, mounts: &[(&str, PathBuf)]) -> Option<PathBuf> {
    mounts.iter().find_map(|(mount, folder)| {
        let below = Path::new(path).strip_prefix(mount).ok()?;
        Some(if below.as_os_str().is_empty() { folder.clone() } else { folder.join(below) })
    })
}
