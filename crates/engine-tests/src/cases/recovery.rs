//! An engine that ends at any moment and is opened again goes on with every job where the job is.

use crate::{Trial, trial::reason};
use cloister_model::{JobStatus, Phase, ResultSet, ReviewVerdict};
use cloister_testkit::{SourceServer, guests};

fn times_in(status: &JobStatus, phase: Phase) -> usize {
    status.history.iter().filter(|step| step.phase == phase).count()
}

/// A job that waited goes on waiting, and runs when there is room.
pub async fn a_queued_job_runs_after_a_restart(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let job = trial.job(guests::WRITES).await;
    let status = trial.submit(&job).await;
    trial.restart().await;
    assert_eq!(trial.status(job.id).await, status);
    trial.reopen(crate::Conditions::default()).await;
    assert_eq!(trial.ended(job.id).await.phase, Phase::Finished);
    assert_eq!(trial.files(job.id, ResultSet::Released).await.len(), 2);
}

/// A job whose inputs were being fetched is still there, and can be stopped.
pub async fn a_job_that_was_fetching_goes_on(trial: &mut Trial) {
    let server = SourceServer::start().expect("a server");
    let mut job = trial.job(guests::WRITES).await;
    job.inputs[0].source = trial.source(&server, "/stalled");
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::Configuring).await;
    trial.restart().await;
    assert_eq!(trial.status(job.id).await.phase, Phase::Configuring);
    trial.stop(job.id).await;
    assert_eq!(trial.ended(job.id).await.phase, Phase::Stopped);
}

/// An algorithm is begun once, however often its engine ends.
pub async fn an_algorithm_is_begun_once(trial: &mut Trial) {
    let running = trial.job(guests::ENDLESS).await;
    trial.submit(&running).await;
    trial.until_phase(running.id, Phase::Running).await;
    let mut jobs = Vec::new();
    for guest in [guests::FAILS, guests::WRITES, guests::FAILS, guests::WRITES] {
        let job = trial.job(guest).await;
        trial.submit(&job).await;
        jobs.push((job.id, guest == guests::WRITES));
        trial.restart().await;
    }
    assert_eq!(trial.status(running.id).await.phase, Phase::Running);
    for (job, finishes) in jobs {
        let status = trial.ended(job).await;
        let expected = if finishes { Phase::Finished } else { Phase::AlgorithmFailed };
        assert_eq!(status.phase, expected, "{}", reason(&status));
        assert_eq!(times_in(&status, Phase::Running), 1, "{status:?}");
        assert_eq!(trial.files(job, ResultSet::Released).await.len(), if finishes { 2 } else { 0 });
    }
    trial.stop(running.id).await;
    let status = trial.ended(running.id).await;
    assert_eq!((status.phase, times_in(&status, Phase::Running)), (Phase::Stopped, 1));
}

/// A review goes on where it was, and its approval releases what was reviewed before.
pub async fn a_review_goes_on(trial: &mut Trial) {
    let job = trial.job_for_review(guests::WRITES).await;
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::InReview).await;
    let held = trial.files(job.id, ResultSet::UnderReview).await;
    trial.restart().await;
    assert_eq!(trial.status(job.id).await.phase, Phase::InReview);
    let event = trial.event(cloister_model::AuditAction::Reviewed);
    trial.engine().review(job.id, ReviewVerdict::Approve, event).await.expect("approved");
    // While its results are being stored, if the engine is not done yet.
    trial.restart().await;
    assert_eq!(trial.ended(job.id).await.phase, Phase::Finished);
    assert_eq!(trial.files(job.id, ResultSet::Released).await, held);
}

/// An ended job is as it was: status, log, report and results.
pub async fn an_ended_job_is_as_it_was(trial: &mut Trial) {
    for guest in [guests::WRITES, guests::FAILS] {
        let job = trial.job(guest).await;
        let status = trial.run(&job).await;
        let log = trial.log(job.id).await;
        let report = trial.engine().report(job.id).await.expect("a report");
        let files = trial.files(job.id, ResultSet::Released).await;
        trial.restart().await;
        assert_eq!(trial.status(job.id).await, status);
        assert_eq!(trial.log(job.id).await, log);
        assert_eq!(trial.engine().report(job.id).await, Ok(report));
        assert_eq!(trial.files(job.id, ResultSet::Released).await, files);
    }
}
