//! Following a job while it goes on: events, and its log.

use crate::scenario::Scenario;
use cloister_model::Phase;
use cloister_tests::service::{
    ENDLESS, NOTHING, PATIENCE, Service, Stream, Who, phase, printing, printing_for_ever, text,
};
use serde_json::Value;
use std::io::Read as _;

/// One event: its revision, and the job as it then was.
fn next(stream: &mut Stream) -> Option<(u64, Value)> {
    let fields = stream.event().expect("a stream of events")?;
    let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(field("event"), Some("job"), "{fields:?}");
    let job: Value = serde_json::from_str(field("data").expect("data")).expect("JSON");
    let id = field("id").and_then(|id| id.parse().ok()).expect("a revision");
    assert_eq!(job["revision"], id);
    Some((id, job))
}

fn all(mut stream: Stream) -> Vec<(u64, Value)> {
    std::iter::from_fn(|| next(&mut stream)).collect()
}

#[test]
fn events_come_in_order_and_the_stream_ends_with_the_job() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let job = text(&service.submit(carol, &scenario.raw_job(&dataset, NOTHING)), "id");
    let events = all(service.events(carol, &job));
    assert!(events.windows(2).all(|pair| pair[0].0 < pair[1].0), "revisions grow");
    let phases: Vec<Phase> = events.iter().map(|(_, job)| phase(job)).collect();
    assert!(phases.is_sorted(), "{phases:?}");
    assert_eq!(phases.last(), Some(&Phase::Finished), "{phases:?}");
    // Whatever was seen of it, the history is whole.
    let (last, ended) = events.last().expect("an event");
    let history: Vec<_> =
        ended["history"].as_array().expect("a history").iter().map(|step| text(step, "phase")).collect();
    assert_eq!(
        history,
        ["Queued", "Accepted", "Configuring", "Configured", "Running", "Filtering", "Publishing", "Finished"]
    );
    // Who comes late gets the end at once; who has seen the end is told not to come again.
    assert_eq!(all(service.events(carol, &job)).len(), 1);
    let request = service.request("GET", &format!("/v1/jobs/{job}/events")).by(carol);
    assert_eq!(request.clone().header("Last-Event-ID", &last.to_string()).send().status, 204);
    let seen_most = request.header("Last-Event-ID", &(last - 1).to_string()).open().expect("a stream");
    assert_eq!(all(seen_most).len(), 1);
}

#[test]
fn a_reconnecting_follower_continues_where_it_was() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let job = text(&service.submit(carol, &scenario.raw_job(&dataset, ENDLESS)), "id");
    let mut stream = service.events(carol, &job);
    let seen = loop {
        let (revision, job) = next(&mut stream).expect("an event");
        if phase(&job) == Phase::Running {
            break revision;
        }
    };
    drop(stream);
    let resumed = service.request("GET", &format!("/v1/jobs/{job}/events")).by(carol).patience(PATIENCE);
    let resumed = resumed.header("Last-Event-ID", &seen.to_string()).open().expect("a stream");
    let _ = service.post(carol, &format!("/v1/jobs/{job}/stop"), &Value::Null).expect(202);
    let events = all(resumed);
    assert!(events.iter().all(|(revision, _)| *revision > seen), "{events:?}");
    assert_eq!(phase(&events.last().expect("an event").1), Phase::Stopped);
}

#[test]
fn streams_end_when_the_service_does() {
    let mut scenario = Scenario::new();
    let dataset = scenario.service.open_dataset(&scenario.alice, "d");
    let job = text(&scenario.service.submit(&scenario.carol, &scenario.raw_job(&dataset, ENDLESS)), "id");
    let _ = scenario.service.job_in(&scenario.carol, &job, Phase::Running);
    let mut events = scenario.service.events(&scenario.carol, &job);
    let _ = next(&mut events);
    let mut log = log(&scenario.service, &scenario.carol, &job, "?follow=true");
    assert!(scenario.service.stop().success());
    while matches!(events.event(), Ok(Some(_))) {}
    drop(log.read_to_end(&mut Vec::new()));
    // What ran goes on, and is taken up by the next.
    scenario.service.restart();
    let _ = scenario.service.job_in(&scenario.carol, &job, Phase::Running);
    let _ = scenario.service.post(&scenario.carol, &format!("/v1/jobs/{job}/stop"), &Value::Null).expect(202);
    assert_eq!(phase(&scenario.service.ended(&scenario.carol, &job)), Phase::Stopped);
}

fn log(service: &Service, who: &Who, job: &str, query: &str) -> Stream {
    let request = service.request("GET", &format!("/v1/jobs/{job}/log{query}")).by(who).patience(PATIENCE);
    let stream = request.open().expect("a log");
    assert_eq!(stream.status, 200);
    stream
}

#[test]
fn a_log_can_be_read_while_it_grows() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let job = text(&service.submit(carol, &scenario.raw_job(&dataset, &printing_for_ever("line 1\nline 2\n"))), "id");
    let mut stream = log(service, carol, &job, "?follow=true");
    let mut beginning = [0; 14];
    stream.read_exact(&mut beginning).expect("the log so far");
    assert_eq!(&beginning, b"line 1\nline 2\n");
    let _ = service.post(carol, &format!("/v1/jobs/{job}/stop"), &Value::Null).expect(202);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the end of the log");
    assert_eq!(phase(&service.ended(carol, &job)), Phase::Stopped);
    let whole = service.get(carol, &format!("/v1/jobs/{job}/log")).expect(200);
    assert_eq!(whole.text(), "line 1\nline 2\n");
    assert_eq!(whole.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));
    let part = service.request("GET", &format!("/v1/jobs/{job}/log")).by(carol).header("Range", "bytes=7-");
    let part = part.send().expect(206);
    assert_eq!((part.text().as_str(), part.header("content-range")), ("line 2\n", Some("bytes 7-13/14")));
}

#[test]
fn a_log_with_terminal_escapes_is_sent_as_bytes_and_never_as_html() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let job = service.finish(carol, &scenario.raw_job(&dataset, &printing("<script>\u{1b}[2J")));
    let log = service.get(carol, &format!("/v1/jobs/{job}/log")).expect(200);
    assert_eq!(log.text(), "<script>\u{1b}[2J");
    assert_eq!(log.header("content-type"), Some("text/plain; charset=utf-8"));
    // And in no line of the service's own log.
    assert!(!service.logs().contains("\u{1b}[2J"));
}
