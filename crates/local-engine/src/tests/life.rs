use super::{Place, close, ended, guests, log, phases, remove, run, soon, stop, submit, until, why};
use crate::testing;
use cloister_model::{
    Backend as _, EngineError, Fault, Inspection, Inspections as _, JobSpec, Jobs as _, Limits, LogScope, Outcome,
    Outputs as _, Phase, Profile, ResultSet, RuntimeKind, TimeLimits,
};
use cloister_results::StoreConfig;
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn ends_name_rule_and_fault_and_leave_only_log_and_report() {
    let place = Place::new();
    let engine = place.open().await;
    engine.ready().await.expect("ready");
    let fails = place.job(&engine, guests::FAILS).await;
    let status = run(&engine, &fails).await;
    assert_eq!(status.phase, Phase::AlgorithmFailed);
    assert_eq!(why(&status), "algorithm failed with exit code 3");
    assert_eq!(status.reason.as_ref().map(|reason| reason.fault()), Some(Fault::Algorithm));
    assert_eq!(log(&engine, fails.id).await, "a,b\n");
    let report = engine.report(fails.id).await.expect("a report").expect("a report");
    assert_eq!(report.outcome, Outcome::AlgorithmFailed { exit_code: 3 });
    assert_eq!(engine.results(fails.id, ResultSet::Released).await, Ok(vec![]));

    let endless = place.job(&engine, guests::ENDLESS).await;
    let limits = Limits { wall_ms: 300, ..endless.limits.clone() };
    let status = run(&engine, &JobSpec { limits, ..endless }).await;
    assert_eq!(status.phase, Phase::LimitExceeded);
    assert!(why(&status).contains("wall"), "{}", why(&status));

    let refused = place.job(&engine, "(module)").await;
    let status = run(&engine, &refused).await;
    assert_eq!(status.phase, Phase::AlgorithmFailed);
    assert!(why(&status).contains("entry-point"), "{}", why(&status));

    let mut missing = place.job(&engine, guests::TRIVIAL).await;
    missing.algorithm.interpreter = Some("cobol".parse().expect("a name"));
    let status = run(&engine, &missing).await;
    assert!(why(&status).contains("WebAssembly"), "{}", why(&status));

    soon("the folders go", || place.leftovers().is_empty()).await;
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_engine_cannot_run_ends_at_once_and_says_why() {
    let place = Place::new();
    let engine = place.open().await;
    let mut container = testing::job(1);
    container.terms.runtime = RuntimeKind::Container;
    let mut large = testing::job(2);
    large.limits.memory_bytes = 1 << 40;
    let mut long = testing::job(3);
    long.limits.wall_ms = 1 << 40;
    let elsewhere = JobSpec { environment: "mars".parse().expect("a name"), ..testing::job(4) };
    for (job, text) in [(container, "containers"), (large, "memory"), (long, "may run for"), (elsewhere, "mars")] {
        let status = submit(&engine, job.clone()).await.expect("submitted");
        assert_eq!(status.phase, Phase::AlgorithmProvisioningFailed);
        assert!(why(&status).contains(text), "{}", why(&status));
        assert_eq!(submit(&engine, job).await.expect("the same"), status);
    }
    let phases = engine.environments().await.expect("one").remove(0).phases;
    assert_eq!(phases.get(&Phase::AlgorithmProvisioningFailed), Some(&4));
    assert_eq!(phases.get(&Phase::Queued), Some(&0));
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_stops_wherever_it_is() {
    let place = Place::new();
    let mut options = place.options();
    options.environment.max_jobs = 1;
    let engine = place.open_with(options).await;
    let running = place.job(&engine, guests::ENDLESS).await;
    let waiting = place.job(&engine, guests::ENDLESS).await;
    submit(&engine, running.clone()).await.expect("submitted");
    until(&engine, running.id, |status| status.phase == Phase::Running).await;
    submit(&engine, waiting.clone()).await.expect("submitted");
    let explained = engine.explain(waiting.id).await.expect("explained");
    assert_eq!(explained.ahead, Some(0));
    assert!(explained.text.contains("the only place is taken"), "{}", explained.text);

    let stopped = stop(&engine, waiting.id).await.expect("stopped");
    assert_eq!(stopped.phase, Phase::Stopped);
    soon("something is printed", || place.folder(running.id).join("log").metadata().is_ok_and(|log| log.len() > 0))
        .await;
    assert_eq!(log(&engine, running.id).await, "a,b\n");

    stop(&engine, running.id).await.expect("asked");
    let status = ended(&engine, running.id).await;
    assert_eq!((status.phase, why(&status)), (Phase::Stopped, "stopped"));
    assert_eq!(stop(&engine, running.id).await.expect("nothing to do"), status);
    assert_eq!(log(&engine, running.id).await, "a,b\n");
    soon("the folders go", || place.leftovers().is_empty()).await;

    remove(&engine, running.id).await.expect("removed");
    assert_eq!(engine.status(running.id).await, Err(EngineError::NoSuchJob(running.id)));
    assert_eq!(engine.log(running.id, LogScope::Readable, super::ALL).await, Err(EngineError::NoSuchJob(running.id)));
    let kept = place.home().join("logs").join(running.id.to_string());
    soon("the log goes", || !kept.exists()).await;
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_source_never_answers_can_be_stopped_and_is_taken_up_again() {
    let place = Place::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/data", silent.local_addr().expect("an address"));
    let mut options = place.options();
    options.sources.allow_networks = vec!["127.0.0.0/8".parse().expect("a network")];
    let engine = place.open_with(options.clone()).await;
    let mut job = place.job(&engine, guests::TRIVIAL).await;
    job.inputs[0].source = testing::source(json!([{"type": "url", "url": url}]));
    submit(&engine, job.clone()).await.expect("submitted");
    until(&engine, job.id, |status| status.phase == Phase::Configuring).await;
    let explained = engine.explain(job.id).await.expect("explained");
    assert!(explained.text.contains("are being fetched"), "{}", explained.text);
    close(engine).await;

    let engine = place.open_with(options).await;
    assert_eq!(engine.status(job.id).await.expect("a job").phase, Phase::Configuring);
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop(&engine, job.id).await.expect("asked");
    assert_eq!(ended(&engine, job.id).await.phase, Phase::Stopped);
    soon("the folders go", || place.leftovers().is_empty()).await;
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_be_had_is_named() {
    let place = Place::new();
    let engine = place.open().await;
    let mut job = place.job(&engine, guests::TRIVIAL).await;
    // Not allowed, unless the operator says so.
    job.inputs[0].source = testing::source(json!([{"type": "url", "url": "http://127.0.0.1:9/x?token=SECRET"}]));
    let status = run(&engine, &job).await;
    assert_eq!(status.phase, Phase::DataProvisioningFailed);
    assert!(why(&status).contains("did:op:d") && !why(&status).contains("SECRET"), "{}", why(&status));
    let mut job = place.job(&engine, guests::TRIVIAL).await;
    job.algorithm.source = testing::source(json!([{"type": "upload", "sha256": "00".repeat(32)}]));
    let status = run(&engine, &job).await;
    assert_eq!(status.phase, Phase::AlgorithmProvisioningFailed, "{}", why(&status));
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_are_over_end_a_job() {
    let place = Place::new();
    let mut options = place.options();
    options.environment.max_jobs = 1;
    let engine = place.open_with(options).await;
    // The only place is taken for as long as the second job waits, however long that is.
    let first = place.job(&engine, guests::ENDLESS).await;
    submit(&engine, first.clone()).await.expect("submitted");
    until(&engine, first.id, |status| status.phase == Phase::Running).await;
    let waits = TimeLimits { queue_ms: 200, ..TimeLimits::default() };
    let works = TimeLimits { total_ms: 1500, ..TimeLimits::default() };
    for (times, limit) in [(waits, "queue time limit"), (works, "total time limit")] {
        let job = place.job(&engine, guests::ENDLESS).await;
        let status = run(&engine, &JobSpec { times, created: crate::clock::now(), ..job }).await;
        assert_eq!(status.phase, Phase::Expired);
        assert!(why(&status).contains(limit), "{}", why(&status));
        // There is room for the next one.
        stop(&engine, first.id).await.expect("asked");
        ended(&engine, first.id).await;
    }
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standard_profile_has_the_machines_clock() {
    let place = Place::new();
    let engine = place.open().await;
    let mut job = place.job(&engine, guests::SLEEPS).await;
    job.terms.profile = Profile::Standard;
    let status = run(&engine, &job).await;
    let report = engine.report(job.id).await.expect("a report").expect("a report");
    assert_eq!((report.profile, report.outcome), (Profile::Standard, Outcome::Succeeded), "{status:?}");
    assert!(report.usage.wall_ms >= 2000);
    assert!(phases(&status).starts_with(&[Phase::Queued, Phase::Accepted, Phase::Configuring, Phase::Configured]));
    close(engine).await;
}

/// Whatever folders the operator lists, one that holds the service's own among them.
#[tokio::test(flavor = "multi_thread")]
async fn the_services_own_files_are_no_source() {
    let place = Place::new();
    let (all, kept) = (place.directory.path().to_owned(), place.directory.path().join("kept"));
    std::fs::write(all.join("data.csv"), "a,b\n").expect("a file");
    let mut options = place.options();
    options.sources.local_roots = vec![all.clone()];
    options.results = Some(StoreConfig { url: format!("file://{}", kept.display()), options: [].into() });
    let engine = place.open_with(options).await;
    std::fs::write(kept.join("result"), "SECRET").expect("a file");
    let inspect = async |path: &std::path::Path| {
        let account = "alice".parse().expect("an account");
        let sources = serde_json::from_value(json!([{"type": "local", "path": path}])).expect("sources");
        engine.inspect(account, sources, Duration::from_secs(60)).await.expect("inspected")
    };
    let found = inspect(&all.join("data.csv")).await;
    assert!(matches!(found, Inspection::Ready(_)), "a file of the operator's folder: {found:?}");
    for own in [place.home().join("cloister.db"), place.home().join("lock"), kept.join("result")] {
        let found = inspect(&own).await;
        assert!(matches!(&found, Inspection::Failed(text) if text.contains("the service's own")), "{found:?}");
    }
    close(engine).await;
}
