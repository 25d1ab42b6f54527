//! The programs in an empty root file system, as process 1, as in a container image without a distribution.
//!
//! These tests need root: `scripts/test.sh` runs them as root, and says so where it is not.

#![expect(clippy::panic, reason = "a helper of tests fails them by panicking")]

use cloister_tests::{sandbox, service::cloister};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const USER: u32 = 65532;
const NOTHING: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
const ENDLESS: &str = r#"(module (memory (export "memory") 1) (func (export "_start") (loop br 0)))"#;

/// A root file system with the two programs, certificate authorities, a guest and a dataset; `proc`, `dev` and the rest are
/// empty directories.
struct Root(TempDir);

impl Root {
    fn new(guest: &str) -> Self {
        let root = Self(TempDir::new().expect("a directory"));
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("readable");
        for directory in ["proc", "dev", "volume", "in"] {
            fs::create_dir(root.path().join(directory)).expect("created");
        }
        std::os::unix::fs::chown(root.path().join("volume"), Some(USER), Some(USER)).expect("these tests need root");
        for (program, name) in [(sandbox(), "sandbox"), (cloister(), "cloister")] {
            // By another process: a program that this one has written may be open in a child of another test, and is not executed then.
            let copied = Command::new("cp").arg(program).arg(root.path().join(name)).status();
            assert!(copied.expect("cp starts").success());
        }
        let authorities = "etc/ssl/certs/ca-certificates.crt";
        fs::create_dir_all(root.path().join(authorities).parent().expect("a parent")).expect("created");
        fs::copy(Path::new("/").join(authorities), root.path().join(authorities)).expect("Debian: ca-certificates");
        fs::write(root.path().join("in/guest.wasm"), wat::parse_str(guest).expect("a guest")).expect("written");
        fs::write(root.path().join("in/data"), "data").expect("written");
        root
    }

    /// With the devices that every container runtime makes and these programs need.
    fn with_devices(self) -> Self {
        for (name, minor) in [("null", "3"), ("random", "8"), ("urandom", "9")] {
            let path = self.path().join("dev").join(name);
            let made = Command::new("mknod").arg(path).args(["-m", "666", "c", "1", minor]).status();
            assert!(made.expect("mknod starts").success());
        }
        self
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A program as process 1 in this root, with no environment. `mounts` is a script that runs before in the same mount
    /// namespace.
    fn command(&self, mounts: &str, proc: bool, arguments: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec"]);
        let unshare = if proc { "unshare --mount-proc" } else { "unshare" };
        command.arg(format!(
            "root=$1 user=$2; shift 2; {mounts} exec env -i {unshare} --pid --fork --kill-child --root=\"$root\" \
             --setuid=$user --setgid=$user \"$@\""
        ));
        command.arg("sh").arg(self.path()).arg(USER.to_string()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, mounts: &str, proc: bool, arguments: &[&str]) -> Output {
        self.command(mounts, proc, arguments).output().expect("unshare starts")
    }
}

const RUN: [&str; 9] = [
    "/sandbox",
    "run",
    "/in/guest.wasm",
    "--dataset=d=/in/data",
    "--outputs=/volume/outputs",
    "--home=/volume/home",
    "--claim=/volume/claim",
    "--require-isolation",
    "--json",
];

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
#[ignore = "needs root: scripts/test.sh"]
fn a_guest_runs_behind_all_walls() {
    let root = Root::new(NOTHING).with_devices();
    let output = root.run("", true, &RUN);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(report["outcome"]["result"], "succeeded");
}

#[test]
#[ignore = "needs root: scripts/test.sh"]
fn what_a_container_runtime_must_mount_is_named_if_it_is_missing() {
    let output = Root::new(NOTHING).with_devices().run("", false, &RUN);
    assert_eq!(output.status.code(), Some(70), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("`/proc/self/exe`") && stderr(&output).contains("A container needs"),
        "{output:?}"
    );

    let root = Root::new(NOTHING).with_devices();
    fs::remove_file(root.path().join("dev/null")).expect("removed");
    let output = root.run("", true, &RUN);
    assert_eq!(output.status.code(), Some(70), "{}", stderr(&output));
    assert!(stderr(&output).contains("`/dev/null`") && stderr(&output).contains("A container needs"), "{output:?}");
}

#[test]
#[ignore = "needs root: scripts/test.sh"]
fn a_home_that_cannot_hold_compiled_code_is_refused_with_the_reason() {
    let root = Root::new(NOTHING).with_devices();
    let cases = [
        ("mount -t tmpfs -o noexec,uid=65532,mode=700 tmpfs \"$root/volume\";", "mounted noexec"),
        ("mount -t tmpfs -o ro,uid=65532,mode=700 tmpfs \"$root/volume\";", "read-only file system"),
        ("mount -t tmpfs -o mode=777 tmpfs \"$root/volume\"; mkdir -m 700 \"$root/volume/home\";", "belongs to"),
    ];
    let without_claim: Vec<_> = RUN.into_iter().filter(|argument| !argument.starts_with("--claim")).collect();
    for (mount, reason) in cases {
        let output = root.run(mount, true, &without_claim);
        assert_eq!(output.status.code(), Some(2), "{reason}: {}", stderr(&output));
        assert!(stderr(&output).contains(reason) && stderr(&output).contains("--home"), "{reason}: {output:?}");
        assert_eq!(stderr(&output).lines().count(), 1, "{output:?}");
    }
    // No space: for the key, and for the code that is compiled.
    let full = "mount -t tmpfs -o size=64k,uid=65532,mode=700 tmpfs \"$root/volume\"; head -c 1000000 /dev/zero \
                > \"$root/volume/other\" 2>/dev/null || true;";
    let output = root.run(full, true, &without_claim);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("no space is left") && stderr(&output).contains("--home"), "{output:?}");
    assert_eq!(stderr(&output).lines().count(), 1, "{output:?}");
    let nearly = "mount -t tmpfs -o size=8k,uid=65532,mode=700 tmpfs \"$root/volume\";";
    let output = root.run(nearly, true, &without_claim);
    assert_eq!(output.status.code(), Some(70), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    let said = report["outcome"]["message"].as_str().unwrap_or_default();
    assert!(said.contains("no space is left") && said.contains("--home"), "{report}");
    // Neither an option nor the environment names a home.
    let homeless: Vec<_> = without_claim.into_iter().filter(|argument| !argument.starts_with("--home")).collect();
    let output = root.run("", true, &homeless);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("give --home DIR"), "{output:?}");
}

/// Sends a signal from outside, as a container runtime does, and returns how process 1 ended.
fn ended_by(signal: Signal, mut child: Child, is_ready: impl Fn() -> bool) -> i32 {
    let patience = Instant::now() + Duration::from_secs(180);
    let first = loop {
        // `unshare --fork` has one child: process 1 of the new namespace.
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let children = fs::read_to_string(children).unwrap_or_default();
        match children.split_whitespace().next().and_then(|id| id.parse().ok()).and_then(Pid::from_raw) {
            Some(first) if is_ready() => break first,
            _ if Instant::now() < patience && child.try_wait().expect("ours").is_none() => {}
            _ => {
                let _ = child.kill();
                let output = child.wait_with_output().expect("ours");
                panic!("it did not start: {output:?}");
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    kill_process(first, signal).expect("sent");
    let patience = Instant::now() + Duration::from_secs(180);
    loop {
        if let Some(status) = child.try_wait().expect("ours") {
            return status.code().unwrap_or_else(|| 1000 + status.signal().unwrap_or(0));
        }
        if Instant::now() > patience {
            let _ = child.kill();
            let _ = child.wait();
            return -1;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Without a handler, the kernel does not deliver the signal to process 1, and a pod lives until its grace period is over.
#[test]
#[ignore = "needs root: scripts/test.sh"]
fn process_one_ends_at_a_signal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let root = Root::new(ENDLESS).with_devices();
        let child = root.command("", true, &RUN).spawn().expect("unshare starts");
        let claim = root.path().join("volume/claim");
        assert_eq!(ended_by(signal, child, || claim.exists()), code, "{signal:?}");
    }
    let root = Root::new(NOTHING).with_devices();
    let serve = ["/cloister", "serve", "--home=/volume/home", "--listen=127.0.0.1:0", "--set=insecure_http=false"];
    let child = root.command("", true, &serve).spawn().expect("unshare starts");
    let ready = root.path().join("volume/home/operator.key");
    assert_eq!(ended_by(Signal::TERM, child, || ready.exists()), 0);
}

/// Process 1 starts nothing that outlives it: the kernel ends a namespace with its first process.
#[test]
#[ignore = "needs root: scripts/test.sh"]
fn a_claim_that_is_taken_is_respected_by_the_next_container() {
    let root = Root::new(NOTHING).with_devices();
    assert_eq!(root.run("", true, &RUN).status.code(), Some(0));
    let again = root.run("", true, &RUN);
    assert_eq!(again.status.code(), Some(6), "{}", stderr(&again));
}
