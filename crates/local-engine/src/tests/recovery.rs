//! Services that end at any moment, and what the next one makes of it.

use super::{Place, close, ended, guests, log, run, soon, stop, submit, until, upload, why};
use crate::{
    LocalEngine,
    store::{DbError, Durability, Write},
};
use cloister_model::{Check, Event, Fault, JobSpec, Jobs as _, Outputs as _, Phase, Profile};
use cloister_runner::{has_ended, look};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use std::{fs, os::fd::OwnedFd, path::Path, sync::mpsc, thread, time::Duration};

/// Whether a run has begun: it has made its claim. The claim exists for a moment before its line is written.
fn begun(folder: &Path) -> bool {
    fs::read_to_string(folder.join("claim")).is_ok_and(|claim| claim.ends_with('\n'))
}

/// Halts the sandbox that has begun in a folder, so that its run cannot end; none if it has ended.
async fn halt(folder: &Path) -> Option<OwnedFd> {
    let claim = fs::read_to_string(folder.join("claim")).ok()?;
    let process = pidfd_open(Pid::from_raw(claim.trim().parse().ok()?)?, PidfdFlags::empty()).ok()?;
    let state = Path::new("/proc").join(claim.trim()).join("status");
    // While the lock is held, the process that holds it is alive, and no other one can have its number.
    while !has_ended(folder).expect("a lock") {
        pidfd_send_signal(&process, Signal::STOP).ok()?;
        if fs::read_to_string(&state).is_ok_and(|state| state.contains("State:\tT")) {
            return Some(process);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}

/// Submits jobs until one is caught in the middle of the run in this part of its folder, and halts that run: none of these runs lasts
/// for longer than a busy machine may take to end an engine.
async fn halted(place: &Place, engine: &LocalEngine, part: &str, job: impl AsyncFn() -> JobSpec) -> (JobSpec, OwnedFd) {
    let catch = async {
        loop {
            let job = job().await;
            submit(engine, job.clone()).await.expect("submitted");
            let folder = place.folder(job.id).join(part);
            while !engine.status(job.id).await.expect("a job").phase.has_ended() {
                if begun(&folder)
                    && let Some(sandbox) = halt(&folder).await
                {
                    return (job, sandbox);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    tokio::time::timeout(super::LOOK * super::LOOKS, catch).await.expect("caught")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_without_its_service_and_the_next_takes_it_up() {
    let place = Place::new();
    let engine = place.open().await;
    let sleeps = async || {
        let mut job = place.job(&engine, guests::SLEEPS).await;
        job.terms.profile = Profile::Standard;
        job
    };
    let (job, sandbox) = halted(&place, &engine, "", sleeps).await;
    let folder = place.folder(job.id);
    let claim = fs::read_to_string(folder.join("claim")).expect("a claim");
    close(engine).await;
    assert!(!has_ended(&folder).expect("a lock"), "the sandbox goes on");

    let engine = place.open().await;
    assert_eq!(engine.status(job.id).await.expect("a job").phase, Phase::Running);
    assert_eq!(fs::read_to_string(folder.join("claim")).expect("a claim"), claim, "not begun again");
    pidfd_send_signal(&sandbox, Signal::CONT).expect("it goes on");
    until(&engine, job.id, |status| status.phase > Phase::Running).await;
    let report = engine.report(job.id).await.expect("a report").expect("a report");
    assert!(report.outcome.is_success());
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ended_while_no_engine_was_open_counts() {
    let place = Place::new();
    let engine = place.open().await;
    let job = place.job(&engine, guests::FAILS).await;
    let endless = place.job(&engine, guests::ENDLESS).await;
    for job in [&job, &endless] {
        submit(&engine, job.clone()).await.expect("submitted");
    }
    // Whatever it was doing: the job may be anywhere now.
    close(engine).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let engine = place.open().await;
    let status = ended(&engine, job.id).await;
    assert_eq!((status.phase, why(&status)), (Phase::AlgorithmFailed, "algorithm failed with exit code 3"));
    assert_eq!(log(&engine, job.id).await, "a,b\n");
    stop(&engine, endless.id).await.expect("asked");
    assert_eq!(ended(&engine, endless.id).await.phase, Phase::Stopped);
    soon("the folders go", || place.leftovers().is_empty()).await;
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_sandbox_was_killed_is_not_begun_again() {
    let place = Place::new();
    let engine = place.open().await;
    let job = place.job(&engine, guests::ENDLESS).await;
    submit(&engine, job.clone()).await.expect("submitted");
    let folder = place.folder(job.id);
    soon("it runs", || begun(&folder)).await;
    close(engine).await;
    kill(&folder);
    soon("it is gone", || has_ended(&folder).expect("a lock")).await;

    let engine = place.open().await;
    let status = ended(&engine, job.id).await;
    assert_eq!(status.phase, Phase::AlgorithmFailed);
    assert_eq!(status.reason.as_ref().map(|reason| reason.fault()), Some(Fault::System));
    assert!(why(&status).contains("not run again"), "{}", why(&status));
    soon("the folders go", || place.leftovers().is_empty()).await;
    close(engine).await;
}

fn kill(folder: &Path) {
    let claim = fs::read_to_string(folder.join("claim")).expect("a claim");
    let pid = Pid::from_raw(claim.trim().parse().expect("a number")).expect("a process");
    rustix::process::kill_process(pid, Signal::KILL).expect("killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_whose_check_was_cut_off_are_checked_again() {
    let place = Place::new();
    let engine = place.open().await;
    let sha256 = upload(&engine, &wat::parse_str(guests::COUNTS).expect("a guest")).await;
    let checked = async || {
        let mut job = place.job(&engine, guests::WRITES).await;
        job.terms.release.checks = vec![Check { name: "patient".to_owned(), sha256 }];
        job
    };
    // The next engine ends this check.
    let (job, _check) = halted(&place, &engine, "checks/0", checked).await;
    let check = place.folder(job.id).join("checks/0");
    close(engine).await;
    assert!(!has_ended(&check).expect("a lock"), "the check goes on");

    let engine = place.open().await;
    let status = ended(&engine, job.id).await;
    assert_eq!(status.phase, Phase::Finished, "{}", why(&status));
    soon("the folders go", || place.leftovers().is_empty()).await;
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_is_killed_under_a_living_service_ends_its_job() {
    let place = Place::new();
    let engine = place.open().await;
    let job = place.job(&engine, guests::ENDLESS).await;
    submit(&engine, job.clone()).await.expect("submitted");
    let folder = place.folder(job.id);
    soon("it runs", || begun(&folder) && look(&folder).is_ok_and(|trace| trace.locked)).await;
    kill(&folder);
    let status = ended(&engine, job.id).await;
    assert_eq!(status.phase, Phase::AlgorithmFailed);
    assert_eq!(status.reason.as_ref().map(|reason| reason.fault()), Some(Fault::System));
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_stop_outlives_the_service() {
    let place = Place::new();
    let engine = place.open().await;
    let job = place.job(&engine, guests::ENDLESS).await;
    submit(&engine, job.clone()).await.expect("submitted");
    let folder = place.folder(job.id);
    soon("it runs", || begun(&folder)).await;
    close(engine).await;
    // As if it had been killed between the wish and the deed.
    write_phase(&place, &job, &[], true);
    let engine = place.open().await;
    assert_eq!(ended(&engine, job.id).await.phase, Phase::Stopped);
    soon("the folders go", || place.leftovers().is_empty()).await;
    close(engine).await;
}

/// Another engine of the folder would go on from a state that is not the last one, if it began while the one before still stores.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_free_when_what_was_begun_is_stored() {
    let place = Place::new();
    let engine = place.open().await;
    let ((begun, has_begun), (end, may_end)) = (mpsc::channel(), mpsc::channel::<()>());
    {
        let stores = engine.core.store.write::<(), DbError, _>(Durability::Process, move |_: &mut Write<'_>| {
            begun.send(()).expect("the test waits");
            may_end.recv().expect("an end");
            Ok(())
        });
        // It is begun, and nobody waits for what comes of it.
        tokio::time::timeout(Duration::ZERO, stores).await.expect_err("it takes a while");
    }
    has_begun.recv().expect("it is begun");
    let dropped = thread::spawn(move || drop(engine));
    let lock = fs::File::open(place.home().join("lock")).expect("the lock");
    for _ in 0..20 {
        flock(&lock, FlockOperation::NonBlockingLockExclusive).expect_err("it still stores");
        thread::sleep(super::LOOK);
    }
    end.send(()).expect("it waits");
    dropped.join().expect("dropped");
    close(place.open().await).await;
}

/// Puts a job into the database as a service that was killed would have left it.
fn write_phase(place: &Place, job: &JobSpec, events: &'static [Event], stop: bool) {
    use crate::store::{Fail, Store, jobs};
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (path, spec) = (place.home().join("cloister.db"), job.clone());
    thread::spawn(move || {
        let store = Store::open(&path, std::sync::Arc::new(|_, _| ())).expect("a store");
        let put = move |write: &mut Write<'_>| {
            if jobs::status(write.db, spec.id)?.is_none() {
                jobs::insert(write, jobs::NewJob::of(&spec)?)?;
            }
            let at = crate::clock::now();
            let step = crate::testing::step(write, spec.id, events, at, None);
            step.map_err(|error| Fail::Db(DbError::Other(format!("{error:?}"))))?;
            if let Some(status) = jobs::status(write.db, spec.id)?.filter(|_| stop) {
                jobs::ask_to_stop(write, &status, at)?;
            }
            Ok(())
        };
        runtime.block_on(store.write::<_, DbError, _>(Durability::Disk, put)).expect("stored");
    })
    .join()
    .expect("no panic");
}

const ACCEPTED: &[Event] = &[Event::Accept];
const CONFIGURING: &[Event] = &[Event::Accept, Event::Configure];
const CONFIGURED: &[Event] = &[Event::Accept, Event::Configure, Event::Provisioned];
const RUNNING: &[Event] = &[Event::Accept, Event::Configure, Event::Provisioned, Event::Run];

#[tokio::test(flavor = "multi_thread")]
async fn every_phase_and_whatever_lies_in_the_folder_leads_to_the_one_end() {
    let place = Place::new();
    let engine = place.open().await;
    let mut cases = Vec::new();
    for events in [&[], ACCEPTED, CONFIGURING, CONFIGURED, RUNNING] {
        for rubbish in [false, true] {
            cases.push((place.job(&engine, guests::FAILS).await, events, rubbish));
        }
    }
    // A folder of no job, and a file.
    fs::create_dir_all(place.home().join("jobs/nobody/data")).expect("made");
    fs::write(place.home().join("jobs/file"), "x").expect("written");
    close(engine).await;
    for (job, events, rubbish) in &cases {
        write_phase(&place, job, events, false);
        if *rubbish {
            // Half a configuration, outputs and a report of no run, and a lock that no process holds.
            let folder = place.folder(job.id);
            fs::create_dir_all(folder.join("data/inputs/d")).expect("made");
            fs::create_dir_all(folder.join("outputs")).expect("made");
            fs::write(folder.join("outputs/stale"), "x").expect("written");
            fs::write(folder.join("report.json"), "{").expect("written");
            fs::write(folder.join("run.lock"), "").expect("written");
        }
    }
    let engine = place.open().await;
    for (job, events, rubbish) in &cases {
        let status = ended(&engine, job.id).await;
        assert_eq!(why(&status), "algorithm failed with exit code 3", "{events:?} {rubbish}");
        let report = engine.report(job.id).await.expect("a report").expect("a report");
        assert!(report.outputs.is_empty());
    }
    soon("the folders go", || place.leftovers().is_empty()).await;
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_a_report_is_a_run_that_was_cut_off() {
    let place = Place::new();
    let engine = place.open().await;
    let mut jobs = Vec::new();
    for report in [None, Some("{\"version\""), Some("")] {
        jobs.push((place.job(&engine, guests::FAILS).await, report));
    }
    close(engine).await;
    for (job, report) in &jobs {
        write_phase(&place, job, RUNNING, false);
        let folder = place.folder(job.id);
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("claim"), "1\n").expect("written");
        if let Some(report) = report {
            fs::write(folder.join("report.json"), report).expect("written");
        }
    }
    let engine = place.open().await;
    for (job, report) in &jobs {
        let status = ended(&engine, job.id).await;
        assert!(why(&status).contains("not run again"), "{report:?}: {}", why(&status));
        assert_eq!(engine.report(job.id).await.expect("asked"), None);
    }
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_end_again_and_again_run_nothing_twice() {
    let place = Place::new();
    let engine = place.open().await;
    let mut jobs = Vec::new();
    for _ in 0..6 {
        let job = place.job(&engine, guests::FAILS).await;
        submit(&engine, job.clone()).await.expect("submitted");
        jobs.push(job);
    }
    close(engine).await;
    for turn in 0..12 {
        let engine = place.open().await;
        tokio::time::sleep(Duration::from_millis(7 * turn)).await;
        close(engine).await;
    }
    let engine = place.open().await;
    for job in &jobs {
        let status = ended(&engine, job.id).await;
        assert_eq!(why(&status), "algorithm failed with exit code 3");
        let reruns = status.history.iter().filter(|step| step.phase == Phase::Running).count();
        assert_eq!(reruns, 1);
    }
    let again = place.job(&engine, guests::FAILS).await;
    run(&engine, &again).await;
    soon("the folders go", || place.leftovers().is_empty()).await;
    close(engine).await;
}
