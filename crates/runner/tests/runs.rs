//! Starting, finding and stopping, with shell scripts in place of the sandbox: what matters here is the claim, the lock and the
//! report, not the guest.

use cloister_model::{CommandLine, Limits, OutputContract, Profile, Report};
use cloister_runner::{Run, RunnerError, Sandbox, has_ended, look, stop};
use cloister_testkit::report;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

fn sandbox(script: &str) -> Sandbox {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    Sandbox::find(&path, PathBuf::from("/nonexistent")).expect("a script")
}

fn run(folder: &Path) -> Run {
    Run {
        folder: folder.to_owned(),
        algorithm: PathBuf::from("data/transformations/algorithm"),
        did: None,
        datasets: vec!["d".parse().expect("a DID")],
        contract: OutputContract::default(),
        limits: Limits::default(),
        profile: Profile::Deterministic,
        interpreter: None,
        command_line: CommandLine::default(),
    }
}

/// A process of the sandbox may hold the lock for a moment after the sandbox has exited. An engine that looks then must not take the
/// run for a lost one: there is a report.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_has_ended_when_its_lock_is_free_and_not_when_its_process_exits() {
    let folder = tempfile::tempdir().expect("a directory");
    fs::write(folder.path().join("report.prepared"), serde_json::to_vec(&report()).expect("JSON")).expect("written");
    let running = sandbox("slow_exit.sh").start(&run(folder.path())).expect("started");
    let exit = running.wait().await.expect("ended");
    let trace = look(folder.path()).expect("a look");
    assert!(exit.0.contains('0'), "{exit:?}");
    assert!(trace.claimed && !trace.locked, "{trace:?}");
    assert_eq!(trace.report.as_deref(), Some(&report()));
}

#[tokio::test]
async fn a_report_that_is_not_whole_is_no_report() {
    let folder = tempfile::tempdir().expect("a directory");
    let whole = serde_json::to_vec(&report()).expect("JSON");
    fs::write(folder.path().join("claim"), "1\n").expect("written");
    for text in [
        &whole[..whole.len() / 2],
        b"",
        &serde_json::to_vec(&Report { version: "v0".to_owned(), ..report() }).expect("JSON"),
    ] {
        fs::write(folder.path().join("report.json"), text).expect("written");
        let trace = look(folder.path()).expect("a look");
        assert!(trace.claimed && trace.report.is_none(), "{trace:?}");
    }
    fs::write(folder.path().join("report.json"), whole).expect("written");
    assert!(look(folder.path()).expect("a look").report.is_some());
    fs::remove_file(folder.path().join("claim")).expect("removed");
    assert!(look(folder.path()).expect("a look").report.is_none(), "a report without a claim");
}

#[tokio::test]
async fn a_sandbox_that_cannot_run_leaves_its_last_words_and_no_claim() {
    let folder = tempfile::tempdir().expect("a directory");
    let exit = sandbox("silent_exit.sh").start(&run(folder.path())).expect("started").wait().await.expect("ended");
    let trace = look(folder.path()).expect("a look");
    assert!(exit.0.contains('5'), "{exit:?}");
    assert!(!trace.claimed && !trace.locked, "{trace:?}");
    assert_eq!(trace.last_words, "a wall is missing");
}

#[tokio::test]
async fn a_run_is_stopped_by_a_process_that_did_not_start_it_and_a_folder_has_one_run() {
    let folder = tempfile::tempdir().expect("a directory");
    let program = sandbox("endless.sh");
    let running = program.start(&run(folder.path())).expect("started");
    let second = program.start(&run(folder.path())).expect_err("one at a time");
    assert!(matches!(second, RunnerError::InUse), "{second}");
    while !look(folder.path()).expect("a look").claimed {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!has_ended(folder.path()).expect("a look"));
    stop(folder.path()).await.expect("stopped");
    assert!(has_ended(folder.path()).expect("a look"));
    let exit = running.wait().await.expect("ended");
    assert!(exit.0.contains('9'), "it ignores the first signal: {exit:?}");
}

#[test]
fn a_file_that_cannot_be_run_is_not_a_sandbox() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("sandbox");
    fs::write(&file, "").expect("written");
    for path in [file, folder.path().to_owned(), folder.path().join("missing")] {
        let error = Sandbox::find(&path, PathBuf::new()).expect_err("not a program");
        assert!(matches!(error, RunnerError::Program { .. }), "{error}");
    }
}
