//! A disk that is full.

use crate::scenario::Scenario;
use cloister_model::Phase;
use cloister_tests::{
    not_run_outside_ci,
    service::{NOTHING, Setup, phase, writing},
};
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
    fn mount(size: &str) -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
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

#[track_caller]
fn not_tested() {
    not_run_outside_ci("a full disk: it needs a file system of its own, and only root may mount one");
}

#[test]
fn a_full_disk_fails_jobs_and_loses_none() {
    let Some(small) = Small::mount("24m") else { return not_tested() };
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

/// A service that was stopped is started again on a disk that has filled up to the last byte meanwhile: by its operator, who needs it
/// to make room. It holds the queue, says why, and goes on as soon as something was deleted through it.
#[test]
fn a_service_starts_on_a_full_disk_and_room_is_made_by_deleting() {
    let Some(small) = Small::mount("160m") else { return not_tested() };
    let home = small.path().join("home");
    let mut scenario = Scenario::with(Setup::new().home(&home).set("engine.min_free", "16MiB"));
    let (carol, job, before, large) = {
        let Scenario { service, alice, carol, .. } = &scenario;
        let open = service.open_dataset(alice, "open");
        let before = service.finish(carol, &scenario.raw_job(&open, &writing(&[("a", "kept")])));
        let large = service.upload(carol, &vec![9; 32 << 20]);
        (carol.clone(), scenario.raw_job(&open, &writing(&[("b", "later")])), before, large)
    };
    assert!(scenario.service.stop().success());
    let _ = fill(&small.path().join("filler"));
    scenario.service.restart();
    let service = &scenario.service;
    let ready = service.get(&carol, "/readyz");
    assert_eq!(ready.status, 503, "{}", ready.shown());
    assert!(ready.text().contains("free bytes"), "{}", ready.shown());
    assert!(service.logs().contains("the queue waits"));
    // What is there can be read, and what is submitted waits.
    assert_eq!(service.result(&carol, &before, "a"), b"kept");
    let held = service.submit(&carol, &job)["id"].as_str().expect("an id").to_owned();
    let why = service.get(&carol, &format!("/v1/jobs/{held}/explain")).expect_json(200);
    assert!(why["text"].as_str().is_some_and(|text| text.contains("the operator has to make room")), "{why:#}");
    assert_eq!(phase(&service.job(&carol, &held)), Phase::Queued);
    let _ = service.delete(&carol, &format!("/v1/uploads/{large}")).expect(204);
    let ended = service.ended(&carol, &held);
    assert_eq!(phase(&ended), Phase::Finished, "{ended:#}");
    assert_eq!(service.result(&carol, &held, "b"), b"later");
    assert_eq!(service.get(&carol, "/readyz").status, 200);
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
