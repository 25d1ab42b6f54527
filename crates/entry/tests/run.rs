//! The program itself, with programs of this machine as algorithms.
//!
//! Here it is not process 1 of a container, and not apart from the machine: what only a container has is tested on a cluster.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use cloister_model::ContainerEnd;
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};
use tempfile::TempDir;

struct Place {
    folder: TempDir,
    options: Vec<(&'static str, String)>,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), options: vec![("--wall-ms", "120000".to_owned())] }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.options.retain(|(known, _)| *known != name);
        self.options.push((name, value.to_string()));
        self
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.file("log")).expect("a log")).into_owned()
    }

    fn run(&self, entrypoint: &str) -> Output {
        let outputs = self.file("outputs");
        fs::create_dir_all(&outputs).expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_entry"));
        command.args(["run", "--entrypoint", entrypoint, "--log-bytes", "100000", "--log"]).arg(self.file("log"));
        command.arg("--writable").arg(&outputs).arg("--home").arg(outputs.join("home"));
        command.arg("--env").arg(format!("OUTPUTS={}", outputs.display()));
        for (name, value) in &self.options {
            command.args([*name, value]);
        }
        command.env("KUBERNETES_SERVICE_HOST", "10.0.0.1").env("OF_THE_IMAGE", "kept").output().expect("it runs")
    }
}

fn end(output: &Output) -> ContainerEnd {
    let code = output.status.code().unwrap_or_else(|| panic!("{output:?}"));
    ContainerEnd::of(code).unwrap_or_else(|| panic!("{output:?}"))
}

#[test]
fn it_ends_as_the_algorithm_ends_and_in_no_other_way() {
    for (entrypoint, expected) in [
        ("true", ContainerEnd::Exited(0)),
        ("sh -c 'exit 3'", ContainerEnd::Exited(3)),
        ("sh -c 'exit 137'", ContainerEnd::Signal(9)),
        // What our own ends are called by is not the algorithm's to say.
        ("sh -c 'exit 240'", ContainerEnd::Signal(0)),
        ("sh -c 'exit 255'", ContainerEnd::Signal(0)),
        ("sh -c 'kill -9 $$'", ContainerEnd::Signal(9)),
        ("/no/such/program", ContainerEnd::NoProgram),
        ("sh -c 'unfinished", ContainerEnd::NoCommand),
        ("false || exit 7", ContainerEnd::Exited(7)),
    ] {
        let output = Place::new().run(entrypoint);
        assert_eq!(end(&output), expected, "{entrypoint}: {output:?}");
    }
}

#[test]
fn a_run_that_was_begun_is_not_begun_again() {
    let place = Place::new();
    assert_eq!(end(&place.run("true")), ContainerEnd::Exited(0));
    assert_eq!(end(&place.run("sh -c 'touch \"$OUTPUTS\"/again'")), ContainerEnd::BegunBefore);
    assert!(!place.file("outputs/again").exists());
}

#[test]
fn time_is_limited() {
    let output = Place::new().with("--wall-ms", 300).run("sleep 60");
    assert_eq!(end(&output), ContainerEnd::WallTime);
}

/// Nothing that the algorithm prints is on the streams of the container, which are shipped to places outside every contract.
#[test]
fn what_is_printed_goes_to_the_log_within_its_bounds() {
    let place = Place::new().with("--log-bytes", 10);
    let output = place.run("sh -c 'echo 0123456789abcdef; echo error >&2'");
    assert_eq!((end(&output), place.log().as_str()), (ContainerEnd::Exited(0), "0123456789"));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b""[..], &b""[..]));

    // As much at once as the contract lets out at once.
    let place = Place::new().with("--live-log-bytes", 4);
    let output = place.run("sh -c 'echo 0123456789; echo more >&2'");
    assert_eq!((place.log().as_str(), output.stdout.as_slice()), ("0123456789\nmore\n", &b"0123"[..]));

    // More than a pipe holds, by a program that nobody waits for.
    let place = Place::new().with("--log-bytes", 1_000_000);
    let output = place.run("sh -c 'head -c 300000 /dev/zero'");
    assert_eq!((end(&output), place.log().len()), (ContainerEnd::Exited(0), 300_000));
}

#[test]
fn its_environment_is_that_of_its_image_and_of_its_run() {
    let place = Place::new().with("--env", "DIDS=[\"did:op:a\"]");
    assert_eq!(end(&place.run("env")), ContainerEnd::Exited(0));
    let log = place.log();
    for line in ["OF_THE_IMAGE=kept", "DIDS=[\"did:op:a\"]", "ALGO=/data/transformations/algorithm", "TMPDIR=/tmp"] {
        assert!(log.lines().any(|found| found == line), "{line}: {log}");
    }
    assert!(!log.contains("KUBERNETES_"), "{log}");
}

/// Tried by a program of another language, as an algorithm would try it.
#[test]
fn there_is_no_way_out() {
    let script = r#"
import ctypes, errno, os, socket, sys
found = []
for family in range(46):
    if family == socket.AF_UNIX:
        continue
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            socket.socket(family, kind)
            found.append(f"family {family} kind {kind}")
        except OSError as error:
            if error.errno != errno.EACCES:
                found.append(f"family {family} kind {kind}: {error}")
socket.socketpair()
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def refused(name, *call):
    ctypes.set_errno(0)
    if libc.syscall(*call) != -1 or ctypes.get_errno() != errno.EPERM:
        found.append(f"{name}: {os.strerror(ctypes.get_errno())}")
refused("io_uring_setup", 425, 8, 0)
if os.uname().machine == "x86_64":
    refused("unshare", 272, 0x10000000)
    refused("ptrace", 101, 16, os.getppid(), 0, 0)
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
for name, wanted in (("NoNewPrivs", "1"), ("Seccomp", "2"), ("CapEff", "0" * 16), ("CapPrm", "0" * 16)):
    if status[name].strip() != wanted:
        found.append(f"{name} {status[name]}")
# What this process could be made to say, and what it prints to.
for name in ("environ", "fd/1", "mem"):
    try:
        open(f"/proc/{os.getppid()}/{name}", "rb").read(1)
        found.append(f"{name} of process 1 can be read")
    except OSError:
        pass
sys.exit("; ".join(found) or 0)
"#;
    let place = Place::new();
    fs::write(place.file("try.py"), script).expect("a script");
    let output = place.run(&format!("python3 {}", place.file("try.py").display()));
    assert_eq!(end(&output), ContainerEnd::Exited(0), "{}", place.log());
}

/// Where the kernel has Landlock, nothing but the outputs can be changed; where it has not, nothing that is believed depends on it.
#[test]
fn it_changes_its_outputs_and_nothing_else() {
    let place = Place::new();
    let probe = cloister_isolation::probe();
    fs::write(place.file("of-others"), "theirs").expect("a file");
    let script = format!(
        "sh -c 'echo mine > \"$OUTPUTS\"/mine && echo x > /dev/null && ! echo over > {}'",
        place.file("of-others").display()
    );
    let output = place.run(&script);
    assert_eq!(fs::read_to_string(place.file("outputs/mine")).expect("an output"), "mine\n");
    if !matches!(probe.landlock, cloister_isolation::Status::Absent(_)) {
        assert_eq!(end(&output), ContainerEnd::Exited(0), "{}", place.log());
        assert_eq!(fs::read_to_string(place.file("of-others")).expect("a file"), "theirs");
    }
}

#[test]
fn sizes_of_files_are_limited() {
    let place = Place::new().with("--file-bytes", 200_000);
    let output = place.run("sh -c 'head -c 300000 /dev/zero > \"$OUTPUTS\"/large'");
    assert_ne!(end(&output), ContainerEnd::Exited(0));
    assert!(fs::metadata(place.file("outputs/large")).expect("a file").len() <= 200_000);
}
