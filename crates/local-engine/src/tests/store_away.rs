//! Jobs whose result store is away, or refuses: their outputs are kept, and publishing can be asked for again.

use super::{Place, close, submit, until, why};
use crate::{EnvironmentOptions, LocalEngine, Options, testing};
use cloister_model::{
    AuditAction, EngineError, JobId, JobSpec, JobStatus, Jobs as _, Outputs as _, Phase, ResultSet, TimeLimits,
};
use cloister_results::StoreConfig;
use cloister_testkit::guests;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// Where nothing listens. A free port would not do: another test may be given it meanwhile. The system gives no test one of the first
/// ports.
const NOWHERE: &str = "http://127.0.0.1:1";

/// An engine whose result store is at an address where nothing listens.
async fn engine_without_store(place: &Place) -> Arc<LocalEngine> {
    let options: [(&str, &str); 5] = [
        ("endpoint", NOWHERE),
        ("region", "us-east-1"),
        ("allow_http", "true"),
        ("access_key_id", "a"),
        ("secret_access_key", "b"),
    ];
    let options: BTreeMap<String, String> =
        options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let results = Some(StoreConfig { url: "s3://bucket/results".to_owned(), options });
    place.open_with(Options { results, ..place.options() }).await
}

fn failures(status: &JobStatus) -> u32 {
    status.store_wait.as_ref().map_or(0, |wait| wait.failures)
}

async fn publish_again(engine: &LocalEngine, job: JobId) -> Result<JobStatus, EngineError> {
    let asked = testing::event_at(AuditAction::PublishingAsked, crate::clock::now());
    engine.publish_again(job, asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_store_is_away_waits_says_so_and_tries_again_when_asked() {
    let place = Place::new();
    let engine = engine_without_store(&place).await;
    let job = place.job(&engine, guests::WRITES).await;
    let refused = EngineError::NotWaitingForStore(job.id);
    submit(&engine, job.clone()).await.expect("submitted");
    let waits = until(&engine, job.id, |status| failures(status) == 1).await;
    assert_eq!(waits.phase, Phase::Publishing);
    let wait = waits.store_wait.clone().expect("it waits");
    assert_eq!(wait.until.unix_ms(), waits.changed.unix_ms() + job.times.publishing_ms);
    assert!(wait.why.contains("does not answer") && wait.since < wait.next, "{wait:?}");
    let said = engine.explain(job.id).await.expect("explained").text;
    assert!(said.contains(&wait.why) && said.contains(&format!("cloister job publish {}", job.id)), "{said}");
    // In the end the pause is longer than this test waits for anything: what comes next, comes because it is asked for.
    let mut failed = 1;
    while failed < 6 {
        publish_again(&engine, job.id).await.expect("asked");
        failed = failures(&until(&engine, job.id, |status| failures(status) > failed).await);
    }
    assert_eq!(engine.results(job.id, ResultSet::Released).await, Ok(vec![]));

    // Another life of the service tries at once, and knows since when it waits.
    close(engine).await;
    let engine = engine_without_store(&place).await;
    let waits = until(&engine, job.id, |status| failures(status) > failed).await;
    assert_eq!(waits.store_wait.expect("it waits").since, wait.since);
    super::stop(&engine, job.id).await.expect("asked");
    let ended = super::ended(&engine, job.id).await;
    assert_eq!((ended.phase, ended.store_wait), (Phase::Stopped, None));
    assert_eq!(publish_again(&engine, job.id).await, Err(refused), "a job that has ended is not taken up again");
    close(engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_has_a_time_limit_of_its_own() {
    let place = Place::new();
    let engine = engine_without_store(&place).await;
    let job = place.job(&engine, guests::WRITES).await;
    let times = TimeLimits { publishing_ms: 1500, ..TimeLimits::default() };
    let job = JobSpec { times, ..job };
    let ended = super::run(&engine, &job).await;
    assert_eq!(ended.phase, Phase::Expired);
    assert!(why(&ended).contains("could not be stored within its publishing time limit"), "{}", why(&ended));
    assert_eq!(engine.results(job.id, ResultSet::Released).await, Ok(vec![]));
    close(engine).await;
}

/// Puts a file where the folder of the results of a job would be.
fn block(place: &Place, job: JobId) -> PathBuf {
    let in_the_way = place.home().join("results").join(job.to_string());
    std::fs::write(&in_the_way, "").expect("a file");
    in_the_way
}

/// As an operator would, who finds in the morning what the store refused at night.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_store_refuses_waits_until_the_store_was_changed() {
    let place = Place::new();
    let engine = place.open().await;
    let job = place.job(&engine, guests::WRITES).await;
    let in_the_way = block(&place, job.id);
    submit(&engine, job.clone()).await.expect("submitted");
    let waits = until(&engine, job.id, |status| failures(status) == 1).await;
    assert_eq!(waits.phase, Phase::Publishing);
    let wait = waits.store_wait.clone().expect("it waits");
    assert!(wait.why.contains("the operator can") && wait.since < wait.next, "{wait:?}");
    assert_eq!(wait.until.unix_ms(), waits.changed.unix_ms() + job.times.publishing_ms);
    assert_eq!(engine.results(job.id, ResultSet::Released).await, Ok(vec![]));
    std::fs::remove_file(&in_the_way).expect("removed");
    publish_again(&engine, job.id).await.expect("asked");
    let ended = super::ended(&engine, job.id).await;
    assert_eq!((ended.phase, ended.store_wait), (Phase::Finished, None));
    assert_ne!(engine.results(job.id, ResultSet::Released).await, Ok(vec![]));
    close(engine).await;
}

/// The store may be away for a day, and nothing runs for it. After the wait it has no place, so that another limit holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_the_store_gives_its_place_to_another_one_and_stores_again_in_its_turn() {
    let place = Place::new();
    let environment = EnvironmentOptions { max_jobs: 1, ..place.options().environment };
    let engine = place.open_with(Options { environment, ..place.options() }).await;
    let first = place.job(&engine, guests::WRITES).await;
    let in_the_way = block(&place, first.id);
    submit(&engine, first.clone()).await.expect("submitted");
    let _ = until(&engine, first.id, |status| failures(status) == 1).await;
    // As many store again as may at once.
    let turn = engine.core.storing_again.acquire().await.expect("a turn");
    std::fs::remove_file(&in_the_way).expect("removed");
    publish_again(&engine, first.id).await.expect("asked");
    let second = place.job(&engine, guests::WRITES).await;
    assert_eq!(super::run(&engine, &second).await.phase, Phase::Finished);
    assert!(engine.status(first.id).await.expect("a status").store_wait.is_some());
    drop(turn);
    assert_eq!(super::ended(&engine, first.id).await.phase, Phase::Finished);
    close(engine).await;
}
