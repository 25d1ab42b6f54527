//! Whatever a worker writes, its supervisor reads at most one statement about the walls and one about the end, and no
//! text that could affect a terminal.

#![no_main]

// The module by itself: the whole sandbox would bring a compiler along, to be compiled with coverage.
#[path = "../../crates/sandbox/src/worker/message.rs"]
mod message;

use libfuzzer_sys::fuzz_target;
use message::{End, Ending, Last, Message, parse};

fuzz_target!(|bytes: &[u8]| {
    let (walls, last) = parse(bytes);
    if let Some(Last::Ending(Ending { end: End::Fault(text), .. })) = &last {
        // 500 characters, each escaped to at most 10, and a mark where the text was cut.
        assert!(text.len() <= 500 * 10 + 10, "{} bytes", text.len());
        assert!(text.chars().all(|character| !character.is_control()), "{text:?}");
    }
    // A later statement about the walls does not replace the first.
    if let Some(walls) = walls {
        let mut more = bytes.to_vec();
        more.push(b'\n');
        more.extend(serde_json::to_vec(&Message::Walls(Default::default())).expect("JSON"));
        assert_eq!(parse(&more).0, Some(walls));
    }
    // The last statement about the end is the one that counts.
    let mut more = bytes.to_vec();
    more.push(b'\n');
    let end = Message::End { end: End::Exited(7), guest_us: 1, peak_resident_bytes: None, fuel: Some(2) };
    more.extend(serde_json::to_vec(&end).expect("JSON"));
    assert!(matches!(
        parse(&more).1,
        Some(Last::Ending(Ending { end: End::Exited(7), guest_us: 1, peak_resident_bytes: None, fuel: Some(2) }))
    ));
});
