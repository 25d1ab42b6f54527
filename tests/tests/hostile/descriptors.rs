//! Descriptor numbers: used after close, renumbered, or used for another kind of object.

use crate::{
    runs::assert_outputs,
    script::{Arg, CREATE, DIRECTORY, EVERYTHING, READ, ROOT, Script, WRITE, errno::*},
};

#[test]
fn nothing_works_after_it_was_closed() {
    let mut script = Script::default();
    let file = script.create(OK, "file");
    let input = script.open(OK, "data/inputs/d/0", 0, READ);
    let directory = script.open(OK, "data/inputs", DIRECTORY, READ);
    for fd in [file, input, directory] {
        script.on(OK, "fd_close", fd, &[]);
        script.on(BADF, "fd_close", fd, &[]);
        script.write(BADF, fd, b"x");
        script.pwrite(BADF, fd, b"x", 0);
        script.read(BADF, fd, 4);
        script.pread(BADF, fd, 4, 0);
        script.readdir(BADF, fd, 100, 0);
        script.on(BADF, "fd_filestat_set_size", fd, &[1]);
        script.stat_open(BADF, fd);
        script.open_with(BADF, fd, "x", 0, READ, 0);
        script.call(BADF, "", "fd_renumber", &[fd, ROOT]);
        script.call(BADF, "", "fd_renumber", &[ROOT, fd]);
        script.call(BADF, "", "fd_renumber", &[fd, fd]);
    }
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b"")]);
}

#[test]
fn moved_about() {
    let mut script = Script::default();
    let output = script.create(OK, "file");
    let input = script.open(OK, "data/inputs/d/0", 0, READ);
    // The output's number now refers to the input, so it can be read and not written.
    script.call(OK, "", "fd_renumber", &[input, output]);
    script.read(OK, output, 4);
    script.content(b"data");
    script.write(BADF, output, b"x");
    script.read(BADF, input, 4);
    // Standard error becomes an output file; text printed there goes into the file and is charged.
    let other = script.create(OK, "stderr");
    script.call(OK, "", "fd_renumber", &[other, Arg::Small(2)]);
    script.write(OK, Arg::Small(2), b"printed");
    script.read(BADF, Arg::Small(2), 4);
    // Standard input becomes an input file.
    script.call(OK, "", "fd_renumber", &[output, Arg::Small(0)]);
    script.pread(OK, Arg::Small(0), 4, 0);
    // Numbers that do not exist.
    for number in [50, 100, u32::MAX, u32::MAX - 1, 1 << 31] {
        let number = Arg::Small(number);
        script.call(BADF, "", "fd_renumber", &[ROOT, number]);
        script.call(BADF, "", "fd_renumber", &[number, ROOT]);
        script.on(BADF, "fd_close", number, &[]);
    }
    // A directory replaces the root: no path leads above it.
    let scratch = script.open(OK, "tmp", DIRECTORY, READ);
    script.call(OK, "", "fd_renumber", &[scratch, ROOT]);
    script.open(PERM, "../data/inputs/d/0", 0, READ);
    script.open(NOENT, "data/inputs/d/0", 0, READ);
    script.call(BADF, "", "fd_prestat_get", &[ROOT, Arg::Small(64)]);
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b""), ("stderr", b"printed")]);
}

#[test]
fn the_root_once_closed_stays_closed() {
    let mut script = Script::default();
    let scratch = script.open(OK, "tmp", DIRECTORY, READ);
    script.on(OK, "fd_close", ROOT, &[]);
    script.open(BADF, "data/inputs/d/0", 0, READ);
    let file = script.open_with(OK, scratch, "file", CREATE, WRITE, 0);
    // The file has the root's number and is still a file.
    script.open_with(NOTDIR, file, "data/inputs/d/0", 0, READ, 0);
    script.open_with(NOTDIR, ROOT, "data/inputs/d/0", 0, READ, 0);
    script.run(|trial| trial).assert_succeeded();
}

#[test]
fn paths_from_what_is_no_directory() {
    let mut script = Script::default();
    let output = script.create(OK, "file");
    let input = script.open(OK, "data/inputs/d/0", 0, READ);
    let [at, length] = script.bytes(b"x");
    let one = Arg::Small(1);
    for fd in [output, input, Arg::Small(0), Arg::Small(1), Arg::Small(2)] {
        for path in ["x", ".", "..", ""] {
            script.open_with(NOTDIR, fd, path, CREATE, EVERYTHING, 0);
        }
        for call in ["path_create_directory", "path_remove_directory", "path_unlink_file"] {
            script.call(NOTDIR, "", call, &[fd, at, length]);
        }
        script.call(NOTDIR, "", "path_filestat_get", &[fd, one, at, length, Arg::Small(64)]);
        script.call(NOTDIR, "", "path_rename", &[fd, at, length, ROOT, at, length]);
        script.call(NOTDIR, "", "path_rename", &[ROOT, at, length, fd, at, length]);
        script.call(NOTDIR, "", "path_link", &[fd, one, at, length, ROOT, at, length]);
        script.call(NOTDIR, "", "path_symlink", &[at, length, fd, at, length]);
        script.call(NOTDIR, "", "path_readlink", &[fd, at, length, Arg::Small(64), one, Arg::Small(16)]);
        script.call(NOTDIR, "", "fd_readdir", &[fd, Arg::Small(64), one, Arg::Large(0), Arg::Small(16)]);
    }
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b"")]);
}

#[test]
fn the_standard_streams_are_no_files() {
    let mut script = Script::default();
    for fd in [0, 1, 2].map(Arg::Small) {
        script.pread(SPIPE, fd, 4, 0);
        script.pwrite(SPIPE, fd, b"x", 0);
        script.on(SPIPE, "fd_filestat_set_size", fd, &[0]);
        script.on(SPIPE, "fd_allocate", fd, &[0, 1]);
        script.call(SPIPE, "", "fd_seek", &[fd, Arg::Large(0), Arg::Small(0), Arg::Small(64)]);
        script.call(BADF, "", "fd_prestat_get", &[fd, Arg::Small(64)]);
        script.call(NOTSOCK, "", "sock_shutdown", &[fd, Arg::Small(2)]);
        script.call(NOTSOCK, "", "sock_accept", &[fd, Arg::Small(0), Arg::Small(64)]);
    }
    script.write(BADF, Arg::Small(0), b"x");
    script.read(BADF, Arg::Small(1), 4);
    script.read(BADF, Arg::Small(2), 4);
    script.run(|trial| trial).assert_succeeded();
}

/// The root contains only `/data`, `/dev` and `/tmp`, and nothing of a real machine.
#[test]
fn the_machine_is_not_there() {
    let mut script = Script::default();
    let paths = [
        "proc",
        "proc/self/environ",
        "proc/self/fd/3",
        "dev/mem",
        "dev/sda",
        "dev/tty",
        "sys",
        "sys/kernel",
        "etc",
        "etc/passwd",
        "root",
        "home",
        "bin/sh",
        "usr",
        "var",
        "run",
        "data/inputs/../../etc",
    ];
    for path in paths {
        script.open(NOENT, path, 0, READ);
        script.stat(NOENT, path);
    }
    for path in [".", "data/.."] {
        let root = script.open(OK, path, DIRECTORY, READ);
        script.readdir(OK, root, 4096, 2);
        // `data`, `dev` and `tmp`, each after a 24-byte header.
        script.answer(24 + 4 + 24 + 3 + 24 + 3, "the root's listing");
    }
    // Nothing is made there but scratch.
    for path in paths {
        script.open_anyhow(path, CREATE, WRITE, 0);
    }
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[]);
}
