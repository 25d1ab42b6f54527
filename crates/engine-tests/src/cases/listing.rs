//! `Jobs::list`.

use crate::Trial;
use cloister_model::{JobCursor, JobId, JobQuery, JobSpec, Labels, Phase, Timestamp};
use cloister_testkit::labels;

fn labelled(trial: &Trial, created: u64, pairs: &[(&str, &str)]) -> JobSpec {
    JobSpec { created: Timestamp::from_unix_ms(created), labels: labels(pairs), ..trial.idle_job() }
}

fn with(labels: Labels) -> JobQuery {
    JobQuery { labels, at_most: 100, ..JobQuery::default() }
}

/// The newest job comes first. Among jobs of the same moment the order is that of their cursors.
pub async fn the_newest_job_comes_first(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let start = trial.now().unix_ms();
    let mut places = Vec::new();
    // Not in the order of their moments, and three of one moment.
    for offset in [3, 1, 2, 2, 2, 5, 4] {
        let job = labelled(trial, start + offset, &[]);
        trial.submit(&job).await;
        places.push(JobCursor { created: job.created, job: job.id });
    }
    places.sort_by(|one, other| other.cmp(one));
    let expected: Vec<JobId> = places.iter().map(|place| place.job).collect();
    for _ in 0..2 {
        assert_eq!(trial.all_jobs().await, expected);
        trial.restart().await;
    }
}

/// Page after page gives every job once, whatever the size of a page, and a cursor whose job is gone is a place all the
/// same.
pub async fn pages_give_every_job_once(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let start = trial.now().unix_ms();
    for offset in [1, 1, 1, 2, 3, 3, 4] {
        trial.submit(&labelled(trial, start + offset, &[])).await;
    }
    let all = trial.all_jobs().await;
    assert_eq!(all.len(), 7);
    for at_most in 1..=8 {
        let (mut after, mut found) = (None, Vec::new());
        loop {
            let query = JobQuery { after, at_most, ..JobQuery::default() };
            let page = trial.engine().list(query).await.expect("a list");
            assert!(page.len() <= usize::try_from(at_most).expect("a number"), "more jobs than were asked for");
            let Some(last) = page.last() else { break };
            after = Some(JobCursor { created: last.created, job: last.id });
            found.extend(page.iter().map(|status| status.id));
        }
        assert_eq!(found, all, "{at_most} at a time");
    }
    let gone = JobCursor { created: Timestamp::from_unix_ms(start + 2), job: JobId::from_bytes([0; 16]) };
    let query = JobQuery { after: Some(gone), at_most: 100, ..JobQuery::default() };
    assert_eq!(trial.listed(query).await, all[all.len() - 3..]);
}

/// A job is listed if it has all the labels that were asked for.
pub async fn all_labels_of_a_query_must_be_there(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let start = trial.now().unix_ms();
    let long = "v".repeat(256);
    let first = labelled(trial, start, &[("owner", "alice"), ("agreement", "0x1")]);
    let second = labelled(trial, start + 1, &[("owner", "alice"), ("agreement", &long)]);
    let third = labelled(trial, start + 2, &[("owner", "bob"), ("agreement", "0x1")]);
    for job in [&first, &second, &third] {
        trial.submit(job).await;
    }
    for (pairs, expected) in [
        (vec![], vec![third.id, second.id, first.id]),
        (vec![("owner", "alice")], vec![second.id, first.id]),
        (vec![("agreement", "0x1")], vec![third.id, first.id]),
        (vec![("owner", "alice"), ("agreement", "0x1")], vec![first.id]),
        (vec![("agreement", long.as_str())], vec![second.id]),
        (vec![("owner", "al")], vec![]),
        (vec![("owner", "ALICE")], vec![]),
        (vec![("agreement", "alice")], vec![]),
        (vec![("other", "alice")], vec![]),
    ] {
        assert_eq!(trial.listed(with(labels(&pairs))).await, expected, "{pairs:?}");
    }
    // With the cursor, too.
    let after = Some(JobCursor { created: second.created, job: second.id });
    let query = JobQuery { after, ..with(labels(&[("owner", "alice")])) };
    assert_eq!(trial.listed(query).await, [first.id]);
    // What is listed is the status.
    let listed = trial.engine().list(with(labels(&[("owner", "bob")]))).await.expect("a list");
    assert_eq!(listed, [trial.status(third.id).await]);
}

/// A job is listed by the phase that it is in now.
pub async fn phases_select_jobs(trial: &mut Trial) {
    trial.start_no_jobs().await;
    let start = trial.now().unix_ms();
    let (stopped, queued) = (labelled(trial, start, &[]), labelled(trial, start + 1, &[]));
    for job in [&stopped, &queued] {
        trial.submit(job).await;
    }
    trial.stop_to_the_end(stopped.id).await;
    for (phases, expected) in [
        (vec![Phase::Queued], vec![queued.id]),
        (vec![Phase::Stopped], vec![stopped.id]),
        (vec![Phase::Stopped, Phase::Queued], vec![queued.id, stopped.id]),
        (vec![Phase::Running, Phase::Finished], vec![]),
        (vec![], vec![]),
    ] {
        let some = Some(phases.iter().copied().collect());
        let query = JobQuery { phases: some, at_most: 100, ..JobQuery::default() };
        assert_eq!(trial.listed(query).await, expected, "{phases:?}");
    }
}

/// No job is listed if none was asked for.
pub async fn no_more_jobs_are_listed_than_were_asked_for(trial: &mut Trial) {
    trial.start_no_jobs().await;
    trial.submit(&trial.idle_job()).await;
    assert_eq!(trial.listed(JobQuery::default()).await, []);
}
