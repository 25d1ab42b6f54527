//! `Jobs::stop`.

use crate::Trial;
use cloister_model::{AuditAction, Check, EngineError, JobId, JobSpec, Phase, ResultSet, ReviewVerdict};
use cloister_testkit::{SourceServer, guests};
use std::sync::Arc;

/// Stops a job twice: it ends as stopped, keeps the moment of the first request, and has one record.
async fn stops_once(trial: &Trial, job: JobId) {
    let (first, second) = (trial.event(AuditAction::JobStopped), trial.event(AuditAction::JobStopped));
    let status = trial.engine().stop(job, first.clone()).await.expect("asked");
    assert_eq!(status.stop_requested, Some(first.at));
    trial.engine().stop(job, second.clone()).await.expect("asked again");
    let status = trial.ended(job).await;
    assert_eq!((status.phase, status.stop_requested), (Phase::Stopped, Some(first.at)));
    assert_eq!((trial.recorded(&first).await, trial.recorded(&second).await), (1, 0));
    assert_eq!(trial.files(job, ResultSet::Released).await, []);
    assert_eq!(trial.files(job, ResultSet::UnderReview).await, []);
}

/// A job that waits for its turn stops at once.
pub async fn a_queued_job_stops(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let job = trial.idle_job();
    trial.submit(&job).await;
    stops_once(trial, job.id).await;
}

/// A job whose source does not answer stops.
pub async fn a_job_stops_while_its_inputs_are_fetched(trial: &mut Trial) {
    let server = SourceServer::start().expect("a server");
    let mut job = trial.job(guests::WRITES).await;
    job.inputs[0].source = trial.source(&server, "/stalled");
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::Configuring).await;
    stops_once(trial, job.id).await;
}

/// A running algorithm stops.
pub async fn a_running_job_stops(trial: &mut Trial) {
    let job = trial.job(guests::ENDLESS).await;
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::Running).await;
    stops_once(trial, job.id).await;
}

/// A job whose outputs are being checked by a program stops.
pub async fn a_job_stops_while_its_outputs_are_checked(trial: &mut Trial) {
    let check = Check { name: "endless".to_owned(), sha256: trial.upload_guest(guests::ENDLESS).await };
    let mut job = trial.job(guests::WRITES).await;
    job.terms.release.checks = vec![check];
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::Filtering).await;
    stops_once(trial, job.id).await;
}

/// A job that waits for a reviewer stops, and its outputs are gone.
pub async fn a_job_in_review_stops(trial: &mut Trial) {
    let job = trial.job_for_review(guests::WRITES).await;
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::InReview).await;
    stops_once(trial, job.id).await;
    let late = trial.engine().review(job.id, ReviewVerdict::Approve, trial.event(AuditAction::Reviewed)).await;
    assert_eq!(late, Err(EngineError::NotInReview(job.id)));
}

/// A job that has ended is not changed, and nothing is recorded.
pub async fn an_ended_job_stays_as_it_is(trial: &mut Trial) {
    for guest in [guests::FAILS, guests::WRITES] {
        let job = trial.job(guest).await;
        let status = trial.run(&job).await;
        let event = trial.event(AuditAction::JobStopped);
        assert_eq!(trial.engine().stop(job.id, event.clone()).await, Ok(status.clone()));
        assert_eq!((trial.recorded(&event).await, trial.status(job.id).await), (0, status));
    }
}

/// Of many requests at the same time, one is recorded.
pub async fn of_many_requests_to_stop_one_is_recorded(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let job = trial.idle_job();
    trial.submit(&job).await;
    let mut tasks = Vec::new();
    for engine in trial.processes().into_iter().cycle().take(8) {
        let (id, event) = (job.id, trial.event(AuditAction::JobStopped));
        tasks.push(tokio::spawn(async move {
            engine.stop(id, event.clone()).await.expect("asked");
            event
        }));
    }
    let mut recorded = 0;
    for task in tasks {
        recorded += trial.recorded(&task.await.expect("no panic")).await;
    }
    assert_eq!(recorded, 1);
}

/// A request to stop is stored: an engine that ends right after it stops the job when it is back.
pub async fn a_request_to_stop_outlives_the_engine(trial: &mut Trial) {
    let job = trial.job(guests::ENDLESS).await;
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::Running).await;
    let event = trial.event(AuditAction::JobStopped);
    trial.engine().stop(job.id, event.clone()).await.expect("asked");
    trial.restart().await;
    assert_eq!(trial.ended(job.id).await.phase, Phase::Stopped);
    assert_eq!(trial.recorded(&event).await, 1);
}

/// A job that is not there cannot be stopped, and no record says that it was.
pub async fn a_job_that_is_not_there_cannot_be_stopped(trial: &mut Trial) {
    let (JobSpec { id, .. }, event) = (trial.idle_job(), trial.event(AuditAction::JobStopped));
    let engine = Arc::clone(trial.engine());
    assert_eq!(engine.stop(id, event.clone()).await, Err(EngineError::NoSuchJob(id)));
    assert_eq!(trial.recorded(&event).await, 0);
}
