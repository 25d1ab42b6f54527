use super::{
    Client, ClientError,
    answer::{Job, read},
};
use futures_util::StreamExt as _;
use reqwest::{Method, header::ACCEPT};
use serde_json::Value;
use std::time::Duration;

/// Maximum size of one event, in bytes.
const MOST_EVENT: usize = 4 * 1024 * 1024;

/// How often the stream is reopened without having received an event in between.
const MOST_FAILURES: u32 = 8;

/// A server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Event {
    id: Option<String>,
    name: String,
    data: String,
}

/// Parses a stream of server-sent events, whatever the chunks are that it arrives in.
///
/// Written here because the crates for it (eventsource-stream, sse-stream) keep an event of any size in memory, and a
/// service that never ends an event must not exhaust ours.
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    event: Event,
    bytes: usize,
}

impl Parser {
    /// Adds bytes. Returns the events that they complete.
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, ClientError> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.bytes += 1;
                if self.bytes > MOST_EVENT {
                    return Err(ClientError::Unexpected("an event larger than 4 MiB".to_owned()));
                }
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                self.bytes = 0;
                let event = std::mem::take(&mut self.event);
                if !event.data.is_empty() {
                    events.push(event);
                }
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "id" => self.event.id = Some(value.to_owned()),
                "event" => value.clone_into(&mut self.event.name),
                "data" => {
                    if !self.event.data.is_empty() {
                        self.event.data.push('\n');
                    }
                    self.event.data.push_str(value);
                }
                // A comment, which keeps the connection open, or a field that is not needed here.
                _ => {}
            }
        }
        Ok(events)
    }
}

/// Follows a job until it has ended, and calls `seen` with each of its states. Reconnects when the connection breaks.
/// Returns the last state as it came.
///
/// # Errors
/// If the service stays unreachable, or refuses.
pub(crate) async fn follow_job(client: &Client, job: &str, mut seen: impl FnMut(&Job)) -> Result<Value, ClientError> {
    let (mut last, mut failures) = (None::<String>, 0_u32);
    loop {
        let outcome = follow_once(client, job, &mut last, &mut failures, &mut seen).await;
        match outcome {
            Ok(Some(job)) => return Ok(job),
            Ok(None) => {}
            Err(error) if error.is_passing() && failures < MOST_FAILURES => {}
            Err(error) => return Err(error),
        }
        failures += 1;
        if failures > MOST_FAILURES {
            return Err(ClientError::Broken("the stream of events keeps ending".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(200 << failures.min(5))).await;
    }
}

async fn follow_once(
    client: &Client,
    job: &str,
    last: &mut Option<String>,
    failures: &mut u32,
    seen: &mut impl FnMut(&Job),
) -> Result<Option<Value>, ClientError> {
    let mut request =
        client.request(Method::GET, &["v1", "jobs", job, "events"], &[])?.header(ACCEPT, "text/event-stream");
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last.as_str());
    }
    let mut stream = client.send(request).await?.bytes_stream();
    let mut parser = Parser::default();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| client.fault(&error))?;
        for event in parser.push(&chunk)? {
            if event.name != "job" {
                continue;
            }
            let state: Value = serde_json::from_str(&event.data)
                .map_err(|_| ClientError::Unexpected("an event that is not JSON".to_owned()))?;
            let job: Job = read(&state)?;
            *failures = 0;
            if event.id.is_some() {
                *last = event.id;
            }
            seen(&job);
            if job.ended.is_some() {
                return Ok(Some(state));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &[u8] =
        b": hello\n\nevent: job\nid: 3\ndata: {\"a\":\ndata: 1}\n\nevent: other\r\ndata:x\r\n\r\ndata: no";

    fn expected() -> Vec<Event> {
        let event = |id: Option<&str>, name: &str, data: &str| Event {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            data: data.to_owned(),
        };
        vec![event(Some("3"), "job", "{\"a\":\n1}"), event(None, "other", "x")]
    }

    #[test]
    fn events_end_with_an_empty_line() {
        assert_eq!(Parser::default().push(STREAM).expect("events"), expected());
    }

    #[test]
    fn an_event_that_never_ends_is_an_error() {
        let (mut parser, chunk) = (Parser::default(), vec![b'x'; 1024 * 1024]);
        assert!((0..5).any(|_| parser.push(&chunk).is_err()));
    }

    proptest! {
        #[test]
        fn chunks_do_not_change_the_events(cut in 0..STREAM.len(), other in 0..STREAM.len()) {
            let (first, second) = (cut.min(other), cut.max(other));
            let mut parser = Parser::default();
            let mut events = parser.push(&STREAM[..first]).expect("events");
            events.extend(parser.push(&STREAM[first..second]).expect("events"));
            events.extend(parser.push(&STREAM[second..]).expect("events"));
            prop_assert_eq!(events, expected());
        }

        #[test]
        fn any_bytes_are_accepted(bytes: Vec<u8>) {
            let _ = Parser::default().push(&bytes);
        }
    }
}
