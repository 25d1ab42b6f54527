//! Any path of a guest is either refused, or becomes segments that name nothing but entries of a directory and `..`.

#![no_main]

// The two modules by themselves: the whole sandbox would bring a compiler along, to be compiled with coverage.
#[allow(dead_code, reason = "the file layer uses the rest")]
#[path = "../../crates/sandbox/src/fs/errno.rs"]
mod errno;
#[path = "../../crates/sandbox/src/fs/path.rs"]
mod path;

use errno::Errno;
use libfuzzer_sys::fuzz_target;
use path::GuestPath;

fuzz_target!(|bytes: &[u8]| match GuestPath::parse(bytes) {
    Ok(parsed) => {
        let text = std::str::from_utf8(bytes).expect("only UTF-8 is accepted");
        assert!(!text.is_empty() && !text.starts_with('/') && text.len() <= 4096);
        for segment in &parsed.segments {
            assert!(!segment.is_empty() && *segment != "." && segment.len() <= 255);
            assert!(!segment.contains(['/', '\0']));
        }
        // The segments, written as a path, are the same path.
        let mut again = parsed.segments.join("/");
        if parsed.must_be_directory {
            again.push_str(if again.is_empty() { "." } else { "/" });
        }
        assert_eq!(GuestPath::parse(again.as_bytes()), Ok(parsed));
    }
    Err(errno) => {
        let expected = match std::str::from_utf8(bytes) {
            _ if bytes.len() > 4096 => Errno::NameTooLong,
            Err(_) => Errno::IllegalByteSequence,
            Ok("") => Errno::NoEntry,
            Ok(text) if text.starts_with('/') => Errno::NotPermitted,
            Ok(text) if text.contains('\0') => Errno::Invalid,
            Ok(_) => Errno::NameTooLong,
        };
        assert_eq!(errno, expected);
    }
});
