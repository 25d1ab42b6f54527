//! The times that a job may take.

use crate::{Trial, trial::reason};
use cloister_model::{JobSpec, JobStatus, Phase, ResultSet, TimeLimits};
use cloister_testkit::guests;

fn expired(status: &JobStatus) {
    assert_eq!(status.phase, Phase::Expired, "{status:?}");
    assert!(!reason(status).is_empty());
    assert_eq!(status.stop_requested, None);
}

/// A job that waits too long for its turn expires.
pub async fn a_job_that_waits_too_long_for_its_turn_expires(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let times = TimeLimits { queue_ms: 300, ..TimeLimits::default() };
    let job = JobSpec { times, created: trial.now(), ..trial.idle_job() };
    trial.submit(&job).await;
    expired(&trial.ended(job.id).await);
}

/// A deadline that passes while the engine is away counts when it is back.
pub async fn a_deadline_passes_while_the_engine_is_away(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let times = TimeLimits { queue_ms: 1500, ..TimeLimits::default() };
    let job = JobSpec { times, created: trial.now(), ..trial.idle_job() };
    trial.submit(&job).await;
    trial.restart().await;
    expired(&trial.ended(job.id).await);
}

/// A job whose time in all is over is ended while its algorithm runs.
pub async fn a_running_job_ends_when_its_time_is_over(trial: &mut Trial) {
    let times = TimeLimits { total_ms: 2500, ..TimeLimits::default() };
    let job = JobSpec { times, created: trial.now(), ..trial.job(guests::ENDLESS).await };
    expired(&trial.run(&job).await);
}

/// A job whose review takes too long expires, and nothing leaves.
pub async fn a_review_that_takes_too_long_expires(trial: &mut Trial) {
    let times = TimeLimits { review_ms: 300, ..TimeLimits::default() };
    let job = JobSpec { times, ..trial.job_for_review(guests::WRITES).await };
    let status = trial.run(&job).await;
    expired(&status);
    assert_eq!(status.review, None);
    for set in [ResultSet::Released, ResultSet::UnderReview] {
        assert_eq!(trial.files(job.id, set).await, []);
    }
}
