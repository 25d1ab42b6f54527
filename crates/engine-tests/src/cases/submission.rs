//! `Jobs::submit` and `Jobs::card`.

use crate::{Conditions, Trial, trial::reason};
use cloister_model::{
    AuditAction, Claim, EngineError, Fault, JobParameters, JobRecord, JobSpec, JobStatus, Phase, Secret, StandardInput,
};
use cloister_testkit::{account, guests, labels, recorded_dataset};
use serde_json::json;

fn agreement(name: &str) -> Claim {
    Claim::agreement(name)
}

/// Submits a job, and returns the answer and how often the submission is on record.
async fn submit_again(trial: &Trial, job: &JobSpec, claims: Vec<Claim>) -> (Result<JobStatus, EngineError>, usize) {
    let event = trial.event(AuditAction::JobAllowed);
    let answer = trial.engine().submit(job.clone(), claims, event.clone()).await;
    (answer, trial.recorded(&event).await)
}

/// A submitted job is stored for good with its record and its card.
pub async fn a_job_is_stored_with_its_record_and_its_card(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let mut job = trial.idle_job();
    job.labels = labels(&[("owner", "alice"), ("agreement", "0x1")]);
    job.record = JobRecord {
        request: Some(cloister_model::Sha256::from_bytes([3; 32])),
        datasets: vec![recorded_dataset("d", "bob", true)],
        ..job.record
    };
    let event = trial.event(AuditAction::JobAllowed);
    let status = trial.engine().submit(job.clone(), Vec::new(), event.clone()).await.expect("taken in");
    assert_eq!((status.id, status.created, &status.labels), (job.id, job.created, &job.labels));
    assert_eq!((status.phase, &status.reason, status.ended), (Phase::Queued, &None, None));
    for _ in 0..2 {
        assert_eq!(trial.recorded(&event).await, 1);
        assert_eq!(trial.engine().card(job.id).await, Ok(job.card()));
        assert_eq!(trial.status(job.id).await, status);
        trial.restart().await;
    }
}

/// The same job again is the same job, also after a restart, and is not recorded again.
pub async fn an_identical_job_again_changes_nothing(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let job = trial.idle_job();
    let claims = || vec![agreement("0x1")];
    let status = trial.submit_with(&job, claims()).await;
    for _ in 0..2 {
        assert_eq!(submit_again(trial, &job, claims()).await, (Ok(status.clone()), 0));
        assert_eq!(trial.all_jobs().await, [job.id]);
        trial.restart().await;
    }
    let stopped = trial.stop_to_the_end(job.id).await;
    assert_eq!(submit_again(trial, &job, claims()).await, (Ok(stopped), 0), "an ended job is not begun again");
}

/// Another job of an id that is taken is refused, and the stored one stays as it is.
pub async fn a_different_job_of_the_same_id_is_refused(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let job = trial.idle_job();
    let status = trial.submit(&job).await;
    let queue = JobSpec { queue: "bob".to_owned(), ..job.clone() };
    let parameters = JobSpec { parameters: Some(cloister_model::Secret::new(1.into())), ..job.clone() };
    let record = JobSpec { record: JobRecord { owner: account("eve"), ..job.record.clone() }, ..job.clone() };
    for other in [queue, parameters, record] {
        let refused = Err(EngineError::JobExists(job.id));
        assert_eq!(submit_again(trial, &other, vec![agreement("0x1")]).await, (refused, 0));
    }
    assert_eq!(trial.status(job.id).await, status);
    assert_eq!(trial.engine().card(job.id).await, Ok(job.card()));
    // The claim of the refused jobs is free.
    trial.submit_with(&trial.idle_job(), vec![agreement("0x1")]).await;
}

/// A job beyond the limit is refused, and leaves neither a record nor a claim.
pub async fn a_full_queue_takes_no_more_jobs_and_no_claims(trial: &mut Trial) {
    trial.reopen(Conditions { max_jobs: 0, max_queued: 2, ..Conditions::default() }).await;
    let (first, second, third) = (trial.idle_job(), trial.idle_job(), trial.idle_job());
    trial.submit(&first).await;
    let status = trial.submit(&second).await;
    assert_eq!(submit_again(trial, &third, vec![agreement("0x1")]).await, (Err(EngineError::Full), 0));
    assert_eq!(trial.engine().status(third.id).await, Err(EngineError::NoSuchJob(third.id)));
    // A repeated submission is not one more.
    assert_eq!(submit_again(trial, &second, Vec::new()).await, (Ok(status), 0));
    trial.stop_to_the_end(first.id).await;
    trial.submit_with(&trial.idle_job(), vec![agreement("0x1")]).await;
}

/// An account that fills its part of the queue keeps no other account out.
pub async fn an_account_has_so_many_waiting_jobs_and_no_more(trial: &mut Trial) {
    trial.reopen(Conditions { max_jobs: 0, max_queued_per_account: 2, ..Conditions::default() }).await;
    let of = |trial: &Trial, queue: &str| JobSpec { queue: queue.to_owned(), ..trial.idle_job() };
    let first = of(trial, "alice");
    trial.submit(&first).await;
    trial.submit(&of(trial, "alice")).await;
    let third = of(trial, "alice");
    assert_eq!(submit_again(trial, &third, vec![agreement("0x1")]).await, (Err(EngineError::FullForAccount(2)), 0));
    trial.submit_with(&of(trial, "bob"), vec![agreement("0x1")]).await;
    trial.restart().await;
    assert_eq!(submit_again(trial, &third, Vec::new()).await.0, Err(EngineError::FullForAccount(2)));
    trial.stop(first.id).await;
    trial.submit(&third).await;
}

/// Of several claims, one that is taken keeps the job and all other claims out.
pub async fn a_job_whose_claim_is_taken_leaves_nothing(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let holder = trial.idle_job();
    trial.submit_with(&holder, vec![agreement("taken")]).await;
    for _ in 0..2 {
        let job = trial.idle_job();
        let refused = Err(EngineError::Claimed(agreement("taken")));
        let (answer, records) = submit_again(trial, &job, vec![agreement("free"), agreement("taken")]).await;
        assert_eq!((answer, records), (refused, 0));
        assert_eq!(trial.engine().status(job.id).await, Err(EngineError::NoSuchJob(job.id)));
        assert_eq!(trial.all_jobs().await, [holder.id]);
        // Claims outlive the process that took them.
        trial.restart().await;
    }
    trial.submit_with(&trial.idle_job(), vec![agreement("free")]).await;
}

/// Of jobs that want one claim at the same time, one is taken in.
pub async fn of_many_jobs_with_one_claim_one_is_taken_in(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let mut tasks = Vec::new();
    for engine in trial.processes().into_iter().cycle().take(8) {
        let (job, event) = (trial.idle_job(), trial.event(AuditAction::JobAllowed));
        tasks.push(tokio::spawn(async move {
            let answer = engine.submit(job, vec![agreement("0x1")], event.clone()).await;
            (answer, event)
        }));
    }
    let mut taken = 0;
    for task in tasks {
        let (answer, event) = task.await.expect("no panic");
        let records = trial.recorded(&event).await;
        match answer {
            Ok(_) => taken += 1,
            Err(ref error) => assert_eq!(*error, EngineError::Claimed(agreement("0x1"))),
        }
        assert_eq!(records, usize::from(answer.is_ok()), "{answer:?}");
    }
    assert_eq!((taken, trial.all_jobs().await.len()), (1, 1));
}

/// A job gives its claims up when it ends: finished, failed or stopped.
pub async fn claims_are_free_when_their_job_has_ended(trial: &mut Trial) {
    let fails = trial.job(guests::FAILS).await;
    let finishes = trial.job(guests::WRITES).await;
    for job in [&fails, &finishes] {
        trial.submit_with(job, vec![agreement("0x1")]).await;
        trial.ended(job.id).await;
    }
    trial.start_no_jobs().await;
    let stopped = trial.idle_job();
    trial.submit_with(&stopped, vec![agreement("0x1")]).await;
    trial.stop_to_the_end(stopped.id).await;
    trial.restart().await;
    trial.submit_with(&trial.idle_job(), vec![agreement("0x1")]).await;
}

/// A job that asks for more than the environment has does not wait for it. It fails and says why.
pub async fn a_job_that_never_fits_ends_and_says_why(trial: &mut Trial) {
    let mut job = trial.job(guests::WRITES).await;
    job.limits.memory_bytes = 1 << 44;
    let event = trial.event(AuditAction::JobAllowed);
    trial.engine().submit(job.clone(), vec![agreement("0x1")], event.clone()).await.expect("taken in");
    let status = trial.ended(job.id).await;
    assert!(!status.phase.is_success() && !reason(&status).is_empty(), "{status:?}");
    assert_eq!(status.reason.as_ref().map(|reason| reason.fault()), Some(Fault::Algorithm));
    assert_eq!(trial.recorded(&event).await, 1);
    trial.submit_with(&trial.idle_job(), vec![agreement("0x1")]).await;
}

/// What the consumer gave an algorithm can be read as long as the job is there, by every process.
pub async fn the_parameters_of_a_job_can_be_read(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let (mut with, without) = (trial.idle_job(), trial.idle_job());
    let values = json!({"groupBy": "town", "deep": [1, {"null": null}]});
    with.parameters = Some(Secret::new(values.clone()));
    with.algorithm.container.entrypoint = "$ALGO --mode fast <<< 'a text'".to_owned();
    let arguments = ["--mode", "fast"].map(str::to_owned).to_vec();
    let stdin = Some(StandardInput::Text("a text\n".to_owned()));
    let given = JobParameters { values: Some(Secret::new(values)), arguments, stdin };
    trial.submit(&with).await;
    trial.submit(&without).await;
    for ended in [false, true] {
        for process in trial.processes() {
            assert_eq!(process.parameters(with.id).await, Ok(given.clone()), "ended: {ended}");
            assert_eq!(process.parameters(without.id).await, Ok(JobParameters::default()), "ended: {ended}");
        }
        trial.restart().await;
        if !ended {
            trial.stop_to_the_end(with.id).await;
            trial.stop_to_the_end(without.id).await;
        }
    }
    trial.engine().remove(with.id, trial.event(AuditAction::JobRemoved)).await.expect("removed");
    let missing = trial.idle_job();
    for job in [with.id, missing.id] {
        assert_eq!(trial.engine().parameters(job).await, Err(EngineError::NoSuchJob(job)));
    }
}
