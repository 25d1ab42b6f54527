//! `Jobs::status` and `Jobs::wait`.

use crate::{Trial, trial::within};
use cloister_model::{AuditAction, EngineError, Phase, Seen};
use cloister_testkit::guests;
use std::sync::Arc;

/// A follower whose text is not a state of the job gets the present state at once. A follower who has seen the present
/// state waits longer.
pub async fn a_follower_who_has_seen_another_state_gets_the_present_one(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let job = trial.idle_job();
    let status = trial.submit(&job).await;
    let long = "7".repeat(100);
    for text in ["", "0", "-1", "nonsense", "18446744073709551615", &long] {
        let engine = trial.engine();
        let unchanged = engine.wait(job.id, status.seen());
        let stranger = engine.wait(job.id, Seen::from_text(text));
        let first = async {
            tokio::select! {
                biased;
                status = unchanged => Err(status),
                status = stranger => Ok(status),
            }
        };
        let answer = within("an answer", first).await;
        assert_eq!(answer, Ok(Ok(status.clone())), "`{text}` was taken for the present state");
    }
}

/// What a follower has seen survives the journey through a client, and equals what `status` says.
pub async fn what_was_seen_is_the_same_wherever_it_is_read(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let job = trial.idle_job();
    let submitted = trial.submit(&job).await.seen();
    assert_eq!(Seen::from_text(&submitted.to_string()), submitted);
    assert_eq!(trial.status(job.id).await.seen(), submitted);
    assert_ne!(submitted, Seen::default());
    trial.restart().await;
    assert_eq!(trial.status(job.id).await.seen(), submitted);
    let stopped = trial.stop(job.id).await.seen();
    assert_ne!(stopped, submitted);
}

/// A change wakes the follower of the changed job, and not the follower of another one.
pub async fn a_change_wakes_the_followers_of_its_job(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let (changed, unchanged) = (trial.idle_job(), trial.idle_job());
    let seen = trial.submit(&changed).await.seen();
    let other = trial.submit(&unchanged).await.seen();
    let (engine, sleeper) = (Arc::clone(trial.engine()), Arc::clone(trial.engine()));
    let woken = tokio::spawn(async move { engine.wait(changed.id, seen).await });
    let asleep = tokio::spawn(async move { sleeper.wait(unchanged.id, other).await });
    // So that both follow by now. If not, the case is easier for the engine.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    trial.stop(changed.id).await;
    let status = within("the follower wakes", woken).await.expect("no panic").expect("a status");
    assert!(status.stop_requested.is_some(), "{status:?}");
    assert!(!asleep.is_finished(), "a follower whose job did not change was woken first");
    asleep.abort();
}

/// A follower of a job that does not change gets an answer all the same, after a while.
pub async fn a_follower_of_a_job_that_does_not_change_is_answered(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let job = trial.idle_job();
    let status = trial.submit(&job).await;
    let answer = within("an answer", trial.engine().wait(job.id, status.seen())).await;
    assert_eq!(answer, Ok(status));
}

/// Many followers of one job all see its end, and every state that they see differs from the one before.
pub async fn every_follower_sees_the_end(trial: &mut Trial) {
    let job = trial.job(guests::FAILS).await;
    trial.submit(&job).await;
    let followers: Vec<_> = (0..20)
        .map(|_| {
            let (engine, id) = (Arc::clone(trial.engine()), job.id);
            tokio::spawn(async move {
                let mut seen = vec![Seen::default()];
                loop {
                    let status = engine.wait(id, seen.last().expect("one").clone()).await.expect("a status");
                    if status.phase.has_ended() {
                        return (status, seen);
                    }
                    seen.push(status.seen());
                }
            })
        })
        .collect();
    for follower in followers {
        let (status, seen) = within("a follower ends", follower).await.expect("no panic");
        assert_eq!(status.phase, Phase::AlgorithmFailed);
        assert!(!seen.contains(&status.seen()), "the end looks like an earlier state");
    }
    // Nothing comes after the end, and nothing changes what was seen of it.
    let status = trial.status(job.id).await;
    assert_eq!(within("an answer", trial.engine().wait(job.id, status.seen())).await, Ok(status));
}

/// A job that was never submitted, or that was removed, cannot be followed.
pub async fn a_job_that_is_not_there_cannot_be_followed(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let job = trial.idle_job();
    let missing = Err(EngineError::NoSuchJob(job.id));
    assert_eq!(trial.engine().wait(job.id, Seen::default()).await, missing);
    trial.submit(&job).await;
    let seen = trial.stop_to_the_end(job.id).await.seen();
    trial.engine().remove(job.id, trial.event(AuditAction::JobRemoved)).await.expect("removed");
    for seen in [seen, Seen::default()] {
        assert_eq!(within("an answer", trial.engine().wait(job.id, seen)).await, missing);
    }
}
