//! `Claims`: exclusive rights to names.

use crate::Trial;
use cloister_model::{AssetKind, AuditAction, Claim, EngineError, Timestamp};
use cloister_testkit::account;

fn later(trial: &Trial) -> Timestamp {
    Timestamp::from_unix_ms(trial.now().unix_ms() + 600_000)
}

async fn claim(trial: &Trial, claim: &Claim) -> bool {
    trial.engine().claim(claim.clone()).await.expect("an answer")
}

/// A nonce counts once for each account, also after a restart.
pub async fn a_nonce_counts_once(trial: &mut Trial) {
    let nonce = |name: &str, nonce: &str, until| Claim::nonce(&account(name), nonce, until);
    let until = later(trial);
    assert!(claim(trial, &nonce("alice", "1", until)).await);
    for _ in 0..2 {
        assert!(!claim(trial, &nonce("alice", "1", until)).await);
        // Another moment makes no other nonce.
        assert!(!claim(trial, &nonce("alice", "1", later(trial))).await);
        trial.restart().await;
    }
    assert!(claim(trial, &nonce("alice", "2", until)).await);
    assert!(claim(trial, &nonce("bob", "1", until)).await);
    // Ethereum addresses are one account in upper and lower case.
    let address = "0x52A4Fc5B2cD5Cb0F3dF6c6E0f2Ee9d8C1B7a0bE1";
    let lower = format!("0x{}", address.trim_start_matches("0x").to_lowercase());
    assert!(claim(trial, &nonce(address, "1", until)).await);
    assert!(!claim(trial, &nonce(&lower, "1", until)).await);
}

/// Many callers claim one nonce at the same time, in all processes: one of them gets it.
pub async fn of_many_claims_at_once_one_is_granted(trial: &mut Trial) {
    for round in 0..4 {
        let nonce = Claim::nonce(&account("alice"), &format!("n{round}"), later(trial));
        let tasks: Vec<_> = (trial.processes().into_iter().cycle().take(16))
            .map(|engine| {
                let nonce = nonce.clone();
                tokio::spawn(async move { engine.claim(nonce).await.expect("an answer") })
            })
            .collect();
        let mut granted = 0;
        for task in tasks {
            granted += usize::from(task.await.expect("no panic"));
        }
        assert_eq!(granted, 1);
    }
}

/// Claims on other nonces do not end an earlier claim before its time.
pub async fn a_claim_lasts_as_long_as_it_says(trial: &mut Trial) {
    let kept = Claim::nonce(&account("alice"), "kept", later(trial));
    assert!(claim(trial, &kept).await);
    for number in 0..50 {
        let over = Timestamp::from_unix_ms(trial.now().unix_ms().saturating_sub(1000));
        assert!(claim(trial, &Claim::nonce(&account("alice"), &format!("over-{number}"), over)).await);
    }
    assert!(!claim(trial, &kept).await);
}

/// Claims of different kinds are different, and a job cannot have what another caller claimed.
pub async fn a_claim_keeps_jobs_out(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let agreement = Claim::agreement("0x1");
    let name = Claim::asset_name(&account("alice"), AssetKind::Dataset, "results");
    for taken in [&agreement, &name] {
        assert!(claim(trial, taken).await);
        assert!(!claim(trial, taken).await);
        let (job, event) = (trial.idle_job(), trial.event(AuditAction::JobAllowed));
        let answer = trial.engine().submit(job.clone(), vec![taken.clone()], event.clone()).await;
        assert_eq!(answer, Err(EngineError::Claimed(taken.clone())));
        assert_eq!(trial.recorded(&event).await, 0);
    }
    let algorithm = Claim::asset_name(&account("alice"), AssetKind::Algorithm, "results");
    let other = Claim::asset_name(&account("bob"), AssetKind::Dataset, "results");
    let job = trial.idle_job();
    trial.submit_with(&job, vec![algorithm, other]).await;
}

/// What a job has claimed, no other caller can claim before the job has ended.
pub async fn a_job_keeps_its_claims_from_others(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let agreement = Claim::agreement("0x1");
    let job = trial.idle_job();
    trial.submit_with(&job, vec![agreement.clone()]).await;
    assert!(!claim(trial, &agreement).await);
    trial.stop_to_the_end(job.id).await;
    assert!(claim(trial, &agreement).await);
}
