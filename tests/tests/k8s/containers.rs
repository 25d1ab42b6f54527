//! Algorithms that are containers, on a real cluster: a plain image of a distribution's Python, scripts as people have them, and
//! scripts that try everything.
//!
//! A script that tries something exits with 0 if it came to nothing, so that the phase of its job says whether the walls stand.

use super::jobs::{Installation, TABLE, event, program};
use cloister_model::{AuditAction, Fault, JobSpec, JobStatus, Jobs as _, Phase, Reason, RuntimeKind};
use cloister_tests::cluster;
use serde_json::{Value, json};
use std::{process::Command, sync::OnceLock};

pub(super) const IMAGE: &str = "registry.example/debian/python";

/// The digest of the image; made once.
pub(super) fn digest() -> &'static str {
    static MADE: OnceLock<String> = OnceLock::new();
    MADE.get_or_init(|| {
        let script = cloister_testkit::root().join("tests/cluster/debian-image");
        let arguments = [&format!("{IMAGE}:test"), "python3", "dash", "coreutils"];
        let output = Command::new(script).args(arguments).output().expect("the script starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let digest = text.split_whitespace().find(|word| word.starts_with("sha256:"));
        digest.unwrap_or_else(|| panic!("no digest: {text}")).to_owned()
    })
}

/// An environment that runs containers of one registry, on volumes that hold no more than their size.
pub(super) fn environment() -> Value {
    let mut environment = cluster::environment();
    environment["spec"]["runtimes"] = json!({
        "kinds": ["wasm", "container"], "registries": ["registry.example/debian"],
        "requireNetworkPolicy": false, "requireEnforcedStorage": false,
    });
    if cluster::own_cluster().is_some() {
        environment["spec"]["storage"]["class"] = json!("sized");
    }
    environment
}

pub(super) fn python(script: &str) -> impl FnOnce(&mut JobSpec) {
    command(script, "python3 $ALGO")
}

fn command(script: &str, entrypoint: &str) -> impl FnOnce(&mut JobSpec) {
    move |job| {
        job.terms.runtime = RuntimeKind::Container;
        job.terms.runtimes = [RuntimeKind::Container].into();
        let container = &mut job.algorithm.container;
        container.image = IMAGE.to_owned();
        container.checksum = Some(digest().to_owned());
        container.entrypoint = entrypoint.to_owned();
        job.algorithm.source = program(script.as_bytes());
        job.limits.memory_bytes = 128 << 20;
        // The tests of time limits have limits of their own.
        job.limits.wall_ms = 300_000;
    }
}

fn fault(status: &JobStatus) -> Option<Fault> {
    status.reason.as_ref().map(Reason::fault)
}

/// Ocean's own layout, and nothing of Cloister's.
const MEAN: &str = r#"
import csv, json, os
dids = json.loads(os.environ["DIDS"])
rows = []
for did in dids:
    for name in os.listdir(f"/data/inputs/{did}"):
        rows += csv.DictReader(open(f"/data/inputs/{did}/{name}"))
parameters = json.load(open("/data/inputs/algoCustomData.json"))
mean = sum(float(row["age"]) for row in rows) / len(rows)
print("rows:", len(rows))
os.makedirs("/data/outputs/stats")
with open("/data/outputs/stats/result.json", "w") as result:
    json.dump({"mean": mean, "parameters": parameters}, result)
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn an_unchanged_python_script_runs_in_its_image_and_its_outputs_are_released() {
    let installation = Installation::open_with("containers", &environment()).await;
    let job = installation.submit(1, python(MEAN)).await;
    let status = installation.ended(job).await;
    let log = || String::from_utf8_lossy(&installation.stored("log").concat()).into_owned();
    assert_eq!(status.phase, Phase::Finished, "{status:?} {}", log());
    let rows = TABLE.lines().count() - 1;
    let object = installation.jobs.get(&format!("computejob/{job}"));
    // The output and the log.
    assert_eq!(object["status"]["results"]["files"], 2, "{object}");
    if cluster::own_cluster().is_some() {
        assert!(log().contains(&format!("rows: {rows}")), "{}", log());
        let expected = format!("{{\"mean\": {}, \"parameters\": {{}}}}", (41.0 + 52.0 + 38.0) / 3.0);
        let all = installation.stored("");
        assert!(all.iter().any(|content| content == expected.as_bytes()), "no {expected}");
    }
    installation.nothing_is_left();
}

/// Each is provoked for real.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_container_that_fails_ends_in_the_phase_of_its_cause() {
    let installation = Installation::open_with("container-ends", &environment()).await;
    let mut expected = Vec::new();
    let mut number = 0;
    let mut add = |what: &'static str, change: Box<dyn FnOnce(&mut JobSpec)>, phase, whose, words: &'static str| {
        number += 1;
        expected.push((what, number, change, phase, whose, words));
    };
    let by = Fault::Algorithm;
    add("an exit code", Box::new(python("raise SystemExit(3)")), Phase::AlgorithmFailed, by, "code 3");
    let kills_itself = "import os; os.kill(os.getpid(), 9)";
    add("a signal", Box::new(python(kills_itself)), Phase::AlgorithmFailed, by, "signal 9");
    add("no such program", Box::new(command("", "ruby $ALGO")), Phase::AlgorithmFailed, by, "no program");
    let memory = "x = []\nwhile True: x.append(bytearray(10 << 20))";
    add("memory", Box::new(python(memory)), Phase::LimitExceeded, by, "memory");
    // The kernel ends a child, and the script ends as if all were well.
    let child = "import os, subprocess, sys\nsubprocess.run([sys.executable, '-c', 'x = []\\nwhile True: x.append(bytearray(10 << 20))'])";
    add("memory of a child", Box::new(python(child)), Phase::LimitExceeded, by, "memory");
    let endless = |job: &mut JobSpec| {
        python("while True: pass")(job);
        job.limits.wall_ms = 2000;
    };
    add("time", Box::new(endless), Phase::LimitExceeded, by, "wall");
    let absent = |job: &mut JobSpec| {
        python(MEAN)(job);
        job.algorithm.container.checksum = Some(format!("sha256:{}", "0".repeat(64)));
    };
    add("an image that is nowhere", Box::new(absent), Phase::AlgorithmFailed, by, "image");
    let foreign = |job: &mut JobSpec| {
        python(MEAN)(job);
        job.algorithm.container.image = "registry.example/other/python".to_owned();
    };
    add("another registry", Box::new(foreign), Phase::AlgorithmFailed, by, "registry");
    let shell = "a shell, of the image";
    add(
        shell,
        Box::new(command("echo no > /data/outputs/x", "sh $ALGO && exit 4")),
        Phase::AlgorithmFailed,
        by,
        "code 4",
    );
    let root = "[ $(id -u) = 0 ] || { echo this has to be root, and is $(id -u); exit 13; }";
    let of_root = Box::new(command(root, "sh $ALGO"));
    add("a program that has to be root", of_root, Phase::AlgorithmFailed, by, "code 13");
    let mut jobs = Vec::new();
    for (what, number, change, phase, whose, words) in expected {
        jobs.push((what, installation.submit(number, change).await, phase, whose, words));
    }
    // It is waited for, for two minutes, and the job says so meanwhile.
    let (_, without_image, ..) = jobs.iter().find(|(what, ..)| *what == "an image that is nowhere").expect("a job");
    let said = ["the container image of the algorithm cannot be pulled", "the controller waits"];
    installation.explained(*without_image, &said).await;
    for (what, job, phase, whose, words) in jobs {
        let status = installation.ended(job).await;
        let text = status.reason.as_ref().map(|reason| reason.text().to_owned()).unwrap_or_default();
        if what == "another registry" {
            // It never leaves its queue.
            assert!(
                status.phase.has_ended() && !status.phase.is_success() && text.contains(words),
                "{what}: {status:?}"
            );
            continue;
        }
        assert_eq!((status.phase, fault(&status)), (phase, Some(whose)), "{what}: {status:?}");
        assert!(text.contains(words), "{what}: {text}");
    }
    installation.nothing_is_left();
    if cluster::own_cluster().is_some() {
        let logs = installation.stored("log");
        let said = logs.iter().any(|log| log == b"this has to be root, and is 65532\n");
        assert!(said, "the error of a program that has to be root: {}", String::from_utf8_lossy(&logs.concat()));
    }
}

/// Exits with 0 if nothing was reached, and prints what was.
const TRIES_EVERYTHING: &str = r#"
import errno, os, signal, socket, subprocess, sys, time
found = []
def closed(what, attempt):
    try:
        attempt()
        found.append(what)
    except Exception:
        pass
for family in range(46):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        if family != socket.AF_UNIX:
            closed(f"a socket of family {family}", lambda: socket.socket(family, kind))
for address in (("10.96.0.1", 443), ("10.88.0.1", 6443), ("169.254.169.254", 80), ("10.96.0.10", 53)):
    closed(f"{address}", lambda: socket.create_connection(address, 2))
closed("names", lambda: socket.getaddrinfo("kubernetes.default.svc", 443))
for path in ("/var/run/secrets/kubernetes.io/serviceaccount/token", "/run/secrets", "/job/claim", "/job/in", "/job/out",
             "/job/checks", "/job/control", "/order", "/etc/cloister", "/results"):
    if os.path.exists(path):
        found.append(path)
for name in os.environ:
    if name.startswith("KUBERNETES") or name.endswith("_SERVICE_HOST"):
        found.append(name)
for path in ("/data/inputs/x", "/data/transformations/algorithm", "/data/ddos/x", "/cloister/entry", "/cloister/x", "/x", "/etc/x",
             "/usr/bin/x", "/data/x"):
    closed(f"writing {path}", lambda: open(path, "w"))
for path in ("/proc/1/mem", "/proc/1/environ", "/proc/1/fd/1"):
    closed(f"reading {path}", lambda: open(path, "rb").read(1))
closed("printing as process 1", lambda: open("/proc/1/fd/1", "w").write("leak"))
for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    closed_by = lambda: os.kill(1, number)
    try:
        closed_by()
    except PermissionError:
        pass
for call in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.chroot("/tmp")):
    closed("another user, or another root", call)
closed("a device", lambda: os.mknod("/data/outputs/disk", 0o600 | 0o060000, os.makedev(8, 0)))
for flag in (0x10000000, 0x40000000, 0x00020000):
    closed("a namespace", lambda: os.unshare(flag) if hasattr(os, "unshare") else (_ for _ in ()).throw(OSError))
if os.getuid() == 0 or os.getgid() == 0:
    found.append("root")
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
if status["CapEff"].strip() != "0" * 16 or status["NoNewPrivs"].strip() != "1":
    found.append("rights " + status["CapEff"] + status["NoNewPrivs"])
# Words of another job, and one of its own that shows that they would be found. Neither of them stands in this script.
words = {b"planted-" + b"words": "of another job", b"own-" + b"words": "its own"}
open("/data/outputs/own", "wb").write(b"own-" + b"words")
seen = set()
def search(path):
    try:
        with open(path, "rb") as file:
            content = file.read(1 << 20)
    except OSError:
        return
    for word in words:
        if word in content:
            seen.add(word)
            if words[word] != "its own":
                found.append(f"words {words[word]} in {path}")
# The folders of the image are the same in every pod.
for folder, below, names in os.walk("/"):
    below[:] = [name for name in below if os.path.join(folder, name) not in ("/proc", "/sys", "/usr", "/lib", "/lib64")]
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            search(path)
for process in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline", "mountinfo"):
        search(f"/proc/{process}/{name}")
if b"own-" + b"words" not in seen:
    found.append("nothing: it does not find its own words")
time.sleep(1)
print("\n".join(found))
sys.exit(len(found))
"#;

/// Has words in its inputs, its outputs, its log and its temporary files that no other job may find.
const PLANTS: &str = r#"
import os, time
for path in ("/data/outputs/words", "/tmp/words"):
    open(path, "w").write("planted-words")
print("planted-words", flush=True)
time.sleep(5)
"#;

/// The word of a sandbox that all went well, for job 2 of these tests.
const FORGES: &str = r#"
import json
said = {"version": "cloister.dev/message/v1", "job": JOB, "said": {"ran": {"end": "succeeded", "reason": None,
        "algorithm": "1" * 64, "interpreted": False, "files": "1" * 64, "report": "1" * 64}}}
for path in ("/dev/termination-log", "/job/run/report.json", "/data/outputs/report.json"):
    try:
        open(path, "w").write(json.dumps(said))
    except OSError as error:
        print(error)
raise SystemExit(5)
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_hostile_container_finds_no_way_out_and_is_not_believed() {
    let installation = Installation::open_with("hostile", &environment()).await;
    // A job whose words no other job may find. What it prints is on the streams of no container, because its contract holds the log: a
    // reviewer sees it first.
    let planted = installation
        .submit(3, |job| {
            python(PLANTS)(job);
            job.inputs[0].source = cloister_testkit::inline("planted-words");
            job.terms.release.review = true;
        })
        .await;
    installation.runs(planted);
    let tries = installation.submit(1, python(TRIES_EVERYTHING)).await;
    let forges = installation
        .submit(2, |job| {
            let script = FORGES.replace("JOB", &format!("\"{}\"", job.id));
            python(&script)(job);
        })
        .await;
    let streams = installation.jobs.kubectl(&["logs", &format!("pod/{planted}-a"), "--all-containers"]);
    let status = installation.until(planted, |status| status.phase == Phase::InReview).await;
    assert_eq!(status.phase, Phase::InReview);
    let after = installation.jobs.kubectl(&["logs", &format!("pod/{planted}-a"), "--all-containers"]);
    for streams in [streams, after] {
        assert!(!String::from_utf8_lossy(&streams.stdout).contains("planted-words"), "{streams:?}");
    }

    let status = installation.ended(tries).await;
    let log = String::from_utf8_lossy(&installation.stored("log").concat()).into_owned();
    assert_eq!(status.phase, Phase::Finished, "{status:?}\n{log}");
    // The volume with the words was there all the time.
    let status = installation.store.status(planted).await.expect("a status");
    assert_eq!(status.phase, Phase::InReview, "{status:?}");
    let claim = installation.jobs.get(&format!("persistentvolumeclaim/{planted}-data"));
    assert_eq!(claim["status"]["phase"], "Bound", "{claim}");
    assert!(cluster::own_cluster().is_none() || log.contains("planted-words"), "nothing was planted: {log}");
    installation.store.stop(planted, event(planted, AuditAction::JobStopped)).await.expect("stopped");
    let status = installation.ended(forges).await;
    let text = status.reason.as_ref().map(|reason| reason.text().to_owned()).unwrap_or_default();
    assert_eq!((status.phase, text.contains("code 5")), (Phase::AlgorithmFailed, true), "{status:?}");
    installation.ended(planted).await;
    installation.nothing_is_left();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn what_a_container_leaves_is_what_the_contract_allows_or_nothing() {
    let installation = Installation::open_with("container-outputs", &environment()).await;
    let mut jobs = Vec::new();
    for (number, (what, script)) in [
        ("a link to an input", "import os\nos.symlink('/data/inputs/algoCustomData.json', '/data/outputs/link')"),
        ("a link to the host", "import os\nos.symlink('/etc/cloister/cloister.toml', '/data/outputs/link')"),
        ("a link to a folder", "import os\nos.symlink('/', '/data/outputs/folder')"),
        ("a pipe", "import os\nos.mkfifo('/data/outputs/pipe')"),
        (
            "two names",
            "import os\nopen('/data/outputs/a', 'w').write('x')\nos.link('/data/outputs/a', '/data/outputs/b')",
        ),
        ("a name that hides", "open('/data/outputs/a\\u202eb', 'w').write('x')"),
        ("a name that is no text", "open(b'/data/outputs/\\xff', 'w').write('x')"),
        ("too many files", "for n in range(1001): open(f'/data/outputs/{n}', 'w')"),
        ("a file that nobody may read", "import os\nopen('/data/outputs/a', 'w')\nos.chmod('/data/outputs/a', 0)"),
    ]
    .into_iter()
    .enumerate()
    {
        jobs.push((what, installation.submit(number as u64 + 1, python(script)).await));
    }
    for (what, job) in jobs {
        let status = installation.ended(job).await;
        assert_eq!(
            (status.phase, fault(&status)),
            (Phase::OutputRefused, Some(Fault::Algorithm)),
            "{what}: {status:?}"
        );
    }
    installation.nothing_is_left();
}

/// What it fills is its own, and its node goes on.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_container_that_fills_its_disk_or_starts_processes_without_end_is_bounded() {
    let installation = Installation::open_with("floods", &environment()).await;
    // Exits with 0 if everything it filled had an end that was not far off.
    let disk = r"
import errno, os, sys
def fill(folder, most):
    written = 0
    try:
        for number in range(64):
            with open(f'{folder}/{number}', 'wb', buffering=0) as file:
                for _ in range(64):
                    written += file.write(b'x' * (1 << 20))
                    if written > most:
                        sys.exit(f'{folder}: {written}')
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise
    for number in range(64):
        if os.path.exists(f'{folder}/{number}'):
            os.remove(f'{folder}/{number}')
fill('/tmp', 70 << 20)
OUTPUTS
";
    // Only a volume that holds no more than its size has an end.
    let outputs = if cluster::own_cluster().is_some() { "fill('/data/outputs', 70 << 20)" } else { "" };
    let disk = disk.replace("OUTPUTS", outputs);
    let disk = installation.submit(1, python(&disk)).await;
    let bomb = "
import os, time
end = time.monotonic() + 20
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.1)
    if time.monotonic() > end:
        os._exit(9)
";
    let bomb = installation
        .submit(2, |job| {
            python(bomb)(job);
            job.limits.wall_ms = 10_000;
        })
        .await;
    let status = installation.ended(disk).await;
    assert_eq!(status.phase, Phase::Finished, "{status:?}");
    let status = installation.ended(bomb).await;
    assert!(matches!(status.phase, Phase::LimitExceeded | Phase::AlgorithmFailed), "{status:?}");
    // The node takes the next job.
    let next = installation.submit(3, python(MEAN)).await;
    let status = installation.ended(next).await;
    assert_eq!(status.phase, Phase::Finished, "{status:?}");
    installation.nothing_is_left();
}

/// An environment that wants both walls, with volumes of this class.
fn strict_environment(class: &str) -> Value {
    let mut environment = environment();
    let runtimes = environment["spec"]["runtimes"].as_object_mut().expect("rules");
    runtimes.remove("requireNetworkPolicy");
    runtimes.remove("requireEnforcedStorage");
    environment["spec"]["storage"]["class"] = json!(class);
    environment
}

/// Waits until the canaries of the environment have found this: the status of a condition.
fn found(installation: &Installation, kind: &str, wanted: &str) {
    installation.jobs.until(&format!("{kind} to be {wanted}"), |namespace| {
        let environment = namespace.get("environment/local");
        let conditions = environment["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == wanted).then_some(())
    });
}

/// Tests of the network: they run a second time where policies are late.
mod network {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a cluster with nodes: make test-k8s"]
    async fn a_canary_opens_an_environment_for_containers_whose_walls_stand() {
        // For its class `sized`.
        let _ = cluster::needs_own_cluster();
        let installation = Installation::open_with("canary", &strict_environment("sized")).await;
        found(&installation, "NetworkPolicyEnforced", "True");
        found(&installation, "StorageWorks", "True");
        let environment = installation.jobs.get("environment/local");
        println!("window: {}", environment["status"]["isolation"]);
        // Whether policies are late or not, no container makes a connection: its first instruction is behind a wall of its own.
        let tries = installation.submit(1, python(TRIES_EVERYTHING)).await;
        let status = installation.ended(tries).await;
        let log = String::from_utf8_lossy(&installation.stored("log").concat()).into_owned();
        assert_eq!(status.phase, Phase::Finished, "{status:?}\n{log}");
        installation.nothing_is_left();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn containers_are_refused_where_a_wall_is_missing_and_webassembly_goes_on() {
    // For its class `standard`, which enforces no size.
    let _ = cluster::needs_own_cluster();
    // No policy is in force when the first canary is sent: it has to see that.
    let installation = Installation::open("no-walls").await;
    let gone = installation.jobs.kubectl(&["delete", "networkpolicies", "--all"]);
    assert!(gone.status.success());
    let strict = json!({"spec": strict_environment("standard")["spec"]}).to_string();
    let wants = installation.jobs.kubectl(&["patch", "environment", "local", "--type=merge", "--patch", &strict]);
    assert!(wants.status.success(), "{}", String::from_utf8_lossy(&wants.stderr));
    let refused = installation.submit(1, python(MEAN)).await;
    let status = installation.ended(refused).await;
    assert!(!status.phase.is_success(), "before anything is known: {status:?}");
    found(&installation, "NetworkPolicyEnforced", "False");
    found(&installation, "StorageWorks", "False");
    let refused = installation.submit(2, python(MEAN)).await;
    let status = installation.ended(refused).await;
    assert!(!status.phase.is_success(), "{status:?}");
    let guest = wat::parse_str(cloister_tests::service::NOTHING).expect("a guest");
    let wasm = installation.submit(3, |job| job.algorithm.source = program(&guest)).await;
    assert_eq!(installation.ended(wasm).await.phase, Phase::Finished);
    installation.nothing_is_left();
}
