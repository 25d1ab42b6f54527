//! The output contract is enforced to the byte, and a run that exceeds it does not succeed.

use crate::{
    runs::{Run as _, assert_limit, assert_outputs, fixture, outputs},
    script::{APPEND, CREATE, ROOT, Script, TRUNCATE, WRITE, errno::*},
};
use cloister_model::{Limit, Outcome};
use cloister_tests::{Ended, Trial};

fn contract(text: &'static str) -> impl FnOnce(Trial) -> Trial {
    move |trial| trial.with_file("--contract", text)
}

const THOUSAND: &str = r#"{"maxBytes": 1000}"#;

/// Asserts that this limit was exceeded.
#[track_caller]
fn assert_met(ended: &Ended, limit: Limit, most: u64) {
    assert_limit(ended, limit);
    assert!(matches!(ended.outcome(), Outcome::LimitExceeded { allowed, .. } if *allowed == most));
}

#[test]
pub(crate) fn output_flood() {
    let ended = fixture("output_flood").with_file("--contract", r#"{"maxBytes": 1000000}"#).finish();
    assert_met(&ended, Limit::OutputBytes, 1_000_000);
    let sizes: Vec<usize> = outputs(&ended).into_values().map(|content| content.len()).collect();
    assert_eq!(sizes, [1_000_000 / 65_536 * 65_536]);
}

#[test]
pub(crate) fn output_flood_files() {
    let ended = fixture("output_flood_files").with_file("--contract", r#"{"maxFiles": 50}"#).finish();
    assert_met(&ended, Limit::OutputFiles, 50);
    assert_eq!(outputs(&ended).len(), 50);
}

#[test]
pub(crate) fn output_flood_directories() {
    let ended = fixture("output_flood_directories").with_file("--contract", r#"{"maxDirectories": 50}"#).finish();
    assert_met(&ended, Limit::OutputDirectories, 50);
    // They hold no file, so none stays.
    assert_eq!(ended.report().output_directories, 0);
}

#[test]
fn exactly_the_budget_is_allowed() {
    let mut script = Script::default();
    let file = script.create(OK, "a");
    script.write_zeros(OK, file, 600);
    let other = script.create(OK, "b");
    script.write_zeros(OK, other, 400);
    script.write_zeros(OK, other, 0);
    let ended = script.run(contract(THOUSAND));
    ended.assert_succeeded();
    assert_outputs(&ended, &[("a", &[0; 600]), ("b", &[0; 400])]);
}

#[test]
fn one_byte_more_is_refused_and_not_written() {
    let mut script = Script::default();
    let file = script.create(OK, "a");
    script.write_zeros(OK, file, 999);
    // A write does everything or nothing, even if some bytes would fit.
    script.write(DQUOT, file, b"xy");
    script.stat_open(OK, file);
    script.size(999);
    let other = script.create(OK, "b");
    script.write(OK, other, b"z");
    script.write(DQUOT, other, b"z");
    script.write(DQUOT, file, b"z");
    let ended = script.run(contract(THOUSAND));
    assert_met(&ended, Limit::OutputBytes, 1000);
    assert_outputs(&ended, &[("a", &[0; 999]), ("b", b"z")]);
}

/// Of several buffers, those that fit completely are written; the next call gets the error.
#[test]
fn scattered_writes() {
    let mut script = Script::default();
    let file = script.create(OK, "a");
    script.write_twice(OK, file, 600);
    script.answer(600, "the first of two buffers");
    script.write_twice(DQUOT, file, 600);
    script.write_twice(OK, file, 200);
    let ended = script.run(contract(THOUSAND));
    assert_met(&ended, Limit::OutputBytes, 1000);
    assert_outputs(&ended, &[("a", &[0; 1000])]);
}

/// A hole counts like data, because copying the results writes the zeros.
#[test]
fn holes_are_charged() {
    let mut script = Script::default();
    let file = script.create(OK, "a");
    for offset in [1000, 10_000_000_000, (1 << 63) - 1, 1 << 63, u64::MAX - 1] {
        script.pwrite(DQUOT, file, b"x", offset);
        script.on(DQUOT, "fd_filestat_set_size", file, &[offset + 1]);
        script.on(DQUOT, "fd_allocate", file, &[offset, 1]);
    }
    script.pwrite(FBIG, file, b"x", u64::MAX);
    script.on(FBIG, "fd_allocate", file, &[u64::MAX, 1]);
    script.on(DQUOT, "fd_filestat_set_size", file, &[u64::MAX]);
    script.pwrite(OK, file, b"x", 999);
    let ended = script.run(contract(THOUSAND));
    assert_met(&ended, Limit::OutputBytes, 1000);
    let mut expected = [0; 1000];
    expected[999] = b'x';
    assert_outputs(&ended, &[("a", &expected)]);
}

/// The same with seek.
#[test]
fn seeking_beyond_the_budget() {
    let mut script = Script::default();
    let file = script.create(OK, "a");
    let out = crate::script::Arg::Small(64);
    let seek =
        |offset: u64, whence: u32| [file, crate::script::Arg::Large(offset), crate::script::Arg::Small(whence), out];
    for offset in [1000, 10_000_000_000, (1 << 63) - 1] {
        script.call(OK, "", "fd_seek", &seek(offset, 0));
        script.write(DQUOT, file, b"x");
    }
    // Beyond the range of 64 bits.
    script.call(OK, "", "fd_seek", &seek((1 << 63) - 1, 1));
    script.write(DQUOT, file, b"x");
    script.call(INVAL, "", "fd_seek", &seek((1 << 63) - 1, 1));
    script.call(INVAL, "", "fd_seek", &seek(u64::MAX, 0));
    script.call(INVAL, "", "fd_seek", &seek(0, 3));
    script.call(OK, "", "fd_seek", &seek(1, 0));
    script.call(INVAL, "", "fd_seek", &seek(u64::MAX - 1, 1));
    script.write(OK, file, b"x");
    let ended = script.run(contract(THOUSAND));
    assert_met(&ended, Limit::OutputBytes, 1000);
    assert_outputs(&ended, &[("a", b"\0x")]);
}

#[test]
fn the_same_bytes_cost_once() {
    let mut script = Script::default();
    let file = script.create(OK, "a");
    for _ in 0..50 {
        script.pwrite(OK, file, &[b'x'; 1000], 0);
    }
    // Truncated bytes are refunded.
    for _ in 0..10 {
        script.on(OK, "fd_filestat_set_size", file, &[0]);
        script.on(OK, "fd_filestat_set_size", file, &[1000]);
        let again = script.open(OK, "data/outputs/a", TRUNCATE, WRITE);
        script.write_zeros(OK, again, 1000);
        script.on(OK, "fd_close", again, &[]);
    }
    let ended = script.run(contract(THOUSAND));
    ended.assert_succeeded();
    assert_outputs(&ended, &[("a", &[0; 1000])]);
    assert_eq!(ended.report().usage.bytes_written, 60_000);
}

#[test]
fn appending_is_charged() {
    let mut script = Script::default();
    let file = script.open_with(OK, ROOT, "data/outputs/a", CREATE, WRITE, APPEND);
    for _ in 0..10 {
        script.write_zeros(OK, file, 100);
    }
    script.write(DQUOT, file, b"x");
    let ended = script.run(contract(THOUSAND));
    assert_met(&ended, Limit::OutputBytes, 1000);
    assert_outputs(&ended, &[("a", &[0; 1000])]);
}

/// An unlinked file stays on the disk, and charged, while it is open.
#[test]
fn an_unlinked_file_is_charged_until_it_is_closed() {
    let mut script = Script::default();
    let file = script.create(OK, "a");
    script.write_zeros(OK, file, 600);
    script.at(OK, "path_unlink_file", "data/outputs/a");
    script.write_zeros(OK, file, 100);
    let other = script.create(OK, "b");
    script.write_zeros(DQUOT, other, 400);
    // The file counts too.
    script.create(DQUOT, "c");
    script.on(OK, "fd_close", file, &[]);
    script.write_zeros(OK, other, 1000);
    script.create(OK, "c");
    let ended = script.run(contract(r#"{"maxBytes": 1000, "maxFiles": 2}"#));
    assert_met(&ended, Limit::OutputFiles, 2);
    assert_outputs(&ended, &[("b", &[0; 1000]), ("c", b"")]);
}

#[test]
fn a_replaced_file_is_charged_until_it_is_closed() {
    let mut script = Script::default();
    let old = script.create(OK, "old");
    script.write_zeros(OK, old, 500);
    let new = script.create(OK, "new");
    script.write_zeros(OK, new, 500);
    script.rename(OK, "data/outputs/new", "data/outputs/old");
    script.write(DQUOT, new, b"x");
    script.on(OK, "fd_close", old, &[]);
    script.write_zeros(OK, new, 500);
    let ended = script.run(contract(THOUSAND));
    assert_met(&ended, Limit::OutputBytes, 1000);
    assert_outputs(&ended, &[("old", &[0; 1000])]);
}

#[test]
fn nothing_may_be_nothing() {
    let mut script = Script::default();
    script.create(DQUOT, "a");
    script.at(DQUOT, "path_create_directory", "data/outputs/b");
    let ended = script.run(contract(r#"{"maxBytes": 0, "maxFiles": 0, "maxDirectories": 0}"#));
    assert!(matches!(ended.outcome(), Outcome::LimitExceeded { .. }));
    assert_outputs(&ended, &[]);
}
