//! Flags and rights of preview 1 that contradict each other, or ask for what they do not go with: refused, and nothing changes.

use crate::{
    runs::assert_outputs,
    script::{APPEND, Arg, CREATE, READ, ROOT, Script, TRUNCATE, WRITE, errno::*},
};

/// `fdflags` beside append: dsync, nonblock, rsync, sync.
const OTHERS: [u32; 4] = [2, 4, 8, 16];

/// As in POSIX, setting times needs no descriptor that writes. It has no effect, but a contradiction is none of it.
#[test]
fn times_are_given_or_now_and_not_both() {
    let mut script = Script::default();
    let scratch = script.open(OK, "tmp/a", CREATE, WRITE);
    let output = script.create(OK, "file");
    let reads = script.open(OK, "tmp/a", 0, READ);
    let (zero, follow) = (Arg::Large(0), Arg::Small(1));
    for (set, expected) in [(0, OK), (1, OK), (2, OK), (4, OK), (8, OK), (5, OK), (10, OK), (9, OK)]
        .into_iter()
        .chain([3, 12, 7, 13, 15, 16, 32, u32::MAX].map(|set| (set, INVAL)))
    {
        for fd in [scratch, output, reads] {
            script.call(expected, &set.to_string(), "fd_filestat_set_times", &[fd, zero, zero, Arg::Small(set)]);
        }
        for path in ["tmp/a", "data/outputs/file"] {
            let [at, length] = script.bytes(path.as_bytes());
            let arguments = [ROOT, follow, at, length, zero, zero, Arg::Small(set)];
            script.call(expected, &format!("{path} {set}"), "path_filestat_set_times", &arguments);
        }
    }
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b"")]);
}

#[test]
fn nothing_is_truncated_without_the_right_to_write() {
    let mut script = Script::default();
    let (scratch, output) = (script.open(OK, "tmp/a", CREATE, WRITE), script.create(OK, "file"));
    for file in [scratch, output] {
        script.write(OK, file, b"content");
    }
    for (rights, flags) in [(READ, 0), (0, 0), (READ, APPEND)] {
        for open in [TRUNCATE, CREATE | TRUNCATE] {
            script.open_with(INVAL, ROOT, "tmp/a", open, rights, flags);
            script.open_with(ACCES, ROOT, "data/outputs/file", open, rights, flags);
            script.open_with(ROFS, ROOT, "data/inputs/d/0", open, rights, flags);
        }
        // Nor is anything made that was to be empty.
        script.open_with(INVAL, ROOT, "tmp/new", CREATE | TRUNCATE, rights, flags);
        script.open_with(ACCES, ROOT, "data/outputs/new", CREATE | TRUNCATE, rights, flags);
    }
    for path in ["tmp/new", "data/outputs/new"] {
        script.stat(NOENT, path);
    }
    script.stat(OK, "tmp/a");
    script.size(7);
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b"content")]);
}

/// A write is complete when the call returns, so that a program which asks for that has it.
#[test]
fn synchronous_writes_are_taken_and_unknown_flags_refused() {
    let mut script = Script::default();
    for (number, flag) in OTHERS.into_iter().enumerate() {
        for path in [format!("tmp/{number}"), format!("data/outputs/{number}")] {
            let file = script.open_with(OK, ROOT, &path, CREATE, WRITE, flag);
            script.write(OK, file, b"ab");
            script.call(OK, "", "fd_fdstat_get", &[file, Arg::Small(64)]);
            script.call(OK, "", "fd_fdstat_set_flags", &[file, Arg::Small(flag | APPEND)]);
            script.call(INVAL, "", "fd_fdstat_set_flags", &[file, Arg::Small(32)]);
            // What was set last counts: this one appends.
            script.call(OK, "", "fd_seek", &[file, Arg::Large(0), Arg::Small(0), Arg::Small(64)]);
            script.write(OK, file, b"c");
            script.on(OK, "fd_sync", file, &[]);
            script.on(OK, "fd_datasync", file, &[]);
        }
        let never = script.open_with(INVAL, ROOT, "data/outputs/never", CREATE, WRITE, flag | 32);
        script.on(BADF, "fd_close", never, &[]);
    }
    script.stat(NOENT, "data/outputs/never");
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("0", b"abc"), ("1", b"abc"), ("2", b"abc"), ("3", b"abc")]);
}
