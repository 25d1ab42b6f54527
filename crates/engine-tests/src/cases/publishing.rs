//! `Jobs::publish_again`. How it ends the wait for a result store, each engine tests with a store of its kind.

use crate::Trial;
use cloister_model::{AuditAction, EngineError, Phase};
use cloister_testkit::guests;

/// Only results that wait for the result store can be asked for: nothing else changes, and nothing is recorded.
pub async fn results_that_do_not_wait_for_the_store_are_not_stored_again(trial: &mut Trial) {
    let running = trial.job(guests::ENDLESS).await;
    trial.submit(&running).await;
    trial.until_phase(running.id, Phase::Running).await;
    let finished = trial.job(guests::WRITES).await;
    let status = trial.run(&finished).await;
    let missing = trial.idle_job();
    for (job, error) in [
        (running.id, EngineError::NotWaitingForStore(running.id)),
        (finished.id, EngineError::NotWaitingForStore(finished.id)),
        (missing.id, EngineError::NoSuchJob(missing.id)),
    ] {
        let event = trial.event(AuditAction::PublishingAsked);
        assert_eq!(trial.engine().publish_again(job, event.clone()).await, Err(error));
        assert_eq!(trial.recorded(&event).await, 0);
    }
    assert_eq!(trial.status(finished.id).await, status);
    trial.stop(running.id).await;
    trial.ended(running.id).await;
}
