//! Inputs are read-only for every call and every combination of flags.

use crate::{
    runs::assert_outputs,
    script::{Arg, CREATE, DIRECTORY, EVERYTHING, EXCLUSIVE, READ, ROOT, Script, TRUNCATE, WRITE, errno::*},
};
use cloister_tests::{Ended, Trial};
use std::fs;

/// The dataset as a single file and as a mounted directory.
fn with_tree(trial: Trial) -> Trial {
    let tree = trial.directory.path().join("tree");
    fs::create_dir_all(tree.join("inputs/d/sub")).expect("made");
    fs::write(tree.join("inputs/d/0"), "data").expect("written");
    fs::write(tree.join("inputs/d/sub/file"), "deep").expect("written");
    trial.with(&["--data", tree.to_str().expect("text")])
}

/// `runs` compares the dataset before and after each run.
#[track_caller]
fn both(script: impl Fn() -> Script) -> [Ended; 2] {
    let files = script().run(|trial| trial);
    let tree = script().run(with_tree);
    [files, tree]
}

#[test]
fn every_way_to_open_and_write() {
    let ended = both(|| {
        let mut script = Script::default();
        for open in 0..16 {
            for rights in [0, READ, WRITE, READ | WRITE, EVERYTHING] {
                for flags in [0, 31] {
                    let fd = script.open_anyhow("data/inputs/d/0", open, rights, flags);
                    let source = script.bytes(&[0, 0x20, 0, 0, 4, 0, 0, 0])[0];
                    let one = Arg::Small(1);
                    let out = Arg::Small(16);
                    script.refused("", "fd_write", &[fd, source, one, out]);
                    script.refused("", "fd_pwrite", &[fd, source, one, Arg::Large(0), out]);
                    script.refused("", "fd_pwrite", &[fd, source, one, Arg::Large(4), out]);
                    for size in [0, 3, 4, 100] {
                        script.refused("", "fd_filestat_set_size", &[fd, Arg::Large(size)]);
                    }
                    script.refused("", "fd_allocate", &[fd, Arg::Large(0), Arg::Large(100)]);
                    script.refused("", "fd_filestat_set_times", &[fd, Arg::Large(0), Arg::Large(0), Arg::Small(5)]);
                    script.whatever("", "fd_fdstat_set_flags", &[fd, one]);
                    script.refused("", "fd_fdstat_set_rights", &[fd, Arg::Large(EVERYTHING), Arg::Large(EVERYTHING)]);
                    script.refused("appended", "fd_write", &[fd, source, one, out]);
                    script.whatever("", "fd_close", &[fd]);
                }
            }
        }
        script
    });
    for ended in ended {
        ended.assert_succeeded();
        assert_outputs(&ended, &[]);
    }
}

#[test]
fn every_change_of_a_name() {
    let ended = both(|| {
        let mut script = Script::default();
        let output = script.create(OK, "own");
        script.write(OK, output, b"own");
        script.open(OK, "tmp/own", CREATE, WRITE);
        let [old, length] = script.bytes(b"own");
        for place in ["data/inputs/d", "data/inputs", "data", "dev"] {
            let path = |name: &str| format!("{place}/{name}");
            script.open(ROFS, &path("new"), CREATE, WRITE);
            script.open(ROFS, &path("new"), CREATE | EXCLUSIVE | TRUNCATE, READ | WRITE);
            script.at(ROFS, "path_create_directory", &path("new"));
            script.at(NOENT, "path_remove_directory", &path("new"));
            script.at(NOENT, "path_unlink_file", &path("new"));
            script.rename(ROFS, "data/outputs/own", &path("new"));
            script.rename(ROFS, "tmp/own", &path("new"));
            let directory = script.open(OK, place, DIRECTORY, READ);
            let arguments = [directory, old, length, directory, old, length];
            script.refused(place, "path_rename", &arguments);
        }
        for path in ["data/inputs/d/0", "data/inputs/d", "data/inputs", "data/outputs", "data", "tmp"] {
            script.refused_at("path_unlink_file", path);
            script.at(ROFS, "path_remove_directory", path);
            script.rename(ROFS, path, "data/outputs/stolen");
            script.rename(ROFS, path, "tmp/stolen");
            script.rename(ROFS, "data/outputs/own", path);
            script.rename(ROFS, "tmp/own", path);
            let [at, length] = script.bytes(path.as_bytes());
            let (zero, set) = (Arg::Large(0), Arg::Small(5));
            script.call(ROFS, path, "path_filestat_set_times", &[ROOT, Arg::Small(1), at, length, zero, zero, set]);
            let [new, new_length] = script.bytes(b"data/outputs/stolen");
            script.call(NOTSUP, path, "path_link", &[ROOT, Arg::Small(1), at, length, ROOT, new, new_length]);
            script.call(NOTSUP, path, "path_symlink", &[at, length, ROOT, new, new_length]);
        }
        // Renames between the two writable places are refused, too.
        script.rename(XDEV, "data/outputs/own", "tmp/stolen");
        script.rename(XDEV, "tmp/own", "data/outputs/stolen");
        let input = script.open(OK, "data/inputs/d/0", 0, READ);
        script.read(OK, input, 4);
        script.content(b"data");
        script
    });
    for ended in ended {
        ended.assert_succeeded();
        assert_outputs(&ended, &[("own", b"own")]);
    }
}
