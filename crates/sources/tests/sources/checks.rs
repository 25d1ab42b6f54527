//! A look at sources before a job needs them.

use crate::{
    place::{Place, digest, files, policy},
    server::{Answer, Part, Server},
};
use cloister_files::Watch;
use cloister_model::{Account, SourceOutcome, StoreError};
use cloister_sources::{
    SourcePolicy,
    inspect::{Inspecting, Runner},
};
use serde_json::{Value, json};
use std::{fs, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const LONG: Duration = Duration::from_secs(60);

/// What checks run in.
struct Inspector {
    inspecting: Inspecting,
    tasks: TaskTracker,
    ending: CancellationToken,
}

impl Inspector {
    fn at(place: &Place) -> Self {
        let inspecting = Inspecting::new(Arc::clone(&place.fetcher));
        Self { inspecting, tasks: TaskTracker::new(), ending: CancellationToken::new() }
    }

    async fn check(&self, sources: Value, patience: Duration) -> Result<Option<Vec<SourceOutcome>>, StoreError> {
        let account: Account = "alice".parse().expect("an account");
        let runner = Runner { tasks: &self.tasks, ending: &self.ending };
        let found = self.inspecting.check(account, files(sources), patience, runner).await?;
        Ok(found.map(|found| found.into_iter().map(|check| check.outcome).collect()))
    }

    async fn one(&self, source: Value) -> SourceOutcome {
        self.check(json!([source]), LONG).await.expect("a check").expect("an end").remove(0)
    }
}

#[track_caller]
fn failed(outcome: SourceOutcome, part: &str) {
    match outcome {
        SourceOutcome::Failed(text) => assert!(text.contains(part) && !text.contains("SECRET"), "{part}: {text}"),
        found => unreachable!("{part}: {found:?}"),
    }
}

#[tokio::test]
async fn each_kind_of_source_is_checked() {
    let server = Server::start(|request, _| match request.target.split('?').next().unwrap_or_default() {
        "/small" => Answer::ok(b"a,b\n"),
        // As much as nobody reads for a look.
        "/large" => Answer {
            head: format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", 3_u64 << 30),
            parts: vec![Part::Zeros(1 << 20), Part::Stall],
        },
        "/cut" => Answer::new("200 OK", &[("Content-Length", "9".to_owned())], b"a,b\n"),
        "/away" => Answer::new("503 Service Unavailable", &[], b""),
        "/elsewhere" => Answer::redirect("302 Found", "http://169.254.169.254/SECRET"),
        _ => Answer::new("404 Not Found", &[], b""),
    })
    .await;
    let home = tempfile::tempdir().expect("a folder");
    let shared = home.path().join("shared");
    fs::create_dir(&shared).expect("made");
    fs::write(shared.join("d.csv"), "x\n1\n").expect("written");
    let place = Place::at(home, |_| SourcePolicy { local_roots: vec![shared.clone()], ..policy() });
    let inspector = Inspector::at(&place);
    let found = |bytes, sha256| SourceOutcome::Found { bytes: Some(bytes), sha256 };
    let url = |path: &str| json!({"type": "url", "url": server.url(&format!("{path}?SECRET"))});
    let with = |mut source: Value, name: &str, value: Value| {
        source[name] = value;
        source
    };
    let small = digest(b"a,b\n");
    assert_eq!(inspector.one(url("/small")).await, found(4, None));
    let agreed = |source: Value, sha256: String| with(source, "sha256", json!(sha256));
    assert_eq!(inspector.one(agreed(url("/small"), small.sha256.to_string())).await, found(4, Some(small.sha256)));
    failed(inspector.one(agreed(url("/small"), "0".repeat(64))).await, "not the agreed content");
    failed(inspector.one(with(url("/small"), "bytes", json!(5))).await, "5 bytes are expected, the source has 4");
    // Its first bytes are enough, whatever digest was agreed.
    assert_eq!(inspector.one(agreed(url("/large"), "0".repeat(64))).await, found(3 << 30, None));
    failed(inspector.one(url("/none")).await, "it answered 404");
    failed(inspector.one(url("/away")).await, "it answered 503");
    failed(inspector.one(url("/elsewhere")).await, "not allowed here");
    failed(inspector.one(agreed(url("/cut"), "0".repeat(64))).await, "the connection was cut");
    failed(inspector.one(json!({"type": "url", "url": "http://127.0.0.1:1/SECRET"})).await, "connection refused");

    let local = |name: &str| json!({"type": "local", "path": shared.join(name)});
    assert_eq!(inspector.one(local("d.csv")).await, found(4, None));
    let digest_of = digest(b"x\n1\n").sha256;
    assert_eq!(inspector.one(agreed(local("d.csv"), digest_of.to_string())).await, found(4, Some(digest_of)));
    failed(inspector.one(agreed(local("d.csv"), "0".repeat(64))).await, "not the agreed content");
    failed(inspector.one(local("e.csv")).await, "there is no such file");
    failed(inspector.one(json!({"type": "local", "path": "/etc/passwd"})).await, "not allowed here");
    failed(inspector.one(json!({"type": "upload", "sha256": "0".repeat(64)})).await, "no such upload");
    failed(inspector.one(json!({"type": "result", "job": "0".repeat(32), "index": 0})).await, "no such result");

    // Each was asked once, and nothing of it was kept.
    assert_eq!(server.asked().iter().filter(|request| request.target.starts_with("/away")).count(), 1);
    assert_eq!(place.cache.bytes(), 0);
    place.nothing_left().await;
}

#[tokio::test]
async fn a_check_goes_on_and_keeps_no_fetch_and_no_other_check_from_the_account() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/good" => Answer::ok(b"a,b\n"),
        _ => Answer { head: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n".to_owned(), parts: vec![Part::Stall] },
    })
    .await;
    // However long this test takes, these checks do not end before it.
    let (idle_timeout, deadline) = (Duration::from_secs(3600), Duration::from_secs(3600));
    let place = Place::with(SourcePolicy { idle_timeout, deadline, ..policy() });
    let inspector = Inspector::at(&place);
    let slow = |n: usize| json!([{"type": "url", "url": server.url(&format!("/{n}"))}]);
    let mut under_way = 0;
    for _ in 0..2 {
        for n in 0..4 {
            assert_eq!(
                inspector.check(slow(n), Duration::ZERO).await,
                Ok(None),
                "asking again continues the same check"
            );
        }
    }
    while under_way < 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        under_way = server.asked().len();
    }
    assert_eq!(under_way, 4, "each source was asked once");
    assert!(matches!(inspector.check(slow(4), Duration::ZERO).await, Err(StoreError::Full(_))));
    let good = files(json!([{"type": "url", "url": server.url("/good")}]));
    let fetched = place.fetcher.fetch(&good, &Watch::unwatched()).await;
    assert_eq!(fetched, Ok(vec![digest(b"a,b\n")]));
    let runner = Runner { tasks: &inspector.tasks, ending: &inspector.ending };
    let bob: Account = "bob".parse().expect("an account");
    let others = inspector.inspecting.check(bob, good, LONG, runner).await.expect("not full");
    assert!(others.is_some_and(|checks| matches!(checks[0].outcome, SourceOutcome::Found { .. })));
    inspector.ending.cancel();
    inspector.tasks.close();
    inspector.tasks.wait().await;
}

#[tokio::test]
async fn a_source_that_stays_silent_fails() {
    let server = Server::start(|_, _| Answer {
        head: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n".to_owned(),
        parts: vec![Part::Stall],
    })
    .await;
    let place = Place::with(SourcePolicy { idle_timeout: Duration::from_millis(300), ..policy() });
    let outcome = Inspector::at(&place).one(json!({"type": "url", "url": server.url("/")})).await;
    assert!(matches!(outcome, SourceOutcome::Failed(_)), "{outcome:?}");
}

#[tokio::test]
async fn of_very_many_sources_some_are_checked() {
    let place = Place::with(policy());
    let inspector = Inspector::at(&place);
    let all: Vec<_> = (0..130).map(|n| json!({"type": "inline", "content": n.to_string()})).collect();
    let found = inspector.check(json!(all), LONG).await.expect("a check").expect("an end");
    assert_eq!(found.len(), 130);
    let skipped: Vec<_> = found.iter().map(|outcome| *outcome == SourceOutcome::Skipped).collect();
    assert_eq!(skipped.iter().filter(|skipped| **skipped).count(), 30);
    assert!(skipped[..100].iter().all(|skipped| !skipped));
}
