use super::{no, store};
use crate::{
    drive::Unrecorded,
    store::{Change, DbError, Durability, Store, Tally, Write, jobs},
    testing,
    testing::{at, job, report},
};
use cloister_lifecycle::NotApplied;
use cloister_model::{
    EngineError, Event, Fault, JobCursor, JobQuery, JobSpec, JobStatus, Labels, Phase, Progress, Reason,
};
use proptest::{collection::vec, prelude::*};
use std::{collections::BTreeSet, sync::Arc};

async fn insert(store: &Store, spec: &JobSpec) -> JobStatus {
    let spec = spec.clone();
    let put = move |write: &mut Write<'_>| Ok(jobs::insert(write, jobs::NewJob::of(&spec)?)?);
    store.write::<_, DbError, _>(Durability::Process, put).await.expect("stored")
}

async fn step(store: &Store, spec: &JobSpec, events: &'static [Event], ms: u64) -> Result<JobStatus, Unrecorded> {
    let job = spec.id;
    let reason = Reason::new("because", Fault::System);
    store.write(Durability::Process, move |write| testing::step(write, job, events, at(ms), Some(&reason))).await
}

/// Many jobs that name one large description hold it once, and it goes with the last of them.
#[tokio::test]
async fn a_text_that_many_jobs_name_is_stored_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = store(&directory.path().join("cloister.db"));
    let ddo = serde_json::json!({"id": "did:op:d", "text": "x".repeat(100_000)});
    let texts = |store: &Store| {
        let count = store.read(|db| Ok(db.query_row("SELECT count(*) FROM document", [], |row| row.get::<_, u64>(0))?));
        count.expect("a number")
    };
    let mut specs: Vec<JobSpec> = (0..5).map(job).collect();
    for spec in &mut specs {
        spec.inputs[0].ddo = Some(ddo.clone());
        insert(&store, spec).await;
        assert_eq!(store.read(|db| jobs::spec(db, spec.id)).expect("read").as_ref(), Some(&*spec));
        let bare = store.read(|db| jobs::spec_without_documents(db, spec.id)).expect("read").expect("a job");
        assert_eq!((&bare.inputs[0].ddo, bare.card()), (&None, spec.card()));
    }
    assert_eq!(texts(&store), 1);
    for spec in &specs {
        assert_eq!(texts(&store), 1);
        step(&store, spec, &[Event::Stop], 2000).await.expect("ended");
        let id = spec.id;
        let remove = move |write: &mut Write<'_>| Ok(jobs::remove(write, id)?);
        assert_eq!(store.write::<_, DbError, _>(Durability::Process, remove).await, Ok(Some(true)));
    }
    assert_eq!(texts(&store), 0);
}

#[tokio::test]
async fn a_job_goes_from_phase_to_phase_and_leaves_nothing_when_it_is_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, heard) = store(&directory.path().join("cloister.db"));
    let spec = JobSpec { created: at(1000), ..job(1) };
    insert(&store, &spec).await;
    assert_eq!(store.read(|db| jobs::spec(db, spec.id)).expect("read"), Some(spec.clone()));

    let id = spec.id;
    let remove = |store: Store| async move {
        let removed =
            store.write::<_, DbError, _>(Durability::Process, move |write| Ok(jobs::remove(write, id)?)).await;
        (store, removed.expect("asked"))
    };
    let (store, removed) = remove(store).await;
    assert_eq!(removed, Some(false));

    step(&store, &spec, &[Event::Accept, Event::Configure], 2000).await.expect("a step");
    // A clock that was set back turns no history round, and a failed chain of steps changes nothing.
    let error = step(&store, &spec, &[Event::Provisioned, Event::Passed], 1).await.expect_err("impossible");
    assert!(matches!(error, Unrecorded::NotApplied(NotApplied::Impossible(_))));
    let put =
        move |write: &mut Write<'_>| Ok(jobs::progress(write, id, Progress { done_bytes: 1, total_bytes: None })?);
    store.write::<_, DbError, _>(Durability::Process, put).await.expect("progress");
    let status = step(&store, &spec, &[Event::Provisioned, Event::Run], 1).await.expect("a step");
    assert_eq!((status.phase, status.changed, status.progress), (Phase::Running, at(2000), None));
    assert_eq!(status.revision, 6);

    let put = move |write: &mut Write<'_>| Ok(jobs::put_report(write, id, &report())?);
    store.write::<_, DbError, _>(Durability::Process, put).await.expect("a report");
    let ended = step(&store, &spec, &[Event::Failed], 3000).await.expect("a step");
    assert_eq!(ended.expires, Some(at(3000 + spec.times.keep_ms)));
    assert_eq!(store.read(|db| jobs::status(db, id)).expect("read"), Some(ended));
    assert_eq!(store.read(|db| jobs::next_expiry(db, at(3000))).expect("read"), Some(at(3000 + spec.times.keep_ms)));
    assert_eq!(store.read(|db| jobs::expired(db, at(3000), None, 9)).expect("read"), []);
    let expired = store.read(|db| jobs::expired(db, at(u64::MAX), None, 9)).expect("read");
    assert_eq!(expired.iter().map(|(_, job)| *job).collect::<Vec<_>>(), [id]);
    assert_eq!(store.read(|db| jobs::expired(db, at(u64::MAX), expired.last().copied(), 9)).expect("read"), []);
    assert_eq!(store.read(|db| jobs::next_expiry(db, at(3000 + spec.times.keep_ms))).expect("read"), None);

    let (store, removed) = remove(store).await;
    assert_eq!(removed, Some(true));
    assert_eq!(store.read(|db| jobs::gone(db, None, 9)).expect("read"), [id]);
    let rows = store.read(|db| {
        let mut rows = 0_i64;
        for table in ["job", "spec", "card", "label", "outgoing", "result", "report"] {
            rows += db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))?;
        }
        Ok(rows)
    });
    assert_eq!(rows.expect("counted"), 0);
    assert_eq!(store.read(|db| jobs::report(db, id)).expect("read"), None);
    let heard = heard.lock().expect("a lock");
    assert_eq!(heard.0, Tally::default());
    let phases: Vec<_> = heard.1.iter().map(|Change { before, after, .. }| (*before, *after)).collect();
    assert_eq!(phases.first(), Some(&(None, Some(Phase::Queued))));
    assert_eq!(phases.last(), Some(&(Some(Phase::AlgorithmFailed), None)));
}

#[tokio::test]
async fn a_job_that_was_asked_to_stop_takes_no_other_step() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = store(&directory.path().join("cloister.db"));
    let spec = job(1);
    insert(&store, &spec).await;
    step(&store, &spec, &[Event::Accept], 1).await.expect("a step");
    let id = spec.id;
    let ask = |ms| {
        store.write::<_, DbError, _>(Durability::Process, move |write| {
            let Some(before) = jobs::status(write.db, id)? else { return Ok(None) };
            Ok(jobs::ask_to_stop(write, &before, at(ms))?)
        })
    };
    let asked = ask(7).await.expect("asked").expect("a job");
    assert_eq!((asked.stop_requested, asked.revision), (Some(at(7)), 3));
    assert_eq!(ask(8).await.expect("asked"), None, "asked before");
    assert_eq!(step(&store, &spec, &[Event::Configure], 9).await, Err(Unrecorded::NotApplied(NotApplied::Stopping)));
    assert_eq!(step(&store, &spec, &[Event::Stop], 9).await.expect("a step").phase, Phase::Stopped);
    assert_eq!(ask(10).await.expect("asked"), None, "it has ended");
}

#[tokio::test]
async fn an_operation_that_fails_undoes_nothing_of_the_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, heard) = store(&directory.path().join("cloister.db"));
    let store = Arc::new(store);
    // All in one transaction, or a few: the writer takes what waits.
    let calls: Vec<_> = (0..200_u64)
        .map(|number| {
            let (store, spec) = (Arc::clone(&store), job(number));
            tokio::spawn(async move {
                let put = move |write: &mut Write<'_>| {
                    jobs::insert(write, jobs::NewJob::of(&spec)?)?;
                    assert_ne!(number % 10, 9, "an operation that breaks");
                    if number % 3 == 0 { Err(no("no")) } else { Ok(()) }
                };
                store.write::<(), EngineError, _>(Durability::Disk, put).await.is_ok()
            })
        })
        .collect();
    for (number, call) in (0..200_u64).zip(calls) {
        let expected = number % 10 != 9 && number % 3 != 0;
        assert_eq!(call.await.expect("no panic"), expected, "{number}");
        assert_eq!(store.read(|db| jobs::status(db, job(number).id)).expect("read").is_some(), expected, "{number}");
    }
    let kept = (0..200).filter(|number| number % 10 != 9 && number % 3 != 0).count();
    let heard = heard.lock().expect("a lock");
    assert_eq!((heard.0.of(Phase::Queued), heard.1.len()), (kept as u64, kept));
}

fn query(labels: &Labels, phases: Option<BTreeSet<Phase>>, at_most: u32) -> JobQuery {
    JobQuery { labels: labels.clone(), phases, after: None, at_most }
}

/// Every page, one after the other.
fn pages(store: &Store, query: &JobQuery) -> Vec<JobStatus> {
    let (mut all, mut query) = (Vec::new(), query.clone());
    loop {
        let page = store.read(|db| jobs::list(db, &query)).expect("a page");
        assert!(page.len() <= query.at_most as usize);
        let Some(last) = page.last() else { return all };
        query.after = Some(JobCursor { created: last.created, job: last.id });
        all.extend(page);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pages_together_are_the_list(
        jobs_at in vec((0_u64..5, 0_usize..3, 0_usize..3, 0_usize..4), 0..40),
        owner in proptest::option::of(0_usize..3),
        agreement in proptest::option::of(0_usize..3),
        phases in proptest::option::of(proptest::collection::btree_set(proptest::sample::select(
            vec![Phase::Queued, Phase::Accepted, Phase::Stopped, Phase::Expired, Phase::Finished]), 0..4)),
        at_most in 1_u32..7,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let directory = tempfile::tempdir().expect("a directory");
        let (store, _) = store(&directory.path().join("cloister.db"));
        let labels = |owner: Option<usize>, agreement: Option<usize>| {
            [("owner", owner), ("agreement", agreement)].into_iter().fold(Labels::new(), |labels, (name, value)| {
                match value {
                    Some(value) => labels.with(name, &format!("v{value}")).expect("a label"),
                    None => labels,
                }
            })
        };
        let mut all = Vec::new();
        for (number, (created, owner, agreement, way)) in (1..).zip(jobs_at) {
            let spec = JobSpec { created: at(created), labels: labels(Some(owner), Some(agreement)), ..job(number) };
            runtime.block_on(async {
                let status = insert(&store, &spec).await;
                let ways: [&'static [Event]; 4] = [&[], &[Event::Accept], &[Event::Stop], &[Event::Expire]];
                let events = ways[way];
                all.push(if events.is_empty() { status } else { step(&store, &spec, events, 9).await.expect("a step") });
            });
        }
        all.sort_by_key(|status| std::cmp::Reverse((status.created, status.id)));
        let wanted = labels(owner, agreement);
        let expected: Vec<_> = all
            .into_iter()
            .filter(|status| status.labels.matches(&wanted))
            .filter(|status| phases.as_ref().is_none_or(|phases| phases.contains(&status.phase)))
            .collect();
        prop_assert_eq!(pages(&store, &query(&wanted, phases, at_most)), expected);
    }
}

#[tokio::test]
async fn lists_are_ranges_of_an_index() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = store(&directory.path().join("cloister.db"));
    for (sql, index) in [
        (
            "SELECT status FROM label CROSS JOIN job USING (seq) WHERE name = 'a' AND value = 'b'
                AND (label.created, label.id) < (5, x'00') ORDER BY label.created DESC, label.id DESC",
            "SEARCH label USING PRIMARY KEY (name=? AND value=? AND (created,id)<(?,?))",
        ),
        (
            "SELECT status FROM job WHERE (created, id) < (5, x'00') ORDER BY created DESC, id DESC",
            "SEARCH job USING INDEX job_created ((created,id)<(?,?))",
        ),
        (
            "SELECT status FROM job WHERE phase = 1 AND (created, id) < (5, x'00') ORDER BY created DESC, id DESC",
            "SEARCH job USING INDEX job_phase (phase=? AND (created,id)<(?,?))",
        ),
        ("SELECT min(expires) FROM job WHERE expires IS NOT NULL", "job_expires"),
        (
            "SELECT asset FROM asset WHERE kind = 1 AND did > '' AND withdrawn IS NULL ORDER BY did LIMIT 3",
            "USING INDEX asset_kind (kind=? AND did>?)",
        ),
    ] {
        let plan: Vec<String> = store
            .read(|db| {
                let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let rows = plan.query_map([], |row| row.get(3))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .expect("a plan");
        let plan = plan.join("; ");
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}
