//! No path leads out of the directory that it starts from, in any call that takes a path.

use crate::{
    runs::assert_outputs,
    script::{Arg, CREATE, DIRECTORY, EVERYTHING, READ, ROOT, Script, TRUNCATE, WRITE, errno::*},
};

/// Every call that takes a path, with this path for every path argument. `old` and `new` are paths from the root.
fn calls(script: &mut Script, from: Arg, path: [Arg; 2]) -> Vec<(&'static str, Vec<Arg>)> {
    let ([at, length], follow) = (path, Arg::Small(1));
    let [old, old_length] = script.bytes(b"data/outputs/old");
    let [new, new_length] = script.bytes(b"data/outputs/new");
    let open = |open, rights, flags| {
        let rights = Arg::Large(rights);
        vec![from, follow, at, length, Arg::Small(open), rights, rights, Arg::Small(flags), Arg::Small(16)]
    };
    let zero = Arg::Large(0);
    vec![
        ("path_open", open(0, READ, 0)),
        ("path_open", open(DIRECTORY, EVERYTHING, 0)),
        ("path_open", open(CREATE, WRITE, 0)),
        ("path_open", open(CREATE | TRUNCATE, EVERYTHING, 31)),
        ("path_filestat_get", vec![from, follow, at, length, Arg::Small(64)]),
        ("path_filestat_get", vec![from, Arg::Small(0), at, length, Arg::Small(64)]),
        ("path_filestat_set_times", vec![from, follow, at, length, zero, zero, Arg::Small(5)]),
        ("path_create_directory", vec![from, at, length]),
        ("path_remove_directory", vec![from, at, length]),
        ("path_unlink_file", vec![from, at, length]),
        ("path_rename", vec![from, at, length, ROOT, new, new_length]),
        ("path_rename", vec![ROOT, old, old_length, from, at, length]),
        ("path_readlink", vec![from, at, length, Arg::Small(64), Arg::Small(64), Arg::Small(16)]),
    ]
}

/// Links cannot be created, so these calls refuse every path in the same way.
fn links(script: &mut Script, from: Arg, path: [Arg; 2]) -> Vec<(&'static str, Vec<Arg>)> {
    let [at, length] = path;
    let [old, old_length] = script.bytes(b"data/outputs/old");
    let [new, new_length] = script.bytes(b"data/outputs/new");
    vec![
        ("path_link", vec![from, Arg::Small(1), at, length, ROOT, new, new_length]),
        ("path_link", vec![ROOT, Arg::Small(0), old, old_length, from, at, length]),
        ("path_symlink", vec![at, length, ROOT, new, new_length]),
        ("path_symlink", vec![old, old_length, from, at, length]),
    ]
}

/// Paths that are invalid from every directory, with the expected error.
fn nasty() -> Vec<(Vec<u8>, Vec<u32>)> {
    let mut paths: Vec<(Vec<u8>, Vec<u32>)> = Vec::new();
    for path in [
        "..",
        "../",
        "../x",
        "../../x",
        "./../x",
        ".//..//x",
        "../..",
        "/",
        "/etc/passwd",
        "//etc/passwd",
        "/data/inputs/d/0",
        "/data/outputs/x",
        "/proc/self/environ",
        "/../etc/passwd",
        "/.",
        "/..",
    ] {
        paths.push((path.into(), vec![PERM]));
    }
    paths.push((b"".to_vec(), vec![NOENT]));
    for path in ["\0", "a\0b", "data/outputs/x\0/../../../etc", "\0/etc/passwd"] {
        paths.push((path.into(), vec![INVAL]));
    }
    for path in [b"\xff".to_vec(), b"data/outputs/\xc0\xae\xc0\xae/x".to_vec(), b"data/\xed\xa0\x80".to_vec()] {
        paths.push((path, vec![ILSEQ]));
    }
    paths.push((vec![b'a'; 256], vec![NAMETOOLONG]));
    paths.push((b"a/".repeat(2100), vec![NAMETOOLONG]));
    paths.push((b"../".repeat(1300), vec![PERM]));
    // A path through a missing directory fails, even if `..` follows it.
    paths.push((b"missing/../../x".to_vec(), vec![NOENT, PERM]));
    paths
}

/// Paths that are invalid from the root only.
const NASTY_FROM_ROOT: &[&str] = &[
    "data/inputs/d/../../../../etc/passwd",
    "data/outputs/../../..",
    "data/outputs/../../../x",
    "data/inputs/d/./../.././../../x",
    "data//..//..//x",
    "tmp/../../x",
    "tmp/../..",
    "data/../../",
];

#[test]
fn paths_that_leave_their_directory() {
    let mut script = Script::default();
    let old = script.create(OK, "old");
    script.write(OK, old, b"old");
    let directories = ["data/inputs/d", "data/outputs", "tmp", "data"];
    let mut from = vec![ROOT];
    from.extend(directories.map(|path| script.open(OK, path, DIRECTORY, READ)));
    for directory in from {
        for (path, expected) in nasty() {
            let shown: String = String::from_utf8_lossy(&path).chars().take(40).collect();
            let label = format!("{shown:?} from {directory:?}");
            let path = script.bytes(&path);
            for (call, arguments) in calls(&mut script, directory, path) {
                script.call_either(&expected, &label, call, &arguments);
            }
            for (call, arguments) in links(&mut script, directory, path) {
                script.call(NOTSUP, &label, call, &arguments);
            }
        }
    }
    for path in NASTY_FROM_ROOT {
        let bytes = script.bytes(path.as_bytes());
        for (call, arguments) in calls(&mut script, ROOT, bytes) {
            script.call(PERM, path, call, &arguments);
        }
    }
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("old", b"old")]);
}

/// Nothing outside a directory can be reached through its handle.
#[test]
fn paths_that_go_to_a_neighbour() {
    let mut script = Script::default();
    let outputs = script.open(OK, "data/outputs", DIRECTORY, READ);
    let inputs = script.open(OK, "data/inputs", DIRECTORY, READ);
    let scratch = script.open(OK, "tmp", DIRECTORY, READ);
    for (from, path) in [
        (outputs, "../inputs/d/0"),
        (outputs, "a/../../inputs/d/0"),
        (inputs, "../outputs/x"),
        (inputs, "d/../../outputs/x"),
        (scratch, "../data/inputs/d/0"),
    ] {
        let bytes = script.bytes(path.as_bytes());
        for (call, arguments) in calls(&mut script, from, bytes) {
            script.call_either(&[PERM, NOENT], path, call, &arguments);
        }
    }
    // From the root, the same path is valid and has the rights of its target.
    script.at(OK, "path_create_directory", "data/outputs/a");
    let path = "data/outputs/a/../../inputs/d/0";
    let input = script.open(OK, path, 0, READ);
    script.read(OK, input, 4);
    script.content(b"data");
    script.open(ROFS, path, TRUNCATE, WRITE);
    script.at(ROFS, "path_unlink_file", path);
    script.rename(ROFS, path, "data/outputs/stolen");
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[]);
}

/// `x/` can only refer to a directory.
#[test]
fn trailing_slashes() {
    let mut script = Script::default();
    let file = script.create(OK, "file");
    script.write(OK, file, b"x");
    let scratch = script.open(OK, "tmp/file", CREATE, READ | WRITE);
    script.write(OK, scratch, b"x");
    for path in ["data/inputs/d/0/", "data/inputs/d/0/.", "data/outputs/file/", "tmp/file/", "data/outputs/file//"] {
        let bytes = script.bytes(path.as_bytes());
        for (call, arguments) in calls(&mut script, ROOT, bytes) {
            script.refused(path, call, &arguments);
        }
        let through = format!("{path}/x");
        script.open(NOTDIR, &through, 0, READ);
        let through = format!("{path}/../file");
        script.open(NOTDIR, &through, 0, READ);
    }
    for path in ["data/outputs/new/", "tmp/new/"] {
        script.open(INVAL, path, CREATE, WRITE);
        script.rename(NOTDIR, path.replace("new", "file").trim_end_matches('/'), path);
    }
    let ended = script.run(|trial| trial);
    ended.assert_succeeded();
    assert_outputs(&ended, &[("file", b"x")]);
}
