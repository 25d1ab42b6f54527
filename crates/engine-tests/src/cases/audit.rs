//! `AuditLog`: the chain of records.

use crate::Trial;
use cloister_model::{Archived, AuditAction, AuditEvent, AuditRecord, Phase, Sha256, StoreError};
use cloister_testkit::guests;

/// Fails unless these are all records from the first on, each following from the one before.
fn is_a_chain(records: &[AuditRecord]) {
    let mut last = None;
    for record in records {
        record.verify(last).expect("a chain");
        last = Some((record.sequence, record.hash));
    }
}

/// Records are a chain from the first on, in the order of their events, and the next process continues it.
pub async fn records_are_a_chain_across_restarts(trial: &mut Trial) {
    assert_eq!(trial.records().await, []);
    let mut expected: Vec<AuditEvent> = Vec::new();
    for round in 0..3 {
        let events: Vec<_> = (0..round + 1).map(|_| trial.event(AuditAction::ResultDownloaded)).collect();
        trial.engine().record(events.clone()).await.expect("on record");
        expected.extend(events);
        for _ in 0..2 {
            let records = trial.records().await;
            is_a_chain(&records);
            assert_eq!(records.into_iter().map(|record| record.event).collect::<Vec<_>>(), expected);
            trial.restart().await;
        }
    }
}

/// An event is kept letter for letter.
pub async fn an_event_is_kept_letter_for_letter(trial: &mut Trial) {
    let details = ["{ \"b\" : 1.50, \"a\":\"\\u00e9\" }", "", "\"'\u{0}\u{1b}[31m\n", "é😀"];
    for detail in details {
        let event = AuditEvent { detail: detail.to_owned(), ..trial.event(AuditAction::JobDenied) };
        trial.engine().record(vec![event.clone()]).await.expect("on record");
        trial.restart().await;
        assert_eq!(trial.records().await.last().map(|record| &record.event), Some(&event));
    }
    is_a_chain(&trial.records().await);
}

/// Records are read from any place on, and no more than were asked for.
pub async fn records_are_read_page_after_page(trial: &mut Trial) {
    let events: Vec<_> = (0..7).map(|_| trial.event(AuditAction::FileDownloaded)).collect();
    trial.engine().record(events).await.expect("on record");
    for (after, at_most, expected) in [
        (0, 100, vec![1, 2, 3, 4, 5, 6, 7]),
        (0, 2, vec![1, 2]),
        (2, 2, vec![3, 4]),
        (6, 2, vec![7]),
        (7, 2, vec![]),
        (u64::MAX / 2, 2, vec![]),
        (0, 0, vec![]),
    ] {
        let records = trial.engine().records(after, at_most).await.expect("records");
        assert_eq!(records.iter().map(|record| record.sequence).collect::<Vec<_>>(), expected, "{after} {at_most}");
    }
}

/// Many writers at the same time, in all processes, make one chain that holds every event once.
pub async fn many_writers_make_one_chain(trial: &mut Trial) {
    let mut tasks = Vec::new();
    for engine in trial.processes().into_iter().cycle().take(16) {
        let events = vec![trial.event(AuditAction::ResultDownloaded), trial.event(AuditAction::ResultDownloaded)];
        tasks.push(tokio::spawn(async move {
            engine.record(events.clone()).await.expect("on record");
            events
        }));
    }
    let mut expected = Vec::new();
    for task in tasks {
        expected.push(task.await.expect("no panic"));
    }
    let records = trial.records().await;
    is_a_chain(&records);
    assert_eq!(records.len(), 32);
    for pair in expected {
        let place = |event: &AuditEvent| records.iter().position(|record| record.event == *event).expect("on record");
        assert!(pair.windows(2).all(|pair| place(&pair[0]) < place(&pair[1])), "events of one call lost their order");
    }
}

/// What was archived leaves the log, at its beginning only; that it was archived is on record, and what is left is one chain. A place
/// or a hash that the log does not have changes nothing.
pub async fn what_is_archived_leaves_the_log_and_the_rest_is_one_chain(trial: &mut Trial) {
    // One call each: an engine may keep the records of one call together.
    for _ in 0..6 {
        let event = trial.event(AuditAction::ResultDownloaded);
        trial.engine().record(vec![event]).await.expect("on record");
    }
    let before = trial.records().await;
    let archive = async |trial: &Trial, through: u64, hash: Sha256| {
        let archived = Archived { through, hash };
        let detail = serde_json::to_string(&archived).expect("json");
        let event = AuditEvent { detail, ..trial.event(AuditAction::AuditArchived) };
        trial.engine().archive(archived, event).await
    };
    for (through, hash) in [(4, before[2].hash), (7, before[5].hash), (0, before[0].hash)] {
        assert_eq!(archive(trial, through, hash).await, Err(StoreError::Missing), "{through}");
    }
    assert_eq!(trial.records().await, before);
    assert_eq!(archive(trial, 4, before[3].hash).await, Ok(()));
    for _ in 0..2 {
        for process in trial.processes() {
            let left = process.records(0, 100).await.expect("records");
            assert_eq!(left.iter().map(|record| record.sequence).collect::<Vec<_>>(), [5, 6, 7]);
            let mut last = Some((4, before[3].hash));
            for record in &left {
                record.verify(last).expect("a chain");
                last = Some((record.sequence, record.hash));
            }
            let said = left.last().and_then(Archived::of);
            assert_eq!(said, Some(Archived { through: 4, hash: before[3].hash }));
            assert_eq!(process.records(2, 1).await.expect("records"), left[..1]);
        }
        trial.restart().await;
    }
    assert_eq!(archive(trial, 2, before[1].hash).await, Err(StoreError::Missing), "it is gone");
    // The chain goes on, and what was archived twice is taken out once more.
    for process in trial.processes() {
        process.record(vec![trial.event(AuditAction::ResultDownloaded)]).await.expect("on record");
    }
    let left = trial.engine().records(0, 100).await.expect("records");
    assert_eq!(archive(trial, 7, left[2].hash).await, Ok(()));
    let rest = trial.engine().records(0, 100).await.expect("records");
    assert_eq!(rest.first().map(|record| (record.sequence, record.previous)), Some((8, left[2].hash)));
}

/// The engine itself records what it releases and what it keeps back, once for each job.
pub async fn releases_and_refusals_are_on_record(trial: &mut Trial) {
    let finishes = trial.job(guests::WRITES).await;
    let mut refused = trial.job(guests::WRITES).await;
    refused.terms.release.media_types = Some(["image/png".parse().expect("a media type")].into());
    let fails = trial.job(guests::FAILS).await;
    for (job, phase) in
        [(&finishes, Phase::Finished), (&refused, Phase::OutputRefused), (&fails, Phase::AlgorithmFailed)]
    {
        assert_eq!(trial.run(job).await.phase, phase);
    }
    let count = |records: &[AuditRecord], action, job: cloister_model::JobId| {
        let about = |record: &&AuditRecord| record.event.action == action && record.event.subject == job.to_string();
        records.iter().filter(about).count()
    };
    // Another process may do it.
    trial
        .eventually("both are on record", async || {
            let records = trial.records().await;
            count(&records, AuditAction::Released, finishes.id) > 0
                && count(&records, AuditAction::ReleaseRefused, refused.id) > 0
        })
        .await;
    for _ in 0..2 {
        let records = trial.records().await;
        is_a_chain(&records);
        for (job, released, kept) in [(finishes.id, 1, 0), (refused.id, 0, 1), (fails.id, 0, 0)] {
            let count = |action| count(&records, action, job);
            let counts = (count(AuditAction::Released), count(AuditAction::ReleaseRefused));
            assert_eq!(counts, (released, kept));
        }
        trial.restart().await;
    }
}
