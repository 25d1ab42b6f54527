//! Interpreters in memory: what a keeper verified is what runs load, and nothing else is.

use super::{LIBRARY, Workshop, said};
use cloister_model::{Outcome, Report};
use cloister_tests::program;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Output, Stdio},
};

/// A process that holds memory files, and the path that it printed. It ends when this value is dropped.
struct Keeper {
    process: Child,
    _held: Option<ChildStdin>,
    path: String,
}

impl Keeper {
    fn start(command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut path = String::new();
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe"));
        lines.read_line(&mut path).expect("a line");
        assert!(path.starts_with("/proc/"), "{path:?}");
        Self { _held: process.stdin.take(), process, path: path.trim_end().to_owned() }
    }

    /// Waits until the process is gone.
    fn end(mut self) -> String {
        self._held = None;
        self.process.wait().expect("it ended");
        self.path.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A workshop with the interpreter installed and compiled.
fn compiled() -> Workshop {
    let workshop = Workshop::new();
    assert!(workshop.add(&workshop.manifest).status.success());
    assert!(workshop.sandbox(&["compile", "--runtime", "tiny"]).status.success());
    workshop
}

fn keeper(workshop: &Workshop) -> Keeper {
    let mut command = program();
    command.env("CLOISTER_SANDBOX_HOME", workshop.at("home")).args(["runtime", "keep", "tiny"]);
    Keeper::start(&mut command)
}

/// Runs a script that prints the library, with the interpreter at this path.
fn run(workshop: &Workshop, kept: &str, arguments: &[&str]) -> (Output, Option<Report>) {
    let _ = fs::remove_dir_all(workshop.at("out"));
    fs::write(workshop.at("script"), "0").expect("written");
    fs::write(workshop.at("data"), "1").expect("written");
    let words = ["run", "script", "--runtime", "tiny", "--dataset", "d=data", "--outputs", "out", "--json"];
    let output = workshop.sandbox(&[&words[..], &["--kept", kept], arguments].concat());
    let report = serde_json::from_slice(&output.stdout).ok();
    (output, report)
}

fn machine_code(workshop: &Workshop) -> PathBuf {
    let files = fs::read_dir(workshop.at("home/artifacts")).expect("artifacts");
    let mut paths = files.map(|entry| entry.expect("listed").path());
    paths.find(|path| path.extension().is_some_and(|end| end == "cwasm")).expect("machine code")
}

/// Makes the interpreter's library and machine code in the home useless.
fn damage(workshop: &Workshop) {
    fs::write(workshop.at("home/runtimes/tiny/file-0"), "changed").expect("written");
    fs::write(machine_code(workshop), "changed").expect("written");
}

fn succeeded((output, report): (Output, Option<Report>)) -> Report {
    assert!(report.is_some(), "{}", said(&output));
    let report = report.expect("asserted");
    assert_eq!(report.outcome, Outcome::Succeeded);
    assert_eq!(report.log.kept_bytes, LIBRARY.len() as u64);
    report
}

#[test]
fn a_run_loads_what_is_in_memory_and_reads_nothing_of_the_home() {
    let workshop = compiled();
    let keeper = keeper(&workshop);
    let other_way = succeeded(run(&workshop, "/proc/self/fd/0", &[]));
    damage(&workshop);
    for _ in 0..2 {
        let report = succeeded(run(&workshop, &keeper.path, &["--require-isolation"]));
        assert_eq!(report.usage.compile_ms, None);
        assert_eq!((report.engine, report.algorithm), (other_way.engine.clone(), other_way.algorithm.clone()));
    }
    // Limits hold as they do for machine code from the home: this interpreter has a page of memory.
    let (_, report) = run(&workshop, &keeper.path, &["--limits", "memory=10000"]);
    assert!(report.is_none_or(|report| report.outcome != Outcome::Succeeded));
    let path = keeper.end();
    let (output, report) = run(&workshop, &path, &[]);
    assert!(report.is_none() && said(&output).contains("damaged"), "{}", said(&output));
}

#[test]
fn a_keeper_that_has_ended_or_keeps_something_else_fails_no_run() {
    let workshop = compiled();
    let path = keeper(&workshop).end();
    succeeded(run(&workshop, &path, &[]));
    let keeper = keeper(&workshop);
    // Code for the other profile is not what it keeps.
    let report = succeeded(run(&workshop, &keeper.path, &["--profile", "standard"]));
    assert!(report.usage.compile_ms.is_some());
    // Nor is an interpreter that was installed since.
    let mut manifest = workshop.manifest.clone();
    manifest["description"] = "another".into();
    assert!(workshop.add(&manifest).status.success());
    let report = succeeded(run(&workshop, &keeper.path, &[]));
    let runtime = report.algorithm.runtime.expect("a runtime");
    let installed = fs::read(workshop.at("manifest.json")).expect("a manifest");
    assert_eq!(runtime.manifest_sha256.to_string(), super::sha256(&installed));
}

#[test]
fn memory_files_that_the_key_of_the_home_does_not_vouch_for_are_not_loaded() {
    let (ours, theirs) = (compiled(), compiled());
    let (keeper, foreign) = (keeper(&ours), keeper(&theirs));
    // Another home's keeper, with the same interpreter.
    damage(&ours);
    let (output, report) = run(&ours, &foreign.path, &[]);
    assert!(report.is_none() && said(&output).contains("damaged"), "{}", said(&output));
    succeeded(run(&ours, &keeper.path, &[]));
    // A label of our own keeper that was copied, over memory files with other bytes: sealed and not, and not even memory files.
    let forge = "import fcntl, json, os, sys\n\
        label, how = sys.argv[1:]\n\
        def memory(content, sealed):\n\
        \x20   fd = os.memfd_create('forged', os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)\n\
        \x20   os.write(fd, content)\n\
        \x20   if sealed: fcntl.fcntl(fd, 1033, 15)\n\
        \x20   return fd\n\
        known = json.load(open(label))\n\
        originals = [open(os.path.join(os.path.dirname(label), str(fd)), 'rb').read() for fd in known['files']]\n\
        if how == 'same': contents = originals\n\
        else: contents = [bytes(len(original)) for original in originals]\n\
        known['files'] = [memory(content, how != 'open') for content in contents]\n\
        if how == 'mixed': known['files'][1] = os.open(os.path.join(os.path.dirname(label), str(json.load(open(label))['files'][1])), os.O_RDONLY)\n\
        made = memory(json.dumps(known).encode(), how != 'unsealed label')\n\
        print(f'/proc/{os.getpid()}/fd/{made}', flush=True)\n\
        sys.stdin.read()\n";
    for how in ["same", "zeros", "mixed", "open", "unsealed label"] {
        let forged = Keeper::start(Command::new("python3").args(["-c", forge, &keeper.path, how]));
        let (output, report) = run(&ours, &forged.path, &[]);
        assert!(report.is_none() && said(&output).contains("damaged"), "{how}: {}", said(&output));
    }
}

#[test]
fn only_what_is_verified_and_fits_is_kept() {
    let workshop = Workshop::new();
    assert!(workshop.add(&workshop.manifest).status.success());
    let keep = |arguments: &[&str]| {
        let output = workshop.sandbox(&[&["runtime", "keep", "tiny"], arguments].concat());
        assert!(!output.status.success() && output.stdout.is_empty(), "{}", said(&output));
        said(&output)
    };
    assert!(keep(&[]).contains("has no compiled code for the deterministic profile"));
    assert!(workshop.sandbox(&["compile", "--runtime", "tiny"]).status.success());
    assert!(keep(&["--most-bytes", "1000"]).contains("1000 are allowed"));
    let code = machine_code(&workshop);
    let good = fs::read(&code).expect("machine code");
    let mut bad = good.clone();
    *bad.last_mut().expect("not empty") ^= 1;
    fs::write(&code, bad).expect("written");
    assert!(keep(&[]).contains("fails verification"));
    fs::write(&code, good).expect("written");
    fs::write(workshop.at("home/runtimes/tiny/file-0"), "changed").expect("written");
    assert!(keep(&[]).contains("has changed"));
}
