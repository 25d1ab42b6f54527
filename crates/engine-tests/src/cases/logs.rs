//! Logs that the rules of datasets keep from the consumer: kept for the publishers, and released by them.

use crate::{Trial, trial::ALL};
use cloister_model::{AuditAction, EngineError, JobId, JobSpec, LogRelease, LogScope, Phase, WithheldLog};
use cloister_testkit::{account, guests, recorded_dataset};

/// A job that runs this guest and whose log may not leave.
async fn silent_job(trial: &Trial, guest: &str) -> JobSpec {
    let mut job = trial.job(guest).await;
    job.terms.output_contract.max_log_bytes = 0;
    trial.publish("d", "bob").await;
    let dataset = recorded_dataset("d", "bob", false);
    job.record.datasets = vec![cloister_model::RecordedDataset { log_bytes: 0, ..dataset }];
    job
}

/// What may be read of a log, and all that is kept.
async fn both(trial: &Trial, job: JobId) -> [String; 2] {
    let mut texts = Vec::new();
    for scope in [LogScope::Readable, LogScope::Kept] {
        let part = trial.engine().log(job, scope, ALL).await.expect("a log");
        assert_eq!((part.total, part.ended), (part.bytes.len() as u64, true), "{scope:?}");
        texts.push(String::from_utf8(part.bytes).expect("text"));
    }
    texts.try_into().expect("two")
}

/// Whatever withholds a log and however the job ends, its publishers can see it, and the job says who withholds it.
pub async fn a_withheld_log_is_kept_for_the_publishers(trial: &mut Trial) {
    let mut reviewed = trial.job_for_review(guests::FAILS).await;
    trial.publish("d", "bob").await;
    reviewed.record.datasets = vec![recorded_dataset("d", "bob", true)];
    for (job, phase) in [
        (silent_job(trial, guests::FAILS).await, Phase::AlgorithmFailed),
        (silent_job(trial, guests::WRITES).await, Phase::Finished),
        (reviewed, Phase::AlgorithmFailed),
    ] {
        let status = trial.run(&job).await;
        let withheld = WithheldLog { by: vec!["d".parse().expect("a DID")], release: None };
        assert_eq!((status.phase, status.withheld_log), (phase, Some(withheld)));
        assert_eq!(both(trial, job.id).await, ["", "a,b\n"]);
        trial.restart().await;
        assert_eq!(both(trial, job.id).await, ["", "a,b\n"]);
    }
}

/// The first release counts: the consumer may read so many bytes, and no more. It is recorded, and survives a restart.
pub async fn a_withheld_log_is_released_once(trial: &mut Trial) {
    for (bytes, text) in [(2, "a,"), (u64::MAX, "a,b\n")] {
        let job = silent_job(trial, guests::FAILS).await;
        let ended = trial.run(&job).await;
        let mut event = trial.event(AuditAction::LogReleased);
        event.actor = "bob".to_owned();
        let released = trial.engine().release_log(job.id, bytes, event.clone()).await.expect("released");
        let release = released.withheld_log.clone().expect("a withheld log").release;
        assert_eq!(release, Some(LogRelease { by: account("bob"), at: event.at, bytes }));
        assert_ne!(released.seen(), ended.seen());
        let again = trial.event(AuditAction::LogReleased);
        assert_eq!(trial.engine().release_log(job.id, 3, again.clone()).await, Ok(released.clone()));
        assert_eq!((trial.recorded(&event).await, trial.recorded(&again).await), (1, 0));
        trial.restart().await;
        assert_eq!(trial.status(job.id).await, released);
        assert_eq!(both(trial, job.id).await, [text, "a,b\n"]);
    }
}

/// A log that is not withheld cannot be released: nothing changes, and nothing is recorded.
pub async fn a_log_that_is_not_withheld_cannot_be_released(trial: &mut Trial) {
    let running = silent_job(trial, guests::ENDLESS).await;
    trial.submit(&running).await;
    trial.until_phase(running.id, Phase::Running).await;
    let open = trial.job(guests::FAILS).await;
    assert_eq!(trial.run(&open).await.withheld_log, None);
    let missing = trial.idle_job();
    for (job, error) in [
        (running.id, EngineError::NoWithheldLog(running.id)),
        (open.id, EngineError::NoWithheldLog(open.id)),
        (missing.id, EngineError::NoSuchJob(missing.id)),
    ] {
        let event = trial.event(AuditAction::LogReleased);
        assert_eq!(trial.engine().release_log(job, 1, event.clone()).await, Err(error));
        assert_eq!(trial.recorded(&event).await, 0);
    }
    trial.stop(running.id).await;
    trial.ended(running.id).await;
}
