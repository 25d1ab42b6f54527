//! `Jobs::remove`, and what is left of a job afterwards.

use crate::{Trial, trial::ALL};
use cloister_model::{
    AuditAction, EngineError, JobId, JobSpec, LogScope, Phase, ResultSet, ReviewVerdict, Seen, TimeLimits,
};
use cloister_testkit::guests;

/// How long a job is kept that goes by itself: longer than it takes a busy machine to see that it has ended.
const KEEP_MS: u64 = 10_000;

/// Every method that takes a job, but `receipt`, says that this one is not there.
async fn is_not_there(trial: &Trial, job: JobId) {
    let engine = trial.engine();
    let missing = EngineError::NoSuchJob(job);
    assert_eq!(engine.status(job).await, Err(missing.clone()));
    assert_eq!(engine.wait(job, Seen::default()).await, Err(missing.clone()));
    assert_eq!(engine.explain(job).await, Err(missing.clone()));
    assert_eq!(engine.card(job).await, Err(missing.clone()));
    assert_eq!(engine.log(job, LogScope::Readable, ALL).await, Err(missing.clone()));
    assert_eq!(engine.report(job).await, Err(missing.clone()));
    for set in [ResultSet::Released, ResultSet::UnderReview] {
        assert_eq!(engine.results(job, set).await, Err(missing.clone()));
        assert_eq!(engine.read_result(job, set, 0, ALL).await, Err(missing.clone()));
    }
    let (stop, remove) = (trial.event(AuditAction::JobStopped), trial.event(AuditAction::JobRemoved));
    let (review, release) = (trial.event(AuditAction::Reviewed), trial.event(AuditAction::LogReleased));
    assert_eq!(engine.stop(job, stop.clone()).await, Err(missing.clone()));
    assert_eq!(engine.remove(job, remove.clone()).await, Err(missing.clone()));
    assert_eq!(engine.review(job, ReviewVerdict::Approve, review.clone()).await, Err(missing.clone()));
    assert_eq!(engine.release_log(job, release.clone()).await, Err(missing.clone()));
    let publish = trial.event(AuditAction::PublishingAsked);
    assert_eq!(engine.publish_again(job, publish.clone()).await, Err(missing));
    for event in [stop, remove, review, release, publish] {
        assert_eq!(trial.recorded(&event).await, 0, "{event:?}");
    }
    assert!(!trial.all_jobs().await.contains(&job));
}

/// A job that was never submitted is not there, and has no receipt.
pub async fn a_job_that_was_never_submitted_is_not_there(trial: &mut Trial) {
    let JobSpec { id, .. } = trial.idle_job();
    is_not_there(trial, id).await;
    assert_eq!(trial.engine().receipt(id).await, Err(EngineError::NoSuchJob(id)));
}

/// A removed job leaves its receipt and nothing else, also after a restart.
pub async fn a_removed_job_leaves_its_receipt_only(trial: &mut Trial) {
    for guest in [guests::WRITES, guests::FAILS] {
        let job = trial.job(guest).await;
        trial.run(&job).await;
        let receipt = trial.engine().receipt(job.id).await.expect("asked").expect("a receipt");
        let event = trial.event(AuditAction::JobRemoved);
        trial.engine().remove(job.id, event.clone()).await.expect("removed");
        assert_eq!(trial.recorded(&event).await, 1);
        for _ in 0..2 {
            is_not_there(trial, job.id).await;
            assert_eq!(trial.engine().receipt(job.id).await, Ok(Some(receipt.clone())));
            trial.restart().await;
        }
    }
}

/// A job that has not ended cannot be removed, and no record says that it was.
pub async fn only_an_ended_job_can_be_removed(trial: &mut Trial) {
    let running = trial.job(guests::ENDLESS).await;
    trial.submit(&running).await;
    trial.until_phase(running.id, Phase::Running).await;
    let held = trial.job_for_review(guests::WRITES).await;
    trial.submit(&held).await;
    trial.until_phase(held.id, Phase::InReview).await;
    for job in [running.id, held.id] {
        let event = trial.event(AuditAction::JobRemoved);
        assert_eq!(trial.engine().remove(job, event.clone()).await, Err(EngineError::NotEnded(job)));
        assert_eq!(trial.recorded(&event).await, 0);
        trial.stop(job).await;
        trial.ended(job).await;
        trial.engine().remove(job, event).await.expect("removed");
    }
    trial.start_no_jobs().await;
    let queued = trial.idle_job();
    trial.submit(&queued).await;
    let answer = trial.engine().remove(queued.id, trial.event(AuditAction::JobRemoved)).await;
    assert_eq!(answer, Err(EngineError::NotEnded(queued.id)));
}

/// Of many who remove one job at the same time, one does, and one record says so.
pub async fn of_many_removals_one_is_recorded(trial: &mut Trial) {
    let job = trial.job(guests::FAILS).await;
    trial.run(&job).await;
    let mut tasks = Vec::new();
    for engine in trial.processes().into_iter().cycle().take(8) {
        let (id, event) = (job.id, trial.event(AuditAction::JobRemoved));
        tasks.push(tokio::spawn(async move { (engine.remove(id, event.clone()).await, event) }));
    }
    let (mut removed, mut recorded) = (0, 0);
    for task in tasks {
        let (answer, event) = task.await.expect("no panic");
        removed += usize::from(answer.is_ok());
        assert!(matches!(answer, Ok(()) | Err(EngineError::NoSuchJob(_))), "{answer:?}");
        recorded += trial.recorded(&event).await;
    }
    assert_eq!((removed, recorded), (1, 1));
}

/// An ended job says when it goes, and goes by itself then. Its receipt stays.
pub async fn a_job_goes_when_its_time_is_over_and_leaves_its_receipt(trial: &mut Trial) {
    let job = trial.job(guests::WRITES).await;
    let job = JobSpec { times: TimeLimits { keep_ms: KEEP_MS, ..TimeLimits::default() }, ..job };
    let status = trial.run(&job).await;
    let expires = status.expires.map(cloister_model::Timestamp::unix_ms);
    assert_eq!(expires, status.ended.map(|ended| ended.unix_ms() + KEEP_MS));
    let receipt = trial.engine().receipt(job.id).await.expect("a receipt");
    assert!(receipt.is_some());
    let gone = async || trial.engine().status(job.id).await == Err(EngineError::NoSuchJob(job.id));
    trial.eventually("the job goes", gone).await;
    is_not_there(trial, job.id).await;
    assert_eq!(trial.engine().receipt(job.id).await, Ok(receipt));
}

/// The id of a removed job stays taken, because its receipt stays: neither the same job nor another one gets it.
pub async fn the_id_of_a_removed_job_stays_taken(trial: &mut Trial) {
    let job = trial.job(guests::FAILS).await;
    trial.run(&job).await;
    trial.engine().remove(job.id, trial.event(AuditAction::JobRemoved)).await.expect("removed");
    let other = JobSpec { queue: "bob".to_owned(), ..job.clone() };
    for _ in 0..2 {
        for again in [&job, &other] {
            let event = trial.event(AuditAction::JobAllowed);
            let answer = trial.engine().submit(again.clone(), Vec::new(), event.clone()).await;
            assert_eq!((answer, trial.recorded(&event).await), (Err(EngineError::JobExists(job.id)), 0));
        }
        trial.restart().await;
    }
}
