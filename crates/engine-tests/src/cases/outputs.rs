//! `Outputs`: log, report and results. Receipts have a file of their own.

use crate::{Trial, trial::ALL};
use cloister_model::{AuditAction, ByteRange, EngineError, LogPart, LogScope, Outcome, Phase, ResultKind, ResultSet};
use cloister_testkit::{OWNER, account, guests, missing_upload};

/// Ranges of a text of four bytes, and what of it they hold.
const RANGES: [(u64, u32, &str); 8] = [
    (0, 4, "a,b\n"),
    (0, 2, "a,"),
    (2, 2, "b\n"),
    (2, 9, "b\n"),
    (0, 0, ""),
    (4, 4, ""),
    (5, 4, ""),
    (u64::MAX, u32::MAX, ""),
];

async fn log_part(trial: &Trial, job: cloister_model::JobId, range: ByteRange) -> LogPart {
    trial.engine().log(job, LogScope::Readable, range).await.expect("a log")
}

/// The log can be read while the algorithm runs, has a length, and says whether it will grow.
pub async fn a_log_has_a_length_and_an_end(trial: &mut Trial) {
    let job = trial.job(guests::ENDLESS).await;
    trial.submit(&job).await;
    trial.until_phase(job.id, Phase::Running).await;
    let printed = async || log_part(trial, job.id, ALL).await.total == 4;
    trial.eventually("the algorithm prints", printed).await;
    let running = log_part(trial, job.id, ALL).await;
    assert_eq!(running, LogPart { bytes: b"a,b\n".to_vec(), total: 4, ended: false });
    trial.stop_to_the_end(job.id).await;
    for _ in 0..2 {
        for (offset, at_most, text) in RANGES {
            let part = log_part(trial, job.id, ByteRange { offset, at_most }).await;
            let expected = LogPart { bytes: text.as_bytes().to_vec(), total: 4, ended: true };
            assert_eq!(part, expected, "{offset} {at_most}");
        }
        trial.restart().await;
    }
}

/// A job that has not begun has an empty log, which may grow.
pub async fn a_log_is_empty_before_the_algorithm_begins(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let job = trial.idle_job();
    trial.submit(&job).await;
    assert_eq!(log_part(trial, job.id, ALL).await, LogPart::default());
    trial.stop_to_the_end(job.id).await;
    assert_eq!(log_part(trial, job.id, ALL).await, LogPart { ended: true, ..LogPart::default() });
}

/// No more of a log can be read than the output contract lets out.
pub async fn a_log_is_no_longer_than_the_contract_allows(trial: &mut Trial) {
    let mut job = trial.job(guests::FAILS).await;
    job.terms.output_contract.max_log_bytes = 2;
    trial.run(&job).await;
    let part = log_part(trial, job.id, ALL).await;
    assert_eq!((part.bytes.as_slice(), part.total, part.ended), (b"a,".as_slice(), 2, true));
}

/// There is a report once the run has ended, and none before, nor for a job whose algorithm never ran.
pub async fn a_report_is_there_when_the_run_has_ended(trial: &mut Trial) {
    let endless = trial.job(guests::ENDLESS).await;
    trial.submit(&endless).await;
    trial.until_phase(endless.id, Phase::Running).await;
    assert_eq!(trial.engine().report(endless.id).await, Ok(None));
    trial.stop(endless.id).await;
    let fails = trial.job(guests::FAILS).await;
    trial.run(&fails).await;
    let mut missing = trial.idle_job();
    missing.algorithm.source = missing_upload();
    assert_eq!(trial.run(&missing).await.phase, Phase::AlgorithmProvisioningFailed);
    for _ in 0..2 {
        let report = trial.engine().report(fails.id).await.expect("asked").expect("a report");
        assert_eq!(report.outcome, Outcome::AlgorithmFailed { exit_code: 3 });
        assert_eq!(trial.engine().report(missing.id).await, Ok(None));
        trial.restart().await;
    }
}

/// A finished job has its outputs and its log as results, with sizes and digests that hold, in an order that stays.
pub async fn released_results_do_not_change(trial: &mut Trial) {
    let job = trial.job(guests::WRITES).await;
    assert_eq!(trial.run(&job).await.phase, Phase::Finished);
    let results = trial.engine().results(job.id, ResultSet::Released).await.expect("results");
    let kinds: Vec<_> = results.iter().map(|file| (file.name.as_str(), file.kind)).collect();
    assert_eq!(kinds, [("result.csv", ResultKind::Output), ("algorithm.log", ResultKind::AlgorithmLog)]);
    for _ in 0..2 {
        let files = trial.files(job.id, ResultSet::Released).await;
        assert_eq!(files.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["a,b\n", "a,b\n"]);
        assert_eq!(trial.engine().results(job.id, ResultSet::Released).await, Ok(results.clone()));
        assert_eq!(trial.engine().results(job.id, ResultSet::UnderReview).await, Ok(vec![]));
        trial.restart().await;
    }
}

/// A result is read in parts, and no result lies behind the last.
pub async fn results_are_read_in_parts(trial: &mut Trial) {
    let released = trial.job(guests::WRITES).await;
    trial.run(&released).await;
    let held = trial.job_for_review(guests::WRITES).await;
    trial.submit(&held).await;
    trial.until_phase(held.id, Phase::InReview).await;
    for (job, set, other) in [
        (released.id, ResultSet::Released, ResultSet::UnderReview),
        (held.id, ResultSet::UnderReview, ResultSet::Released),
    ] {
        for (offset, at_most, text) in RANGES {
            let bytes = trial.engine().read_result(job, set, 0, ByteRange { offset, at_most }).await;
            assert_eq!(bytes, Ok(text.as_bytes().to_vec()), "{offset} {at_most}");
        }
        for (set, index) in [(set, 2), (set, u32::MAX), (other, 0)] {
            let missing = EngineError::NoSuchResult { job, index };
            assert_eq!(trial.engine().read_result(job, set, index, ALL).await, Err(missing), "{set:?}");
        }
    }
}

/// The results of an account's jobs are added up, as long as the jobs are there.
pub async fn the_results_of_an_account_are_added_up(trial: &mut Trial) {
    assert_eq!(trial.engine().result_bytes(account(OWNER)).await, Ok(0));
    let (first, second) = (trial.job(guests::WRITES).await, trial.job(guests::WRITES).await);
    let mut expected = 0;
    for job in [&first, &second] {
        trial.run(job).await;
        let files = trial.engine().results(job.id, ResultSet::Released).await.expect("results");
        expected += files.iter().map(|file| file.bytes).sum::<u64>();
    }
    assert!(expected > 0);
    assert_eq!(trial.engine().result_bytes(account(OWNER)).await, Ok(expected));
    assert_eq!(trial.engine().result_bytes(account("eve")).await, Ok(0));
    trial.restart().await;
    trial.engine().remove(first.id, trial.event(AuditAction::JobRemoved)).await.expect("removed");
    assert_eq!(trial.engine().result_bytes(account(OWNER)).await, Ok(expected / 2));
}

/// A job that fails, or breaks a rule of its release, has no results.
pub async fn a_job_that_does_not_finish_has_no_results(trial: &mut Trial) {
    let fails = trial.job(guests::FAILS).await;
    let mut refused = trial.job(guests::WRITES).await;
    refused.terms.release.media_types = Some(["image/png".parse().expect("a media type")].into());
    for (job, phase) in [(fails, Phase::AlgorithmFailed), (refused, Phase::OutputRefused)] {
        assert_eq!(trial.run(&job).await.phase, phase);
        for set in [ResultSet::Released, ResultSet::UnderReview] {
            assert_eq!(trial.engine().results(job.id, set).await, Ok(vec![]));
            let missing = EngineError::NoSuchResult { job: job.id, index: 0 };
            assert_eq!(trial.engine().read_result(job.id, set, 0, ALL).await, Err(missing));
        }
    }
}

/// A log that a program must see first stays held if the program refuses the outputs.
pub async fn a_log_is_held_until_every_check_agrees(trial: &mut Trial) {
    for (check, text) in [(guests::TRIVIAL, "a,b\n"), (guests::FAILS, "")] {
        let sha256 = trial.upload_guest(check).await;
        let mut job = trial.job(guests::WRITES).await;
        job.terms.release.checks = vec![cloister_model::Check { name: "check".to_owned(), sha256 }];
        let phase = if text.is_empty() { Phase::OutputRefused } else { Phase::Finished };
        assert_eq!(trial.run(&job).await.phase, phase);
        let part = log_part(trial, job.id, ALL).await;
        assert_eq!((part.bytes.as_slice(), part.total), (text.as_bytes(), text.len() as u64));
    }
}
