//! Services that are killed, for real: this test's program once more, as a process that is sent SIGKILL.

use super::{Place, close, ended, guests, soon, submit, why};
use cloister_model::{JobSpec, Outputs as _, Phase, ResultSet};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Where the service of the child process lives. Without it, that test is none.
const HOME: &str = "CLOISTERDEV_TEST_HOME";

/// Not a test: the service that is killed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the test below"]
async fn service() {
    let Some(home) = std::env::var_os(HOME) else { return };
    let options = crate::Options { home: home.into(), ..Place::new().options() };
    // A sandbox that the service before was just starting has its lock for a moment longer.
    let engine = Place::new().open_with(options).await;
    println!("\nopen");
    let jobs = engine.core.home.jobs().join("../submit");
    loop {
        for entry in fs::read_dir(&jobs).into_iter().flatten().flatten() {
            let job: JobSpec = serde_json::from_slice(&fs::read(entry.path()).expect("read")).expect("a job");
            submit(&engine, job).await.expect("submitted");
            let _ = fs::remove_file(entry.path());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn start(place: &Place) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "tests::kill::service", "--ignored", "--nocapture", "--test-threads=1"])
        .env(HOME, place.home())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line == "open")), "the service opens");
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_services_that_are_killed_run_nothing_twice_and_lose_nothing() {
    let place = Place::new();
    let engine = place.open().await;
    let mut jobs = Vec::new();
    for number in 0..60 {
        let guest = if number % 2 == 0 { guests::WRITES } else { guests::FAILS };
        jobs.push(place.job(&engine, guest).await);
    }
    close(engine).await;
    let waiting_jobs = place.home().join("submit");
    fs::create_dir(&waiting_jobs).expect("made");
    let mut waiting = jobs.iter();
    for round in 0..30_u64 {
        for job in waiting.by_ref().take(2) {
            let draft = place.home().join("draft");
            fs::write(&draft, serde_json::to_vec(job).expect("json")).expect("written");
            fs::rename(draft, waiting_jobs.join(job.id.to_string())).expect("there");
        }
        let mut child = start(&place);
        // Everywhere in a job's life, which takes some fifty milliseconds.
        tokio::time::sleep(Duration::from_millis(round * 37 % 97)).await;
        child.kill().expect("killed");
        child.wait().expect("gone");
    }
    let engine = place.open().await;
    let mut cut_off = 0;
    for (number, job) in jobs.iter().enumerate() {
        // What was killed before it was answered was not promised.
        submit(&engine, job.clone()).await.expect("the same");
        let status = ended(&engine, job.id).await;
        match status.phase {
            Phase::Finished => assert_eq!(engine.results(job.id, ResultSet::Released).await.expect("results").len(), 2),
            Phase::AlgorithmFailed if number % 2 == 1 => assert_eq!(why(&status), "algorithm failed with exit code 3"),
            other => panic!("{other:?}: {}", why(&status)),
        }
        cut_off += usize::from(why(&status).contains("cut off"));
    }
    assert_eq!(cut_off, 0, "killing a service kills no run");
    soon("the folders go", || place.leftovers().is_empty()).await;
    close(engine).await;
}

/// A run goes on when its service is gone, and is not to go on when its test is: an endless guest would keep a processor busy for as
/// long as its contract lets it.
#[tokio::test(flavor = "multi_thread")]
async fn no_sandbox_outlives_its_test() {
    let place = Place::new();
    let folder = place.home();
    let engine = place.open().await;
    let job = place.job(&engine, guests::ENDLESS).await;
    submit(&engine, job).await.expect("submitted");
    soon("a sandbox works", || !cloister_testkit::sandboxes_in(&folder).is_empty()).await;
    drop(engine);
    assert!(!cloister_testkit::sandboxes_in(&folder).is_empty(), "it goes on without its service");
    drop(place);
    soon("no sandbox is left", || cloister_testkit::sandboxes_in(&folder).is_empty()).await;
}
