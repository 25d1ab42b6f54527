//! Logs that the rules of datasets keep from the consumer: kept for the publishers, and released by them.

use crate::{Trial, trial::ALL};
use cloister_model::{
    AuditAction, EngineError, JobId, JobSpec, LogRelease, LogScope, Phase, RecordedDataset, WithheldLog,
};
use cloister_testkit::{account, guests, recorded_dataset};

/// A job that runs this guest and whose log may not leave.
async fn silent_job(trial: &Trial, guest: &str) -> JobSpec {
    let mut job = trial.job(guest).await;
    job.terms.output_contract.max_log_bytes = 0;
    trial.publish("d", "bob").await;
    let dataset = recorded_dataset("d", "bob", false);
    job.record.datasets = vec![RecordedDataset { log_bytes: 0, ..dataset }];
    job
}

/// The same on datasets of three publishers: those of bob and carol let nothing of it out, that of dave lets out two bytes.
async fn silent_job_of_three(trial: &Trial) -> JobSpec {
    let mut job = silent_job(trial, guests::FAILS).await;
    for (did, publisher, log_bytes) in [("e", "carol", 0), ("f", "dave", 2)] {
        trial.publish(did, publisher).await;
        job.record.datasets.push(RecordedDataset { log_bytes, ..recorded_dataset(did, publisher, false) });
    }
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
        let withheld = WithheldLog::by(vec!["d".parse().expect("a DID")]);
        assert_eq!((status.phase, status.withheld_log), (phase, Some(withheld)));
        assert_eq!(both(trial, job.id).await, ["", "a,b\n"]);
        trial.restart().await;
        assert_eq!(both(trial, job.id).await, ["", "a,b\n"]);
    }
}

/// The first release of a publisher counts, and that of an account that published none of the datasets does not. It is recorded,
/// and survives a restart.
pub async fn a_withheld_log_is_released_once(trial: &mut Trial) {
    let job = silent_job(trial, guests::FAILS).await;
    let ended = trial.run(&job).await;
    let event = |trial: &Trial, actor: &str| {
        let mut event = trial.event(AuditAction::LogReleased);
        event.actor = actor.to_owned();
        event
    };
    let foreign = event(trial, "carol");
    assert_eq!(trial.engine().release_log(job.id, foreign.clone()).await, Ok(ended.clone()));
    assert_eq!(trial.recorded(&foreign).await, 0);
    let first = event(trial, "bob");
    let released = trial.engine().release_log(job.id, first.clone()).await.expect("released");
    let log = released.withheld_log.clone().expect("a withheld log");
    assert_eq!((log.releases, log.missing), (vec![LogRelease { by: account("bob"), at: first.at }], vec![]));
    assert_ne!(released.seen(), ended.seen());
    let again = event(trial, "bob");
    assert_eq!(trial.engine().release_log(job.id, again.clone()).await, Ok(released.clone()));
    assert_eq!((trial.recorded(&first).await, trial.recorded(&again).await), (1, 0));
    trial.restart().await;
    assert_eq!(trial.status(job.id).await, released);
    assert_eq!(both(trial, job.id).await, ["a,b\n", "a,b\n"]);
}

/// A log that several publishers withhold can be read once all of them have released it, also if they do so at the same moment,
/// at different processes. Each release is recorded, and a restart forgets none.
pub async fn a_log_is_released_by_all_who_withhold_it(trial: &mut Trial) {
    let event = |trial: &Trial, actor: &str| {
        let mut event = trial.event(AuditAction::LogReleased);
        event.actor = actor.to_owned();
        event
    };
    let job = silent_job_of_three(trial).await;
    let mut events = Vec::new();
    trial.run(&job).await;
    for (publisher, missing, readable) in [("carol", vec!["d"], ""), ("bob", vec![], "a,"), ("dave", vec![], "a,b\n")] {
        events.push(event(trial, publisher));
        let released = trial.engine().release_log(job.id, events[events.len() - 1].clone()).await.expect("released");
        let log = released.withheld_log.clone().expect("a withheld log");
        let missing: Vec<_> = missing.into_iter().map(|did: &str| did.parse().expect("a DID")).collect();
        assert_eq!((log.missing, log.releases.len()), (missing, events.len()), "{publisher}");
        trial.restart().await;
        assert_eq!(trial.status(job.id).await, released);
        assert_eq!(both(trial, job.id).await, [readable, "a,b\n"], "{publisher}");
    }
    let job = silent_job_of_three(trial).await;
    trial.run(&job).await;
    let processes = trial.processes();
    let mut tasks = Vec::new();
    for (place, publisher) in ["bob", "carol", "dave", "bob", "carol", "dave"].into_iter().enumerate() {
        let (process, event) = (processes[place % processes.len()].clone(), event(trial, publisher));
        events.push(event.clone());
        tasks.push(tokio::spawn(async move { process.release_log(job.id, event).await.expect("released") }));
    }
    for task in tasks {
        task.await.expect("an answer");
    }
    // A process that is still held cannot be followed by another one.
    drop(processes);
    trial.restart().await;
    let log = trial.status(job.id).await.withheld_log.expect("a withheld log");
    assert_eq!((log.releases.len(), log.missing.len(), log.bytes), (3, 0, u64::MAX));
    let mut recorded = Vec::new();
    for event in &events {
        recorded.push(trial.recorded(event).await);
    }
    assert_eq!(
        (&recorded[..3], recorded[3..].iter().sum::<usize>()),
        ([1, 1, 1].as_slice(), 3),
        "one of each publisher"
    );
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
        assert_eq!(trial.engine().release_log(job, event.clone()).await, Err(error));
        assert_eq!(trial.recorded(&event).await, 0);
    }
    trial.stop(running.id).await;
    trial.ended(running.id).await;
}
