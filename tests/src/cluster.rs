//! A Kubernetes cluster for tests, through `kubectl`, as its users see it.
//!
//! `KUBECONFIG` names the cluster; `make test-k8s` sets it. Tests that use one are `#[ignore]`d, so that without a cluster they
//! count as not run.

use serde_json::{Value, json};
use std::{
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

/// How long anything may take that has to happen. Generous: other things run on the machine, which may be a slow one.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// A namespace of its own for a test, deleted with everything in it when this is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

/// The cluster of `tests/cluster` that runs these tests, if it is one: `CLOISTERDEV_CLUSTER_DIR`. Other clusters have no class
/// `sized` and no node that may be killed.
#[must_use]
pub fn own_cluster() -> Option<PathBuf> {
    std::env::var_os("CLOISTERDEV_CLUSTER_DIR").map(PathBuf::from)
}

/// The same, for a test that no other cluster can run. `scripts/test-k8s.sh` leaves it out there, and says so.
///
/// # Panics
/// On another cluster: a test that does nothing must not count as passed.
#[must_use]
pub fn needs_own_cluster() -> PathBuf {
    let needed = "only a cluster of tests/cluster can run this test: CLOISTERDEV_CLUSTER_DIR names none";
    own_cluster().expect(needed)
}

fn kubectl() -> Command {
    assert!(
        std::env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty()),
        "KUBECONFIG names no cluster: run `make test-k8s`"
    );
    let own = own_cluster().map(|folder| folder.join("bin/kubectl")).filter(|program| program.exists());
    Command::new(own.unwrap_or_else(|| PathBuf::from("kubectl")))
}

/// `kubectl` with these arguments, to be started by its caller.
#[must_use]
pub fn command(arguments: &[&str]) -> Command {
    let mut command = kubectl();
    command.args(arguments);
    command
}

/// Whether the definitions of `deploy/crds` are there. They belong to the whole cluster, and so to all tests of a program.
static DEFINED: Mutex<bool> = Mutex::new(false);

/// Applies the definitions, unless a test of this program has done so.
///
/// # Panics
/// If the cluster refuses them.
pub fn definitions() {
    define(|| {
        let folder = crate::root().join("deploy/crds").display().to_string();
        for arguments in [
            ["apply", "--server-side", "--force-conflicts", "-f", &folder],
            ["wait", "--for=condition=Established", "--timeout=600s", "-f", &folder],
        ] {
            let output = run(&arguments, b"");
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
    });
}

/// Calls this, which makes the definitions, unless a test of this program has made them; returns whether it was called.
pub fn define(make: impl FnOnce()) -> bool {
    // A test that failed in here has made none.
    let mut defined = DEFINED.lock().unwrap_or_else(PoisonError::into_inner);
    if *defined {
        return false;
    }
    make();
    *defined = true;
    true
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is said where the API server does not answer for a moment. Nothing is wrong with what was asked.
const NOT_NOW: [&str; 9] = [
    "TLS handshake timeout",
    "i/o timeout",
    "connection refused",
    "connection reset by peer",
    "unexpected EOF",
    "http2: client connection",
    "etcdserver: ",
    "the server is currently unable to handle the request",
    "the server was unable to return a response in the time allotted",
];

/// What may be asked again, because it comes to the same.
const AGAIN: [&str; 5] = ["get", "logs", "describe", "wait", "apply"];

/// Runs `kubectl` with these arguments and this on its standard input. It is asked again where the API server does not answer for a
/// moment, if that comes to the same.
///
/// # Panics
/// If it cannot be started.
pub fn run(arguments: &[&str], input: &[u8]) -> Output {
    let end = Instant::now() + PATIENCE;
    loop {
        let output = run_once(arguments, input);
        let said = text(&output.stderr);
        let not_now = !output.status.success() && NOT_NOW.iter().any(|words| said.contains(words));
        let repeatable = arguments.iter().any(|argument| AGAIN.contains(argument));
        if !(not_now && repeatable) || Instant::now() > end {
            return output;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn run_once(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = kubectl();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("kubectl: {error}; put it on PATH"));
    // One that has ended before it read all of it says why.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("kubectl ends")
}

/// A port of this machine that nothing has. The kernel gives it to no connection of another test before it is used, as it does with
/// those that it chooses itself. Each call gives another one.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    static CALLS: AtomicU16 = AtomicU16::new(0);
    // Below the ports of connections and those of Services. Two test programs at the same time begin at different ones.
    let begin = u16::try_from(std::process::id() % 60).unwrap_or_default() * 100;
    let mut ports = (0..6000).map(|_| 23_000 + (begin + CALLS.fetch_add(1, Ordering::Relaxed) % 6000) % 6000);
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("a port")
}

impl Namespace {
    /// Creates a namespace whose pods must comply with this level of the Pod Security Standards.
    ///
    /// # Panics
    /// If the cluster refuses it.
    #[must_use]
    pub fn new(purpose: &str, pod_security: &str) -> Self {
        let unique = TempName::new();
        let namespace = Self { name: format!("cloister-{purpose}-{unique}") };
        let manifest = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace.name, "labels": {"pod-security.kubernetes.io/enforce": pod_security}},
        });
        let output = run(&["create", "-f", "-"], &serde_json::to_vec(&manifest).expect("JSON"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        // Pods are refused until the controllers have made the service account.
        namespace.until("the service account", |namespace| {
            let output = namespace.kubectl(&["get", "serviceaccount", "default"]);
            output.status.success().then_some(())
        });
        namespace
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `kubectl` in this namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        run(&[&["--namespace", &self.name], arguments].concat(), b"")
    }

    /// Creates an object.
    ///
    /// # Errors
    /// What the cluster answers.
    pub fn try_create(&self, manifest: &Value) -> Result<(), String> {
        let manifest = serde_json::to_vec(manifest).expect("JSON");
        let output = run(&["--namespace", &self.name, "create", "-f", "-"], &manifest);
        if output.status.success() { Ok(()) } else { Err(text(&output.stderr)) }
    }

    /// Creates an object.
    ///
    /// # Panics
    /// If the cluster refuses it.
    pub fn create(&self, manifest: &Value) {
        self.try_create(manifest).unwrap_or_else(|error| panic!("{error}: {manifest}"));
    }

    /// Reads an object, such as `pod/name`.
    ///
    /// # Panics
    /// If it does not exist.
    #[must_use]
    pub fn get(&self, object: &str) -> Value {
        let output = self.kubectl(&["get", object, "-o", "json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Waits until a pod has ended, and returns its phase: `Succeeded` or `Failed`.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn ended(&self, pod: &str) -> String {
        self.until(pod, |namespace| {
            let pod = namespace.get(&format!("pod/{pod}"));
            let phase = pod["status"]["phase"].as_str().unwrap_or_default().to_owned();
            matches!(phase.as_str(), "Succeeded" | "Failed").then_some(phase)
        })
    }

    /// What the only container of a pod wrote to its stdout and stderr.
    #[must_use]
    pub fn logs(&self, pod: &str) -> String {
        let output = self.kubectl(&["logs", pod]);
        text(&output.stdout) + &text(&output.stderr)
    }

    /// Tries again until there is a result.
    ///
    /// # Panics
    /// If there is none within [`PATIENCE`]. Shows what is in the namespace.
    pub fn until<T>(&self, what: &str, attempt: impl Fn(&Self) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(result) = attempt(self) {
                return result;
            }
            if Instant::now() > end {
                let events = self.kubectl(&["get", "events,pods", "-o", "wide"]);
                panic!("gave up waiting for {what}:\n{}", text(&events.stdout));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Not waited for: the next test need not wait until the last pod is gone.
        let _ = run(&["delete", "namespace", &self.name, "--wait=false"], b"");
    }
}

/// A suffix that no other test has.
struct TempName(String);

impl TempName {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("").rand_bytes(8).tempdir().expect("a directory");
        let name = directory.path().file_name().expect("a name").to_string_lossy().to_lowercase();
        Self(name)
    }
}

impl std::fmt::Display for TempName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The environment of the tests, `local`: steps that ask for little, and room for three jobs at once.
#[must_use]
pub fn environment() -> Value {
    json!({
        "apiVersion": "cloister.dev/v1alpha1",
        "kind": "Environment",
        "metadata": {"name": "local"},
        "spec": {
            "limits": {
                "jobs": 3, "queued": 100, "cpus": 16, "memoryBytes": 16_u64 << 30, "jobMemoryBytes": 1_u64 << 30,
                "wallMs": 600_000,
            },
            "storage": {"bytes": 64 << 20, "mode": "perJob"},
            "steps": {
                "configuration": {"cpuMillis": 50, "memoryBytes": 128 << 20},
                "publishing": {"cpuMillis": 50, "memoryBytes": 128 << 20},
                "algorithmCpuMillis": 500,
            },
        },
    })
}
