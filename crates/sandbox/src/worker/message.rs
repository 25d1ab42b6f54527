//! The messages of a worker to its supervisor, and their parser.

use cloister_model::{Isolation, TrapKind, escape};
use serde::{Deserialize, Serialize};

/// The worker's messages, each one line of JSON. Once the guest has started, the supervisor cannot trust them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Message {
    /// Sent before the guest's first instruction: the state of each wall.
    Walls(Isolation),
    /// A wall is missing and the run required it. The guest was not started.
    NotIsolated,
    /// The guest has ended.
    End { end: End, guest_us: u64, peak_resident_bytes: Option<u64>, fuel: Option<u64> },
}

/// How the guest ended, according to the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum End {
    Returned,
    Exited(u32),
    Trapped(TrapKind),
    OutOfFuel,
    /// It could not start, because its declarations exceed a limit on the account.
    DoesNotFit,
    /// The author's archive is not as it should be. The guest was not started.
    BadArchive(String),
    /// It says something else of the functions that it imports than they are. The guest was not started.
    BadImports(String),
    /// There is no such file as its standard input is to be. The guest was not started.
    NoStdin(String),
    /// The host failed.
    Fault(String),
}

/// The last message of a worker.
#[derive(Debug)]
pub(crate) enum Last {
    Ending(Ending),
    NotIsolated,
}

/// How the guest ended, according to the worker.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) end: End,
    pub(crate) guest_us: u64,
    pub(crate) peak_resident_bytes: Option<u64>,
    pub(crate) fuel: Option<u64>,
}

/// Reads the messages of the worker. Once the guest has started, they may be false; at worst, the supervisor believes a
/// false statement about how the guest ended.
pub(crate) fn parse(result: &[u8]) -> (Option<Isolation>, Option<Last>) {
    let (mut walls, mut last) = (None, None);
    for line in result.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(Message::Walls(isolation)) if walls.is_none() => walls = Some(isolation),
            Ok(Message::NotIsolated) => last = Some(Last::NotIsolated),
            Ok(Message::End { end, guest_us, peak_resident_bytes, fuel }) => {
                let end = match end {
                    // The text may quote what the engine says of the guest.
                    End::Fault(text) => End::Fault(escape(text.as_bytes(), 500).to_string()),
                    End::BadImports(text) => End::BadImports(escape(text.as_bytes(), 500).to_string()),
                    End::NoStdin(text) => End::NoStdin(escape(text.as_bytes(), 500).to_string()),
                    End::BadArchive(text) => End::BadArchive(escape(text.as_bytes(), 200).to_string()),
                    other => other,
                };
                last = Some(Last::Ending(Ending { end, guest_us, peak_resident_bytes, fuel }));
            }
            Ok(Message::Walls(_)) | Err(_) => {}
        }
    }
    (walls, last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Wall, WallState};

    fn lines(messages: &[Message]) -> Vec<u8> {
        messages.iter().map(|message| serde_json::to_string(message).expect("JSON") + "\n").collect::<String>().into()
    }

    fn end(end: End) -> Message {
        Message::End { end, guest_us: 1, peak_resident_bytes: None, fuel: None }
    }

    #[test]
    fn the_first_walls_and_the_last_end_count() {
        let enforced = WallState::Enforced { detail: "ABI 7".to_owned() };
        let walls = Isolation([(Wall::Landlock, enforced)].into());
        let messages = [
            Message::Walls(walls.clone()),
            end(End::Exited(3)),
            Message::Walls(Isolation::default()),
            end(End::Returned),
        ];
        let (found, last) = parse(&lines(&messages));
        assert_eq!(found, Some(walls));
        assert!(matches!(last, Some(Last::Ending(Ending { end: End::Returned, .. }))), "{last:?}");
    }

    #[test]
    fn malformed_lines_are_ignored_and_text_is_escaped() {
        let mut bytes = b"not JSON\n\n{\"end\":{}}\n".to_vec();
        bytes.extend(lines(&[end(End::Fault("\u{1b}[2J".to_owned()))]));
        let (walls, last) = parse(&bytes);
        assert_eq!(walls, None);
        let Some(Last::Ending(Ending { end: End::Fault(text), .. })) = last else { panic!("{last:?}") };
        assert!(!text.contains('\u{1b}') && text.contains("[2J"), "{text}");
    }
}
