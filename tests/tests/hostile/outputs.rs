//! Outputs are written and never read: a guest can read back nothing.

use crate::{
    runs::assert_outputs,
    script::{APPEND, Arg, CREATE, DIRECTORY, EVERYTHING, EXCLUSIVE, READ, ROOT, Script, TRUNCATE, WRITE, errno::*},
};

#[test]
fn no_way_to_read_back() {
    let mut script = Script::default();
    script.at(OK, "path_create_directory", "data/outputs/sub");
    for name in ["file", "sub/file"] {
        let file = script.create(OK, name);
        script.write(OK, file, b"secret");
        // Through the descriptor that wrote it.
        script.read(BADF, file, 6);
        script.pread(BADF, file, 6, 0);
        let all = Arg::Large(EVERYTHING);
        script.call(NOTSUP, name, "fd_fdstat_set_rights", &[file, all, all]);
        script.whatever(name, "fd_fdstat_set_flags", &[file, Arg::Small(31)]);
        script.read(BADF, file, 6);
        // Through a new descriptor, with every combination of flags.
        let path = format!("data/outputs/{name}");
        for flags in [0, APPEND, 31] {
            for open in [0, CREATE, TRUNCATE, CREATE | TRUNCATE] {
                for rights in [0, READ] {
                    script.open_with(ACCES, ROOT, &path, open, rights, flags);
                }
            }
            // Opened for both, as programs do that only write: what is given writes.
            for open in [0, CREATE] {
                for rights in [READ | WRITE, EVERYTHING] {
                    let both = script.open_with(OK, ROOT, &path, open, rights, flags);
                    script.read(BADF, both, 6);
                    script.pread(BADF, both, 6, 0);
                    script.on(OK, "fd_close", both, &[]);
                }
            }
        }
        script.open(EXIST, &path, CREATE | EXCLUSIVE, EVERYTHING);
        script.open(NOTDIR, &path, DIRECTORY, EVERYTHING);
        let again = script.open(OK, &path, 0, WRITE);
        script.read(BADF, again, 6);
        // The size is readable, the content is not.
        script.stat(OK, &path);
        script.size(6);
        script.stat_open(OK, again);
        script.size(6);
        // Nor through a readable place.
        script.rename(XDEV, &path, "tmp/stolen");
        script.rename(ROFS, &path, "data/stolen");
    }
    for path in ["data/outputs", "data/outputs/sub"] {
        for (open, rights) in [(DIRECTORY, READ), (DIRECTORY, EVERYTHING), (0, READ)] {
            let directory = script.open(OK, path, open, rights);
            // What it made itself: `.`, `..` and one or two names, each after a 24-byte header.
            script.readdir(OK, directory, 4096, 0);
            let names = if path == "data/outputs" { 24 + 4 + 24 + 3 } else { 24 + 4 };
            script.answer(24 + 1 + 24 + 2 + names, "the listing");
            script.read(ISDIR, directory, 6);
            script.open_with(ACCES, directory, "file", 0, READ, 0);
        }
        script.stat(OK, path);
    }
    // A refused call creates nothing.
    for rights in [0, READ] {
        script.open(ACCES, "data/outputs/new", CREATE, rights);
    }
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b"secret"), ("sub/file", b"secret")]);
}

/// Every way to open for both that programs use: nothing of what another descriptor wrote comes back.
#[test]
fn a_descriptor_for_both_reads_nothing() {
    let mut script = Script::default();
    let first = script.create(OK, "file");
    script.write(OK, first, b"secret");
    for (name, open) in [("file", 0), ("new", CREATE | EXCLUSIVE), ("new", CREATE | TRUNCATE)] {
        let both = script.open(OK, &format!("data/outputs/{name}"), open, READ | WRITE);
        script.write(OK, both, b"S");
        script.call(OK, "", "fd_seek", &[both, Arg::Large(0), Arg::Small(0), Arg::Small(64)]);
        script.read(BADF, both, 6);
        script.pread(BADF, both, 6, 0);
        // Its flags and rights say so.
        script.call(OK, "", "fd_fdstat_get", &[both, Arg::Small(64)]);
        script.whatever("", "fd_fdstat_set_flags", &[both, Arg::Small(APPEND)]);
        script.read(BADF, both, 6);
        let copy = script.open(OK, "data/inputs/d/0", 0, READ);
        script.call(OK, "", "fd_renumber", &[both, copy]);
        script.read(BADF, copy, 6);
        script.on(OK, "fd_close", copy, &[]);
    }
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b"Secret"), ("new", b"S")]);
}

/// Scratch, the devices and the current directory are in memory: nothing of them is on the disk or in the results, and the
/// devices give nothing but what they are.
#[test]
fn scratch_and_devices_lead_nowhere() {
    let mut script = Script::default();
    for path in ["new", "data/logs/new", "tmp/new"] {
        let file = script.open(OK, path, CREATE, READ | WRITE);
        script.write(OK, file, b"secret");
        script.pread(OK, file, 4, 0);
        script.content(b"secr");
        script.rename(XDEV, path, "data/outputs/new");
        script.rename(ROFS, path, "data/new");
        script.rename(ROFS, path, "dev/null");
        // An entry of the machine's file system cannot be covered.
        script.rename(ROFS, path, "tmp");
    }
    for path in ["dev/null", "dev/zero", "dev/urandom", "dev/random"] {
        let device = script.open(OK, path, CREATE | TRUNCATE, READ | WRITE);
        script.write(OK, device, b"secret");
        script.pread(OK, device, 4, 0);
        script.on(INVAL, "fd_filestat_set_size", device, &[4]);
        script.at(ROFS, "path_unlink_file", path);
        script.rename(ROFS, path, "tmp/device");
    }
    for path in ["dev/tty", "dev/mem", "dev/fd/3", "dev/stdin", "dev/shm/x", "dev/pts/0"] {
        script.open(NOENT, path, 0, READ);
    }
    script.open(ROFS, "dev/tty", CREATE, WRITE);
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[]);
}

#[test]
fn no_links() {
    let mut script = Script::default();
    let file = script.create(OK, "file");
    script.write(OK, file, b"x");
    for (target, name) in [
        ("/etc/passwd", "data/outputs/link"),
        ("../inputs/d/0", "data/outputs/link"),
        ("file", "data/outputs/link"),
        ("file", "tmp/link"),
        ("0", "data/inputs/d/link"),
    ] {
        let ([target, target_length], [at, length]) = (script.bytes(target.as_bytes()), script.bytes(name.as_bytes()));
        script.call(NOTSUP, name, "path_symlink", &[target, target_length, ROOT, at, length]);
        for old in ["data/outputs/file", "data/inputs/d/0", "tmp", "data/outputs"] {
            let [old, old_length] = script.bytes(old.as_bytes());
            script.call(NOTSUP, name, "path_link", &[ROOT, Arg::Small(1), old, old_length, ROOT, at, length]);
        }
        script.stat(NOENT, name);
    }
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b"x")]);
}

#[test]
fn two_descriptors_on_one_file() {
    let mut script = Script::default();
    let first = script.create(OK, "file");
    let second = script.open(OK, "data/outputs/file", 0, WRITE);
    let append = script.open_with(OK, ROOT, "data/outputs/file", 0, WRITE, APPEND);
    script.write(OK, first, b"aaaaaa");
    script.write(OK, second, b"bb");
    script.write(OK, append, b"cc");
    // Each descriptor has its own position; the end of the file is the same for all.
    script.write(OK, first, b"dd");
    script.write(OK, append, b"ee");
    script.stat_open(OK, second);
    script.size(10);
    script.on(OK, "fd_filestat_set_size", second, &[3]);
    script.write(OK, append, b"f");
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b"bbaf")]);
}

#[test]
fn a_name_that_goes_while_it_is_used() {
    let mut script = Script::default();
    script.at(OK, "path_create_directory", "data/outputs/gone");
    let directory = script.open(OK, "data/outputs/gone", DIRECTORY, READ);
    let inside = script.open_with(OK, directory, "file", CREATE, WRITE, 0);
    script.at(NOTEMPTY, "path_remove_directory", "data/outputs/gone");
    script.at(NOTDIR, "path_remove_directory", "data/outputs/gone/file");
    script.at(ISDIR, "path_unlink_file", "data/outputs/gone");
    script.at(OK, "path_unlink_file", "data/outputs/gone/file");
    script.write(OK, inside, b"into the void");
    script.at(OK, "path_remove_directory", "data/outputs/gone");
    // The handle stays open after the directory is removed. A new directory of the same name is another one.
    script.open_with(NOENT, directory, "file", CREATE, WRITE, 0);
    script.at(OK, "path_create_directory", "data/outputs/gone");
    script.open_with(NOENT, directory, "file", CREATE, WRITE, 0);
    let [name, length] = script.bytes(b"sub");
    script.call(NOENT, "in a removed directory", "path_create_directory", &[directory, name, length]);
    let [own, own_length] = script.bytes(b"data/outputs/own");
    script.create(OK, "own");
    let arguments = [ROOT, own, own_length, directory, name, length];
    script.call(NOENT, "into a removed directory", "path_rename", &arguments);
    script.on(OK, "fd_close", directory, &[]);
    // The same in /tmp.
    script.at(OK, "path_create_directory", "tmp/gone");
    let directory = script.open(OK, "tmp/gone", DIRECTORY, READ);
    script.at(OK, "path_remove_directory", "tmp/gone");
    script.open_with(NOENT, directory, "file", CREATE, WRITE, 0);
    script.readdir(OK, directory, 4096, 0);
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("own", b"")]);
    // A directory that holds no file does not stay.
    assert_eq!(ended.report().output_directories, 0);
}

#[test]
fn renames_within_outputs() {
    let mut script = Script::default();
    for (name, content) in [("a", b"aaa"), ("b", b"bbb")] {
        let file = script.create(OK, name);
        script.write(OK, file, content);
    }
    for name in ["one", "one/two", "empty"] {
        script.at(OK, "path_create_directory", &format!("data/outputs/{name}"));
    }
    let path = |name: &str| format!("data/outputs/{name}");
    let mut rename = |expected, from: &str, to: &str| script.rename(expected, &path(from), &path(to));
    rename(OK, "a", "a");
    rename(OK, "a", "b");
    rename(NOENT, "a", "b");
    rename(ISDIR, "b", "empty");
    rename(NOTDIR, "empty", "b");
    // A directory with content cannot be renamed, in particular not into itself.
    rename(NOTEMPTY, "one", "one/two/three");
    rename(NOTEMPTY, "one", "other");
    rename(INVAL, "one/two", "one/two/three");
    rename(OK, "empty", "one/empty");
    rename(OK, "b", "one/two/b");
    script.rename(ROFS, "data/outputs/.", "data/outputs/x");
    script.rename(BUSY, "data/outputs/one/two/b", ".");
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("one/two/b", b"aaa")]);
}

#[test]
fn truncation_and_growth() {
    let mut script = Script::default();
    let file = script.create(OK, "file");
    script.write(OK, file, b"0123456789");
    script.on(OK, "fd_filestat_set_size", file, &[4]);
    script.on(OK, "fd_filestat_set_size", file, &[6]);
    script.on(OK, "fd_allocate", file, &[0, 3]);
    script.on(OK, "fd_allocate", file, &[6, 2]);
    script.pwrite(OK, file, b"x", 8);
    script.open(OK, "data/outputs/other", CREATE | TRUNCATE, WRITE);
    let other = script.open(OK, "data/outputs/other", TRUNCATE, WRITE);
    script.write(OK, other, b"kept not");
    script.open(OK, "data/outputs/other", TRUNCATE, WRITE);
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b"0123\0\0\0\0x"), ("other", b"")]);
}
