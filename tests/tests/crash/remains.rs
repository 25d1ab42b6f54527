//! What must not be there any more when all jobs have ended, and what must be.

use crate::workload::{Workload, text};
use cloister_tests::service::{Service, wait_for};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Folders, files and processes that belong to no job.
///
/// # Panics
/// If there are any.
pub(crate) fn nothing_is_left(service: &mut Service, jobs: &BTreeMap<String, Value>) {
    let home = service.home();
    // The last job's folder goes after its end has been told.
    wait_for("the last folders to go", || (names(&home.join("jobs")).is_empty()).then_some(()));
    wait_for("the last processes to end", || processes(&home).len().eq(&1).then_some(()));
    // So does what was being fetched for a job that was stopped: by the thread that wrote it.
    let partial = home.join("cache/partial");
    wait_for("the last downloads to go", || {
        let mut folders = names(&partial).into_iter().filter(|name| !name.ends_with(".lock"));
        folders.all(|folder| names(&partial.join(folder)).is_empty()).then_some(())
    });
    looks_right(&home, jobs);
    // And once more after a start with nothing to do.
    service.stop();
    assert_eq!(processes(&home), [0; 0], "they outlived everything");
    service.restart();
    std::thread::sleep(Duration::from_millis(300));
    looks_right(&home, jobs);
}

fn looks_right(home: &Path, jobs: &BTreeMap<String, Value>) {
    let known = |name: &String| jobs.contains_key(name);
    let finished = |name: &String| jobs.get(name).is_some_and(|job| job["phase"] == "Finished");
    assert_eq!(names(&home.join("jobs")), [""; 0], "folders of jobs that have ended");
    // The folder of the service that runs, and its lock.
    let partial = home.join("cache/partial");
    let folders: Vec<_> = names(&partial).into_iter().filter(|name| !name.ends_with(".lock")).collect();
    let [folder] = folders.as_slice() else { panic!("folders of processes that have ended: {folders:?}") };
    assert_eq!(names(&partial.join(folder)), [""; 0], "partial downloads are left over");
    let unfinished: Vec<_> = names(&home.join("results")).into_iter().filter(|name| !finished(name)).collect();
    assert_eq!(unfinished, [""; 0], "results of jobs that did not finish");
    let results = names(&home.join("results"));
    let missing: Vec<_> = jobs.keys().filter(|job| finished(job) && !results.contains(job)).collect();
    assert_eq!(missing, [""; 0], "jobs that finished without results");
    let strange: Vec<_> = names(&home.join("logs")).into_iter().filter(|name| !known(name)).collect();
    assert_eq!(strange, [""; 0], "logs of no job");
    let parts: Vec<_> = names(&home.join("uploads")).into_iter().filter(|name| name.len() != 64).collect();
    assert_eq!(parts, [""; 0], "partial uploads are left over");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Processes that were started with this folder, or are in it.
fn processes(home: &Path) -> Vec<i32> {
    let is_there = |process: &PathBuf| {
        let cwd = fs::read_link(process.join("cwd")).unwrap_or_default();
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        // A process that has ended and was not waited for has no command line.
        !line.is_empty() && (cwd.starts_with(home) || line.split('\0').any(|word| Path::new(word) == home))
    };
    let all = fs::read_dir("/proc").expect("/proc").flatten().map(|entry| entry.path()).filter(is_there);
    all.filter_map(|process| process.file_name()?.to_str()?.parse().ok()).collect()
}

/// Kills whatever belongs to this folder until nothing does.
pub(crate) fn kill_all_processes(home: &Path) {
    wait_for("the sandboxes to be gone", || {
        let left = processes(home);
        for process in &left {
            let pid = rustix::process::Pid::from_raw(*process).expect("a process");
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        left.is_empty().then_some(())
    });
}

/// Whether the signature of a job's receipt is one, by another program than ours.
///
/// # Panics
/// If it is none.
pub(crate) fn receipt_is_good(workload: &Workload, job: &str) {
    let receipt = workload.fetch(&format!("/v1/jobs/{job}/receipt")).expect_json(200);
    let folder = tempfile::tempdir().expect("a folder");
    // An Ed25519 key as OpenSSL reads it (RFC 8410): always the same twelve bytes before it.
    let key = format!(
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA{}\n-----END PUBLIC KEY-----\n",
        text(&receipt, "publicKey")
    );
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::File::create(&path).and_then(|mut file| file.write_all(bytes)).expect("written");
        path
    };
    let (key, statement) = (put("key", key.as_bytes()), put("statement", text(&receipt, "text").as_bytes()));
    let signature = put("signature.txt", text(&receipt, "signature").as_bytes());
    let raw = folder.path().join("signature");
    let run = |command: &mut Command| {
        let output = command.output().expect("openssl");
        assert!(output.status.success(), "{job}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(Command::new("openssl").args(["base64", "-d", "-A", "-in"]).arg(signature).arg("-out").arg(&raw));
    let mut verify = Command::new("openssl");
    verify.args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"]).arg(key).arg("-sigfile").arg(raw).arg("-in");
    run(verify.arg(statement));
}
