//! The log is kept up to its limit and cannot affect a terminal.

use crate::runs::{Run as _, fixture};

const CONTRACT: &str = r#"{"maxLogBytes": 100000}"#;

#[test]
pub(crate) fn log_flood() {
    let ended = fixture("log_flood").with_file("--contract", CONTRACT).finish();
    ended.assert_succeeded();
    let log = &ended.report().log;
    assert_eq!((log.kept_bytes, log.dropped_bytes), (100_000, 1024 * 65_536 - 100_000));
    assert!(ended.log.starts_with(&[b'A'; 100_000]));
    assert_ne!(ended.log.get(100_000), Some(&b'A'));
    // Dropped bytes are not stored anywhere.
    assert!(ended.report().usage.peak_resident_bytes < 128 << 20, "{:?}", ended.report().usage);
    assert!(ended.stderr.len() < 300_000);
}

/// `finish` checks every byte that the program prints. The log file keeps the guest's bytes unchanged.
#[test]
pub(crate) fn log_escapes() {
    let ended = fixture("log_escapes").finish();
    ended.assert_succeeded();
    assert!(ended.log.starts_with(b"\x1b[2J\x1b]0;pwned\x07"));
    assert_eq!(ended.log.len(), 256);
    assert!(ended.stderr.contains(r"\u{1b}[2J"), "{}", ended.stderr);
    for option in ["--json", "--require-isolation"] {
        fixture("log_escapes").with(&[option]).finish().assert_succeeded();
    }
}
