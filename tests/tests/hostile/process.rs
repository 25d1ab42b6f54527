//! The guest's process, inspected and killed from outside.

use crate::compile::slow_to_compile;
use crate::runs::{assert_complete, assert_limit, fixture, outputs, shape, start, wait};
use cloister_model::{Isolation, Limit, Outcome};
use cloister_tests::Trial;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(120);

fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process")).expect("a process");
    kill_process(pid, signal).expect("sent");
}

/// Waits until the function returns something.
#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn status(pid: u32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix(field))?.trim_start_matches(':').trim().to_owned())
}

/// The time that a process has computed in user mode, in ticks of 10 ms.
fn processor_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(11)?.parse().ok()
}

/// The child of a process that does this.
fn child_of(pid: u32, what: &str) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().filter_map(|child| child.parse().ok()).find(|child: &u32| {
        fs::read(format!("/proc/{child}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(what))
    })
}

/// Whether a process exists and is not a zombie.
fn is_alive(pid: u32) -> bool {
    status(pid, "State").is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// A supervisor whose guest is running behind all walls.
struct Running {
    trial: Trial,
    supervisor: Child,
    worker: u32,
}

impl Running {
    /// On a busy machine, a run may have come to its limit before it is looked at. Then there is another one.
    fn start(name: &str, arguments: &[&str]) -> Self {
        until("a guest that is seen", || Self::try_start(name, arguments))
    }

    fn try_start(name: &str, arguments: &[&str]) -> Option<Self> {
        let mut trial = fixture(name).with(arguments);
        let mut supervisor = start(&mut trial);
        let worker = until("a worker in its sandbox", || {
            if supervisor.try_wait().expect("waited").is_some() {
                return Some(None);
            }
            let worker = child_of(supervisor.id(), "worker")?;
            // The seccomp filter is the last wall.
            (status(worker, "Seccomp").as_deref() == Some("2")).then_some(Some(worker))
        })?;
        // The walls are reported between that and the guest, which takes all the time that it gets, up to its limit.
        let before = processor_ticks(worker);
        until("a guest that computes", || {
            let goes_on = before.zip(processor_ticks(worker)).is_none_or(|(before, now)| now > before + 1);
            goes_on.then_some(())
        });
        Some(Self { trial, supervisor, worker })
    }
}

#[test]
fn a_worker_killed_from_outside_is_the_hosts_fault() {
    for signal in [Signal::KILL, Signal::TERM] {
        let Running { trial, supervisor, worker } = Running::start("endless_loop", &[]);
        send(worker, signal);
        let code = wait(supervisor, PATIENCE);
        let ended = trial.ended(code, b"", b"");
        assert!(matches!(ended.outcome(), Outcome::HostFault { .. }), "{}", shape(&ended));
        assert_eq!(code, Some(70));
        assert_complete(&ended);
        assert!(outputs(&ended).is_empty());
    }
}

/// The guest ends with its supervisor, whether that is killed or gets Ctrl-C.
#[test]
fn nothing_outlives_the_supervisor() {
    for signal in [Signal::KILL, Signal::INT, Signal::TERM, Signal::HUP] {
        let Running { trial: _trial, mut supervisor, worker } = Running::start("endless_loop", &[]);
        send(supervisor.id(), signal);
        until("the supervisor is gone", || supervisor.try_wait().expect("waited"));
        until("the worker is gone", || (!is_alive(worker)).then_some(()));
    }
}

/// So does the compiler process.
#[test]
fn no_compiler_outlives_the_supervisor() {
    let program = slow_to_compile();
    for signal in [Signal::KILL, Signal::INT] {
        let home = tempfile::tempdir().expect("a home");
        let home = home.path().join("home");
        let mut trial = Trial::bytes(&program).with(&["--home", home.to_str().expect("text")]);
        let mut supervisor = start(&mut trial);
        let compiler = until("a compiler in its sandbox", || {
            let compiler = child_of(supervisor.id(), "compiler")?;
            (status(compiler, "Seccomp").as_deref() == Some("2")).then_some(compiler)
        });
        assert_eq!(status(compiler, "NoNewPrivs").as_deref(), Some("1"));
        assert_eq!(fs::read(format!("/proc/{compiler}/environ")).expect("read"), b"");
        send(supervisor.id(), signal);
        until("the supervisor is gone", || supervisor.try_wait().expect("waited"));
        until("the compiler is gone", || (!is_alive(compiler)).then_some(()));
        // A later run does not use its unfinished artifact.
        let left: Vec<_> =
            fs::read_dir(home.join("artifacts")).expect("listed").map(|e| e.expect("listed").path()).collect();
        assert!(left.iter().all(|path| path.extension() != Some("cwasm".as_ref())), "{left:?}");
    }
}

/// The death of the compiler process is reported and ends the run.
#[test]
fn a_compiler_killed_from_outside() {
    let home = tempfile::tempdir().expect("a home");
    let home = home.path().join("home");
    let mut trial = Trial::bytes(&slow_to_compile()).with(&["--home", home.to_str().expect("text")]);
    let supervisor = start(&mut trial);
    let compiler = until("a compiler", || child_of(supervisor.id(), "compiler"));
    send(compiler, Signal::KILL);
    assert_eq!(wait(supervisor, PATIENCE), Some(70));
    let left = fs::read_dir(home.join("artifacts")).expect("listed").count();
    assert_eq!(left, 0, "no draft is left");
}

#[test]
fn a_stopped_worker_is_killed_in_time() {
    let Running { trial, supervisor, worker } = Running::start("endless_loop", &["--limits", "wall=10s"]);
    send(worker, Signal::STOP);
    let code = wait(supervisor, PATIENCE);
    let ended = trial.ended(code, b"", b"");
    assert_limit(&ended, Limit::WallTime);
    assert!(!is_alive(worker));
}

#[test]
fn what_a_worker_has() {
    let Running { trial, supervisor, worker } = Running::start("endless_loop", &["--limits", "wall=20s"]);
    let file = |name: &str| Path::new("/proc").join(worker.to_string()).join(name);
    let field = |name: &str| status(worker, name);
    assert_eq!(field("Seccomp").as_deref(), Some("2"));
    assert_eq!(field("NoNewPrivs").as_deref(), Some("1"));
    // As root, too: its files are opened before, and nothing else of root's rights is needed.
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(set).as_deref(), Some("0000000000000000"), "{set}");
    }
    assert_eq!(fs::read(file("environ")).expect("read"), b"");
    // It has only its user's rights and one thread, and other processes of that user cannot inspect it.
    assert_eq!(field("Threads").as_deref(), Some("1"));
    let limits = fs::read_to_string(file("limits")).expect("read");
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).expect("a limit");
        line[name.len()..].split_whitespace().next().expect("a value").to_owned()
    };
    assert_eq!(limit("Max core file size"), "0");
    assert_eq!(limit("Max file size"), (100 * 1024 * 1024).to_string());
    assert_eq!(limit("Max cpu time"), "600");
    assert!(limit("Max open files").parse::<u64>().expect("a number") < 400);
    // It only has descriptors that it was given: pipes, files in memory, its artifact, the program's own file, the
    // dataset and the outputs. No terminal, no socket, no directory of the machine.
    let here = trial.directory.path().to_owned();
    let home = cloister_tests::shared_home();
    let mut count = 0;
    for entry in fs::read_dir(file("fd")).expect("listed") {
        let target = fs::read_link(entry.expect("listed").path()).expect("a link");
        let text = target.to_string_lossy().into_owned();
        let is_given = text.starts_with("pipe:[")
            || text.starts_with("/memfd:")
            || text == "/dev/null"
            || target.starts_with(home.join("artifacts"))
            || target == here.join("algorithm.wasm")
            || target == here.join("dataset")
            || target == here.join("outputs");
        // The kernel's status file of this process, which contains nothing about others.
        let is_own = target.starts_with(format!("/proc/{worker}"));
        assert!(is_given || is_own, "it holds {text}");
        count += 1;
    }
    assert!(count < 20, "it holds {count} descriptors");
    let code = wait(supervisor, PATIENCE);
    let ended = trial.ended(code, b"", b"");
    assert_limit(&ended, Limit::WallTime);
    let isolation = ended.report().isolation.as_ref().expect("walls");
    assert_complete(&ended);
    assert!(isolation.0.len() >= Isolation::REQUIRED.len());
}

/// A run that ends normally leaves no process, and no file except the requested ones.
#[test]
fn nothing_is_left_of_a_run() {
    let Running { trial, supervisor, worker } = Running::start("endless_loop", &["--limits", "wall=5s"]);
    let code = wait(supervisor, PATIENCE);
    assert!(!is_alive(worker));
    let ended = trial.ended(code, b"", b"");
    let mut names: Vec<String> = fs::read_dir(ended.directory.path())
        .expect("listed")
        .map(|entry| entry.expect("listed").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    assert_eq!(names, ["algorithm.wasm", "dataset", "log", "outputs", "report.json"]);
}
