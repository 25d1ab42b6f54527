//! `Jobs::review`, and what is held until then.

use crate::{
    Trial,
    trial::{ALL, reason},
};
use cloister_model::{
    Approval, AuditAction, AuditEvent, EngineError, JobSpec, LogPart, LogScope, Phase, Receipt, ResultSet, Review,
    ReviewVerdict,
};
use cloister_testkit::{account, guests};

fn written() -> Vec<(String, String)> {
    [("result.csv", "a,b\n"), ("algorithm.log", "a,b\n")].map(|(name, text)| (name.into(), text.into())).into()
}

async fn in_review(trial: &Trial) -> JobSpec {
    let job = trial.job_for_review(guests::WRITES).await;
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::InReview).await;
    job
}

/// Outputs and log wait for the reviewer, who alone can read the outputs. That survives a restart.
pub async fn outputs_and_log_wait_for_the_reviewer(trial: &mut Trial) {
    let job = in_review(trial).await;
    for _ in 0..2 {
        assert_eq!(trial.files(job.id, ResultSet::Released).await, []);
        assert_eq!(trial.files(job.id, ResultSet::UnderReview).await, written());
        let LogPart { bytes, total, .. } = trial.engine().log(job.id, LogScope::Readable, ALL).await.expect("a log");
        assert_eq!((bytes.as_slice(), total), (b"".as_slice(), 0), "the log is held with the outputs");
        assert_eq!(trial.status(job.id).await.review, None);
        trial.restart().await;
    }
}

/// An approval releases what was reviewed, and says who approved and when.
pub async fn an_approval_releases_what_was_reviewed(trial: &mut Trial) {
    let job = in_review(trial).await;
    let mut event = trial.event(AuditAction::Reviewed);
    event.actor = "bob".to_owned();
    let status = trial.engine().review(job.id, ReviewVerdict::Approve, event.clone()).await.expect("approved");
    let review = Some(Review { approved: true, by: account("bob"), at: event.at, first: None });
    assert_eq!(status.review, review);
    let status = trial.ended(job.id).await;
    assert_eq!((status.phase, status.review), (Phase::Finished, review));
    assert_eq!(trial.recorded(&event).await, 1);
    assert_eq!(trial.files(job.id, ResultSet::Released).await, written());
    assert_eq!(trial.files(job.id, ResultSet::UnderReview).await, []);
    assert_eq!(trial.log(job.id).await, "a,b\n");
}

/// A refusal ends the job with the reviewer's reason, and nothing leaves.
pub async fn a_refusal_lets_nothing_out(trial: &mut Trial) {
    let job = in_review(trial).await;
    let mut event = trial.event(AuditAction::Reviewed);
    event.actor = "bob".to_owned();
    let verdict = ReviewVerdict::Refuse("too fine".to_owned());
    trial.engine().review(job.id, verdict, event.clone()).await.expect("refused");
    let status = trial.ended(job.id).await;
    assert_eq!(status.phase, Phase::OutputRefused);
    assert_eq!(status.review, Some(Review { approved: false, by: account("bob"), at: event.at, first: None }));
    assert!(reason(&status).contains("too fine"), "{}", reason(&status));
    assert_eq!(trial.recorded(&event).await, 1);
    for set in [ResultSet::Released, ResultSet::UnderReview] {
        assert_eq!(trial.files(job.id, set).await, []);
    }
    assert_eq!(trial.log(job.id).await, "");
}

/// The first decision counts. A later one is an error and is not recorded.
pub async fn the_first_decision_counts(trial: &mut Trial) {
    for first in [ReviewVerdict::Approve, ReviewVerdict::Refuse("no".to_owned())] {
        let job = in_review(trial).await;
        trial.engine().review(job.id, first, trial.event(AuditAction::Reviewed)).await.expect("decided");
        for later in [ReviewVerdict::Approve, ReviewVerdict::Refuse("later".to_owned())] {
            let event = trial.event(AuditAction::Reviewed);
            let answer = trial.engine().review(job.id, later, event.clone()).await;
            assert_eq!(answer, Err(EngineError::NotInReview(job.id)));
            assert_eq!(trial.recorded(&event).await, 0);
        }
        let (before, review) = (trial.ended(job.id).await, trial.status(job.id).await.review);
        trial.restart().await;
        assert_eq!(trial.status(job.id).await, before);
        assert_eq!(before.review, review);
    }
}

/// Of an approval and a refusal at the same time, one counts, and the outputs follow it.
pub async fn of_two_decisions_at_once_one_counts(trial: &mut Trial) {
    let job = in_review(trial).await;
    let processes = trial.processes();
    let (one, other) = (processes.first().expect("one"), processes.last().expect("one"));
    let (yes, no) = (trial.event(AuditAction::Reviewed), trial.event(AuditAction::Reviewed));
    let (approved, refused) = tokio::join!(
        one.review(job.id, ReviewVerdict::Approve, yes.clone()),
        other.review(job.id, ReviewVerdict::Refuse("no".to_owned()), no.clone()),
    );
    assert_ne!(approved.is_ok(), refused.is_ok(), "{approved:?} {refused:?}");
    let records = (trial.recorded(&yes).await, trial.recorded(&no).await);
    assert_eq!(records, (usize::from(approved.is_ok()), usize::from(refused.is_ok())));
    let status = trial.ended(job.id).await;
    let expected = if approved.is_ok() { (Phase::Finished, true) } else { (Phase::OutputRefused, false) };
    assert_eq!((status.phase, status.review.map(|review| review.approved)), (expected.0, Some(expected.1)));
    assert_eq!(trial.files(job.id, ResultSet::Released).await.is_empty(), approved.is_err());
}

/// Where two accounts have to approve, the first approval is kept and releases nothing, also through a restart; the same account
/// does not count twice, and both stand in the status and in the receipt.
pub async fn two_accounts_approve_where_two_have_to(trial: &mut Trial) {
    let mut job = trial.job_for_review(guests::WRITES).await;
    job.terms.release.reviewers = [account("dora")].into();
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::InReview).await;
    let event = |by: &str| AuditEvent { actor: by.to_owned(), ..trial.event(AuditAction::Reviewed) };
    let [one, again, other] = ["bob", "bob", "dora"].map(event);
    let first = trial.engine().review(job.id, ReviewVerdict::Approve, one.clone()).await.expect("noted");
    let noted = Some(Review { approved: true, by: account("bob"), at: one.at, first: None });
    assert_eq!((first.phase, &first.review), (Phase::InReview, &noted));
    trial.restart().await;
    let answer = trial.engine().review(job.id, ReviewVerdict::Approve, again.clone()).await;
    assert_eq!(answer, Err(EngineError::AlreadyApproved(job.id)));
    let status = trial.status(job.id).await;
    assert_eq!((status.phase, &status.review), (Phase::InReview, &noted));
    assert_eq!(trial.files(job.id, ResultSet::Released).await, []);
    assert_eq!((trial.recorded(&one).await, trial.recorded(&again).await), (1, 0));

    trial.engine().review(job.id, ReviewVerdict::Approve, other.clone()).await.expect("approved");
    let status = trial.ended(job.id).await;
    let first = Some(Approval { by: account("bob"), at: one.at });
    let review = Some(Review { approved: true, by: account("dora"), at: other.at, first });
    assert_eq!((status.phase, &status.review), (Phase::Finished, &review));
    assert_eq!(trial.recorded(&other).await, 1);
    assert_eq!(trial.files(job.id, ResultSet::Released).await, written());
    let receipt = trial.engine().receipt(job.id).await.expect("asked").expect("a receipt");
    let facts: Receipt = serde_json::from_str(&receipt.text).expect("a receipt");
    assert_eq!(facts.review, review);
}

/// One refusal is enough, also after an approval.
pub async fn one_refusal_is_enough_where_two_have_to_approve(trial: &mut Trial) {
    let mut job = trial.job_for_review(guests::WRITES).await;
    job.terms.release.reviewers = [account("dora")].into();
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::InReview).await;
    let event = |by: &str| AuditEvent { actor: by.to_owned(), ..trial.event(AuditAction::Reviewed) };
    trial.engine().review(job.id, ReviewVerdict::Approve, event("bob")).await.expect("noted");
    trial.engine().review(job.id, ReviewVerdict::Refuse("no".to_owned()), event("bob")).await.expect("refused");
    let status = trial.ended(job.id).await;
    assert_eq!((status.phase, status.review.map(|review| review.approved)), (Phase::OutputRefused, Some(false)));
    assert_eq!(trial.files(job.id, ResultSet::Released).await, []);
}

/// Only a job in review can be reviewed.
pub async fn a_job_that_is_not_in_review_cannot_be_reviewed(trial: &mut Trial) {
    let running = trial.job_for_review(guests::ENDLESS).await;
    trial.submit(&running).await;
    trial.until_phase(running.id, Phase::Running).await;
    let ended = trial.job(guests::WRITES).await;
    trial.run(&ended).await;
    let missing = trial.idle_job();
    for (job, error) in [
        (running.id, EngineError::NotInReview(running.id)),
        (ended.id, EngineError::NotInReview(ended.id)),
        (missing.id, EngineError::NoSuchJob(missing.id)),
    ] {
        for verdict in [ReviewVerdict::Approve, ReviewVerdict::Refuse("no".to_owned())] {
            let event = trial.event(AuditAction::Reviewed);
            assert_eq!(trial.engine().review(job, verdict, event.clone()).await, Err(error.clone()));
            assert_eq!(trial.recorded(&event).await, 0);
        }
    }
    trial.stop(running.id).await;
    trial.ended(running.id).await;
    trial.start_no_jobs().await;
    let queued = trial.job_for_review(guests::WRITES).await;
    trial.submit(&queued).await;
    let answer = trial.engine().review(queued.id, ReviewVerdict::Approve, trial.event(AuditAction::Reviewed)).await;
    assert_eq!(answer, Err(EngineError::NotInReview(queued.id)));
}
