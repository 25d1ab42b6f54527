//! Kills the service (SIGKILL) in every phase of a job's life and at any other moment, again and again, while people submit,
//! stop and review jobs; and asks afterwards whether anything was lost, done twice, or left behind.
//!
//! Which algorithms ran is not asked of the service: it is given a program that writes down every start before it becomes
//! the sandbox. `CLOISTERDEV_CRASH_SEED` repeats the choices of a run, not its timing; `CLOISTERDEV_CRASH_KILLS` is how often the
//! service is killed.

#![expect(clippy::print_stderr, reason = "what a run of this test met depends on chance, and is to be seen")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod chance;
mod evidence;
mod kinds;
mod remains;
mod source;
mod workload;

use chance::Chance;
use cloister_tests::service::{Service, phase};
use evidence::{Claims, Start};
use kinds::Also;
use remains::nothing_is_left;
use serde_json::Value;
use sha2::Digest as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::{Command, Stdio},
    sync::{Barrier, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};
use workload::{Submitted, Workload, fault, history, now_ms};

/// Phases that a job is in for long enough to be found there.
const PHASES: [&str; 6] = ["Queued", "Configuring", "Running", "Filtering", "InReview", "Publishing"];

/// What `aim` waits for by these numbers: a job that runs, and nothing.
const RUNNING: u64 = 2;
const ANYTHING: u64 = 11;

/// How long to wait for a job in the phase that is aimed at.
const AIM: Duration = Duration::from_millis(500);

fn kills(default: u64) -> u64 {
    let given = std::env::var("CLOISTERDEV_CRASH_KILLS").ok();
    given.map_or(default, |text| text.parse().expect("CLOISTERDEV_CRASH_KILLS is a number"))
}

#[test]
fn a_service_killed_repeatedly_loses_no_job_and_runs_none_twice() {
    let mut chance = Chance::new(printed_seed());
    let (workload, mut service) = Workload::new();
    let (submitted, killed_at) = under_load(&workload, &mut chance, |chance| {
        let mut killed_at = Vec::new();
        for number in 0..kills(110) {
            aim(&workload, chance, number);
            service.kill();
            killed_at.push(now_ms());
            if chance.below(5) == 0 {
                start_in_vain(&mut service, chance);
                killed_at.push(now_ms());
            }
            service.restart();
            workload.moved_to(service.address());
        }
        // What chance has left out, for as often as it takes.
        for _ in 0..kills(110) {
            let hit = phases_of_kills(&workload.all_jobs(), &killed_at);
            let left_out = (0_u64..).zip(PHASES).find(|(_, phase)| !hit.contains_key(*phase));
            let Some((number, _)) = left_out else { break };
            aim(&workload, chance, number);
            service.kill();
            killed_at.push(now_ms());
            service.restart();
            workload.moved_to(service.address());
        }
        killed_at
    });

    let jobs = all_jobs_are_there(&workload, &submitted);
    for one in &submitted {
        ended_as_it_must(&workload, one, &jobs[&one.job]);
    }
    let runs = workload.evidence.runs();
    for (job, starts) in &runs {
        assert!(jobs.contains_key(job), "a sandbox was started for a job that is not there: {job}");
        assert_eq!(starts.len(), 1, "the algorithm of {job} was started again: {starts:?}");
        never_began(starts, &jobs[job]);
    }
    for (id, job) in &jobs {
        let reached: Vec<String> = history(job).into_iter().map(|(phase, _)| phase).collect();
        let ran =
            reached.iter().any(|phase| phase == "Filtering") || reached.iter().any(|phase| phase == "LimitExceeded");
        assert!(!ran || runs.contains_key(id), "it ran, and nothing was started: {job:#}");
    }
    show_coverage(&workload, &jobs, &killed_at);
    records_are_whole(&service, &workload, &jobs);
    nothing_is_left(&mut service, &jobs);
}

#[test]
fn a_service_killed_with_its_sandboxes_ends_their_jobs_and_runs_none_again() {
    let mut chance = Chance::new(printed_seed());
    let (workload, mut service) = Workload::new();
    let claims = Claims::watch(service.home().join("jobs"));
    let (submitted, killed_at) = under_load(&workload, &mut chance, |chance| {
        let mut killed_at = Vec::new();
        for number in 0..kills(25) {
            aim(&workload, chance, if number % 2 == 0 { RUNNING } else { ANYTHING });
            let before = now_ms();
            service.kill();
            remains::kill_all_processes(&service.home());
            killed_at.push((before, now_ms()));
            service.restart();
            workload.moved_to(service.address());
        }
        killed_at
    });

    let jobs = all_jobs_are_there(&workload, &submitted);
    let mut interrupted = 0;
    for one in &submitted {
        let job = &jobs[&one.job];
        let is_cut = fault(job) == "system" && job["phase"] == "AlgorithmFailed";
        if !is_cut {
            ended_as_it_must(&workload, one, job);
            continue;
        }
        interrupted += 1;
        let steps = history(job);
        let ran_since = steps.iter().find(|(phase, _)| phase == "Running").map(|(_, at)| *at);
        let ran_since = ran_since.unwrap_or_else(|| panic!("cut off before it ran: {job:#}"));
        let ended = steps.last().expect("an end").1;
        let was_hit = killed_at.iter().any(|(from, to)| ran_since <= *to && ended >= *from);
        assert!(was_hit, "nothing was killed while it ran: {job:#}");
    }
    assert!(interrupted > 0, "no algorithm was hit in {} kills", killed_at.len());
    let runs = workload.evidence.runs();
    for (job, processes) in claims.end() {
        assert_eq!(processes, 1, "the run of {job} was begun {processes} times: {:?}", runs.get(&job));
    }
    for (job, starts) in &runs {
        never_began(starts, &jobs[job]);
    }
    eprintln!("{interrupted} of {} jobs were cut off, each ended as a fault of the system", submitted.len());
    records_are_whole(&service, &workload, &jobs);
    nothing_is_left(&mut service, &jobs);
}

/// No sandbox was started where a run had begun already.
fn never_began(starts: &[Start], job: &Value) {
    // Stopping a job takes the claim of a sandbox that has not begun, so the sandbox never begins.
    let forestalled = job["stopRequested"].is_string() && starts.len() == 1;
    assert!(forestalled || starts.iter().all(|start| !start.claimed), "{starts:?}: {job:#}");
}

fn printed_seed() -> u64 {
    let seed = chance::seed();
    eprintln!("CLOISTERDEV_CRASH_SEED={seed}");
    seed
}

/// Clients at work while `harm` runs, and afterwards until every job has ended.
fn under_load<T>(workload: &Workload, chance: &mut Chance, harm: impl FnOnce(&mut Chance) -> T) -> (Vec<Submitted>, T) {
    let ready = Barrier::new(4);
    let began = Instant::now();
    let (submitted, harmed) = thread::scope(|scope| {
        let people: Vec<_> = ["first", "second"]
            .map(|name| (name, chance.fork()))
            .map(|(name, chance)| {
                let ready = &ready;
                scope.spawn(move || {
                    ready.wait();
                    workload.submit_jobs(name, chance, 130)
                })
            })
            .into();
        let reviewer = chance.fork();
        let reviewing = scope.spawn(|| {
            ready.wait();
            workload.review_jobs(reviewer);
        });
        ready.wait();
        let harmed = harm(chance);
        workload.no_more_jobs();
        reviewing.join().expect("a reviewer");
        let submitted = people.into_iter().flat_map(|one| one.join().expect("a submitting thread")).collect();
        (submitted, harmed)
    });
    let harm = began.elapsed();
    workload.finish();
    let submitted: Vec<Submitted> = submitted;
    eprintln!(
        "{} jobs in {:.0} s and {:.0} s to end them; {} submissions were sent again, {} of them had been taken",
        submitted.len(),
        harm.as_secs_f64(),
        (began.elapsed() - harm).as_secs_f64(),
        workload.repeated.load(Ordering::Relaxed),
        workload.found.load(Ordering::Relaxed),
    );
    (submitted, harmed)
}

/// Waits for a moment to kill: a job in some phase, a submission on its way, or anything.
fn aim(workload: &Workload, chance: &mut Chance, number: u64) {
    let since = Instant::now();
    let until = |is_there: &dyn Fn() -> bool| while !is_there() && since.elapsed() < AIM {};
    match usize::try_from(number % 12).ok().and_then(|place| PHASES.get(place)) {
        Some(phase) => {
            thread::sleep(chance.up_to_ms(100));
            until(&|| workload.has_job_in(phase));
            thread::sleep(chance.up_to_ms(3));
        }
        None if number % 12 < 9 => {
            thread::sleep(chance.up_to_ms(100));
            until(&|| workload.in_flight.load(Ordering::Relaxed) > 0);
            thread::sleep(chance.up_to_ms(15));
        }
        None => thread::sleep(chance.up_to_ms(400)),
    }
}

/// Starts the service, and kills it before, or just when, it is ready.
fn start_in_vain(service: &mut Service, chance: &mut Chance) {
    let folder = service.folder().to_owned();
    let mut command = service.setup().command(&folder);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    thread::sleep(chance.up_to_ms(60));
    child.kill().expect("a signal");
    child.wait().expect("an end");
}

/// Exactly the acknowledged jobs exist, and repeating a request returns the same job.
fn all_jobs_are_there(workload: &Workload, submitted: &[Submitted]) -> BTreeMap<String, Value> {
    let id = |job: &Value| job["id"].as_str().expect("an id").to_owned();
    let jobs: BTreeMap<String, Value> = workload.all_jobs().into_iter().map(|job| (id(&job), job)).collect();
    let acknowledged: BTreeSet<&String> = submitted.iter().map(|one| &one.job).collect();
    assert_eq!(acknowledged.len(), submitted.len(), "two submissions are one job");
    assert_eq!(jobs.keys().collect::<BTreeSet<_>>(), acknowledged, "jobs, and those that were acknowledged");
    for one in submitted {
        assert_eq!(workload.submit_again(one), one.job, "{}", one.key);
    }
    assert_eq!(workload.all_jobs().len(), jobs.len());
    jobs
}

/// As its kind says, once through every phase, and with the result that it has.
fn ended_as_it_must(workload: &Workload, submitted: &Submitted, job: &Value) {
    let Submitted { key, kind, job: id } = submitted;
    let ended = phase(job);
    assert!(kind.ends.contains(&ended), "{key}, {}: {job:#}", kind.name);
    assert_eq!(fault(job), kind.fault, "{key}, {}: {job:#}", kind.name);
    let mut reached = BTreeSet::new();
    let mut last = 0;
    for (phase, at) in history(job) {
        assert!(at >= last && reached.insert(phase), "not forward: {job:#}");
        last = at;
    }
    let results = workload.fetch(&format!("/v1/jobs/{id}/results")).expect_json(200);
    let results = results["items"].as_array().expect("a list");
    if !ended.is_success() {
        assert!(results.is_empty(), "{key}, {}: {results:?}", kind.name);
        return;
    }
    let found = results.iter().find(|file| {
        file["kind"] == "output" && file["name"].as_str().is_some_and(|name| name.starts_with("result.txt"))
    });
    let found = found.unwrap_or_else(|| panic!("no result: {results:?}"));
    let bytes = workload.fetch(&format!("/v1/jobs/{id}/results/{}", found["index"])).expect(200).body;
    assert_eq!(bytes.len() as u64, found["bytes"], "{key}, {}", kind.name);
    assert_eq!(sha256(&bytes), found["sha256"], "{key}, {}", kind.name);
    if kind.also == Also::Encrypt {
        assert!(bytes.starts_with(b"age-encryption.org/v1\n"), "{key}");
    } else {
        assert_eq!(bytes, kinds::RESULT, "{key}, {}", kind.name);
    }
}

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// In which phases jobs were when the service was killed: from their histories, in which what came later came from a later
/// life.
fn show_coverage(workload: &Workload, jobs: &BTreeMap<String, Value>, killed_at: &[u64]) {
    let kills = phases_of_kills(jobs.values(), killed_at);
    eprintln!("{} kills; with a job in each phase: {kills:?}", killed_at.len());
    for phase in PHASES {
        assert!(kills.contains_key(phase), "never killed with a job in {phase}: {kills:?}");
    }
    assert!(workload.repeated.load(Ordering::Relaxed) > 0, "no submission was interrupted");
}

/// How often the service was killed with a job in each phase.
fn phases_of_kills<'a>(jobs: impl IntoIterator<Item = &'a Value>, killed_at: &[u64]) -> BTreeMap<String, u64> {
    let mut kills: BTreeMap<String, u64> = BTreeMap::new();
    let histories: Vec<_> = jobs.into_iter().map(history).collect();
    for killed in killed_at {
        let at = |steps: &Vec<(String, u64)>| Some(steps.iter().rfind(|(_, at)| at <= killed)?.0.clone());
        let hit: BTreeSet<String> = histories.iter().filter_map(at).collect();
        hit.into_iter().for_each(|phase| *kills.entry(phase).or_default() += 1);
    }
    kills
}

/// The record is a chain, says what happened, and receipts are what they say.
fn records_are_whole(service: &Service, workload: &Workload, jobs: &BTreeMap<String, Value>) {
    let home = service.home();
    let verified = Command::new(cloister_tests::service::cloister())
        .args(["audit", "verify", "--home"])
        .arg(&home)
        .env_clear()
        .output()
        .expect("the program starts");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for record in workload.all_records() {
        let field = |name: &str| record[name].as_str().unwrap_or_else(|| panic!("no {name}: {record:#}")).to_owned();
        *counts.entry((field("action"), field("subject"))).or_default() += 1;
    }
    let count = |action: &str, id: &String| counts.get(&(action.to_owned(), id.clone())).copied().unwrap_or_default();
    for (id, job) in jobs {
        assert!(count("job-allowed", id) >= 1, "no record that it was allowed: {job:#}");
        assert_eq!(count("released", id), u64::from(job["phase"] == "Finished"), "releases of {job:#}");
        assert_eq!(count("release-refused", id), u64::from(job["phase"] == "OutputRefused"), "refusals of {job:#}");
        if job["stopRequested"].is_string() {
            assert!(count("job-stopped", id) >= 1, "no record that it was stopped: {job:#}");
        }
        if history(job).iter().any(|(phase, _)| phase == "InReview") {
            assert!(count("reviewed", id) >= 1, "no record that it was reviewed: {job:#}");
        }
    }
    let finished = jobs.iter().filter(|(_, job)| job["phase"] == "Finished").map(|(id, _)| id);
    for id in finished.step_by(10) {
        remains::receipt_is_good(workload, id);
    }
}
