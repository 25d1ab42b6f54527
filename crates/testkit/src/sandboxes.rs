//! Sandboxes that go on when their service is gone. That is what they are for: a service that is killed loses no run. A test that
//! kills services must end them itself, or an endless guest keeps a processor busy long after the test.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The processes of the sandbox program that work in a folder, or below it. It may be gone.
#[must_use]
pub fn sandboxes_in(folder: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let processes = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes.filter(|process| works_in(*process, folder)).collect()
}

fn works_in(process: u32, folder: &Path) -> bool {
    let of = |name: &str| fs::read_link(format!("/proc/{process}/{name}")).ok();
    let is_sandbox = of("exe").is_some_and(|exe| exe.file_name().is_some_and(|name| name == "sandbox"));
    is_sandbox && of("cwd").is_some_and(|cwd| cwd.starts_with(folder))
}

/// Ends, when it is dropped, the sandboxes that still work in a folder.
#[derive(Debug)]
pub struct EndsSandboxes(PathBuf);

impl EndsSandboxes {
    /// Of this folder, which is temporary.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self(folder.to_owned())
    }
}

impl Drop for EndsSandboxes {
    fn drop(&mut self) {
        for process in sandboxes_in(&self.0) {
            let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
            let Some(pidfd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { continue };
            // By now the number may be another process's; the descriptor stays with this one.
            if works_in(process, &self.0) {
                let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            }
        }
    }
}
