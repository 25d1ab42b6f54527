//! A disk that is full.

use crate::scenario::Scenario;
use cloister_model::Phase;
use cloister_tests::service::{NOTHING, Setup, phase, writing};
use serde_json::json;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A small file system of its own, where the machine lets us have one: as root.
struct Small(TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(folder.path());
        let mounted = command.stdout(Stdio::null()).stderr(Stdio::piped()).output().expect("mount");
        let is_root = rustix::process::geteuid().is_root();
        assert!(mounted.status.success() || !is_root, "{}", String::from_utf8_lossy(&mounted.stderr));
        mounted.status.success().then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.path()).status());
    }
}

#[expect(clippy::print_stderr, reason = "a test that was not run says so loudly")]
fn not_tested() {
    eprintln!("NOT TESTED: a full disk needs a file system of its own, and only root may mount one");
}

#[test]
fn a_full_disk_fails_jobs_and_loses_none() {
    let Some(small) = Small::mount() else { return not_tested() };
    let scenario = Scenario::with(Setup::new().home(&small.path().join("home")).set("engine.min_free", "0"));
    let Scenario { service, alice, carol, .. } = &scenario;
    let open = service.open_dataset(alice, "open");
    let before = service.finish(carol, &scenario.raw_job(&open, &writing(&[("a", "kept")])));
    // An input that does not fit: the job fails, by no fault of the algorithm.
    let large = service.file("large.bin", vec![7; 40 << 20]);
    let dataset = service.publish_dataset(
        alice,
        "large",
        &json!({"files": [{"type": "local", "path": large}], "compute": {"allowRawAlgorithm": true}}),
    );
    let ended = service.run(carol, &scenario.raw_job(&dataset, NOTHING));
    assert_eq!(phase(&ended), Phase::DataProvisioningFailed, "{ended:#}");
    assert_eq!(ended["reason"]["fault"], "system", "{ended:#}");
    // An upload that does not fit is refused, and leaves nothing.
    let request = service.request("POST", "/v1/uploads").by(carol).bytes("application/octet-stream", vec![8; 30 << 20]);
    request.send().problem(507);
    // What was there is still there, and the next job runs.
    assert_eq!(service.result(carol, &before, "a"), b"kept");
    let _ = service.finish(carol, &scenario.raw_job(&open, &writing(&[("b", "again")])));

    // To the last byte: nothing is taken that cannot be stored, and with room again everything goes on.
    let job = scenario.raw_job(&open, NOTHING);
    let filler = small.path().join("filler");
    drop(fill(&filler));
    let mut taken = Vec::new();
    for _ in 0..20 {
        let answer = service.post(carol, "/v1/jobs", &job);
        if answer.status == 201 {
            taken.push(answer.json()["id"].as_str().expect("an id").to_owned());
        } else {
            assert!(matches!(answer.status, 503 | 507), "{}", answer.shown());
        }
    }
    fs::remove_file(&filler).expect("removed");
    for job in &taken {
        assert!(phase(&service.ended(carol, job)).has_ended());
    }
    let _ = service.finish(carol, &job);
    assert_eq!(service.result(carol, &before, "a"), b"kept");
}

/// Writes until nothing more fits.
fn fill(path: &Path) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = fs::File::create(path)?;
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    Ok(())
}
