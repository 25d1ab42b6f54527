//! A hostile dataset directory: links that lead out of it, and special files.

use crate::{
    runs::assert_outputs,
    script::{Arg, CREATE, DIRECTORY, READ, ROOT, Script, WRITE, errno::*},
};
use cloister_tests::{Trial, not_run};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::PathBuf,
};

/// Links with their targets.
const LINKS: &[(&str, &str)] = &[
    ("outside-absolute", "/etc/passwd"),
    ("outside-relative", "../../../secret"),
    ("outside-directory", "../../.."),
    ("outside-root", "/"),
    ("proc", "/proc/self"),
    ("dangling", "nothing"),
    ("loop", "loop"),
    ("loop-a", "loop-b"),
    ("loop-b", "loop-a"),
    ("pipe-link", "pipe"),
    ("inside", "0"),
    ("inside-deep", "sub/../sub/file"),
    ("sub-link", "sub"),
];

fn tree(trial: &Trial) -> PathBuf {
    let here = trial.directory.path();
    fs::write(here.join("secret"), "secret").expect("written");
    let dataset = here.join("tree/inputs/d");
    fs::create_dir_all(dataset.join("sub")).expect("made");
    fs::write(dataset.join("0"), "data").expect("written");
    fs::write(dataset.join("sub/file"), "deep").expect("written");
    for (name, target) in LINKS {
        symlink(target, dataset.join(name)).expect("linked");
    }
    mknodat(CWD, dataset.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    drop(UnixListener::bind(dataset.join("socket")).expect("a socket"));
    here.join("tree")
}

fn with_tree(trial: Trial) -> Trial {
    let path = tree(&trial);
    trial.with(&["--data", path.to_str().expect("text")])
}

#[test]
fn links_and_special_files() {
    let mut script = Script::default();
    for name in ["outside-absolute", "outside-relative", "outside-directory", "outside-root", "proc"] {
        let path = format!("data/inputs/d/{name}");
        for (open, rights) in [(0, READ), (DIRECTORY, READ), (CREATE, WRITE)] {
            script.open(PERM, &path, open, rights);
        }
        script.stat(PERM, &path);
        for below in ["etc/passwd", "secret", "environ", "self/environ", "fd/3", "root/etc/passwd", ".", "..", ""] {
            let below = format!("{path}/{below}");
            script.stat_refused(&below);
            script.open(PERM, &below, 0, READ);
        }
    }
    for (expected, name) in
        [(NOENT, "dangling"), (LOOP, "loop"), (LOOP, "loop-a"), (ACCES, "pipe"), (ACCES, "pipe-link")]
    {
        let path = format!("data/inputs/d/{name}");
        script.open(expected, &path, 0, READ);
        script.stat(expected, &path);
    }
    let socket = script.open_anyhow("data/inputs/d/socket", 0, READ, 0);
    script.read(BADF, socket, 4);
    for (name, content) in [("0", b"data"), ("inside", b"data"), ("inside-deep", b"deep"), ("sub-link/file", b"deep")] {
        let file = script.open(OK, &format!("data/inputs/d/{name}"), 0, READ);
        script.read(OK, file, 4);
        script.answer(4, name);
        script.content(content);
        script.on(OK, "fd_close", file, &[]);
    }
    // `..` is resolved lexically and does not follow links.
    script.open(OK, "data/inputs/d/sub-link/../0", 0, READ);
    let ended = script.run(with_tree);
    ended.assert_succeeded();
    assert_outputs(&ended, &[]);
    let read: Vec<&str> = ended.report().inputs.iter().map(|file| file.path.as_str()).collect();
    // The program's own file is always there.
    let own = "transformations/algorithm";
    assert_eq!(read, ["inputs/d/0", "inputs/d/inside", "inputs/d/inside-deep", "inputs/d/sub/file", own]);
}

/// Opening a link without following it fails.
#[test]
fn links_that_are_not_followed() {
    let mut script = Script::default();
    for (name, _) in LINKS {
        let [at, length] = script.bytes(format!("data/inputs/d/{name}").as_bytes());
        let none = Arg::Small(0);
        let rights = Arg::Large(READ);
        script.call(LOOP, name, "path_open", &[ROOT, none, at, length, none, rights, rights, none, Arg::Small(16)]);
        script.call(OK, name, "path_filestat_get", &[ROOT, none, at, length, Arg::Small(64)]);
    }
    let ended = script.run(with_tree);
    ended.assert_succeeded();
}

/// Device nodes are treated like pipes. Needs the capability to create them.
#[test]
fn device_nodes() {
    let mut script = Script::default();
    for path in ["data/inputs/d/zero", "data/inputs/d/disk"] {
        let fd = script.open_anyhow(path, 0, READ, 0);
        script.read(BADF, fd, 4);
        script.stat(ACCES, path);
    }
    let trial = Trial::wat("(module)");
    let path = trial.directory.path().join("node");
    if let Err(error) = mknodat(CWD, path, FileType::CharacterDevice, Mode::RUSR, makedev(1, 5)) {
        assert!(!may_create_devices(), "{error}");
        not_run("device nodes in datasets: without CAP_MKNOD, the test cannot create them");
        return;
    }
    let ended = script.run(|trial| {
        let root = tree(&trial);
        for (name, kind, device) in
            [("zero", FileType::CharacterDevice, makedev(1, 5)), ("disk", FileType::BlockDevice, makedev(7, 99))]
        {
            mknodat(CWD, root.join("inputs/d").join(name), kind, Mode::RUSR, device).expect("a device node");
        }
        trial.with(&["--data", root.to_str().expect("text")])
    });
    ended.assert_succeeded();
    let read: Vec<&str> = ended.report().inputs.iter().map(|file| file.path.as_str()).collect();
    assert!(!read.iter().any(|path| path.ends_with("zero") || path.ends_with("disk")), "{read:?}");
    assert_eq!(read.len(), 5, "{read:?}");
}

/// Whether this process has CAP_MKNOD.
fn may_create_devices() -> bool {
    const CAP_MKNOD: u32 = 27;
    let status = fs::read_to_string("/proc/self/status").expect("the kernel's status file");
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).expect("capabilities");
    u64::from_str_radix(effective, 16).expect("a number") & (1 << CAP_MKNOD) != 0
}

/// Listings count against the guest's memory limit while the directory is open.
#[test]
fn listings_are_charged() {
    let mut script = Script::default();
    let mut open = Vec::new();
    for number in 0..40 {
        let directory = script.open(OK, "data/inputs/d", DIRECTORY, READ);
        let (label, buffer, room) = (format!("listing {number}"), Arg::Small(1 << 20), Arg::Small(1000));
        // Each takes more than one of sixteen megabytes. The script itself uses four.
        let arguments = [directory, buffer, room, Arg::Large(0), Arg::Small(16)];
        match number {
            0..4 => script.call(OK, &label, "fd_readdir", &arguments),
            4..20 => script.call_either(&[OK, NOMEM], &label, "fd_readdir", &arguments),
            _ => script.call(NOMEM, &label, "fd_readdir", &arguments),
        }
        open.push(directory);
    }
    script.on(OK, "fd_close", open[0], &[]);
    script.readdir(OK, open[30], 1000, 0);
    let ended = script.run(|trial| {
        let dataset = trial.directory.path().join("tree/inputs/d");
        fs::create_dir_all(&dataset).expect("made");
        for number in 0..10_000 {
            fs::File::create(dataset.join(format!("a-name-of-about-fifty-bytes-for-the-listing-{number:06}")))
                .expect("made");
        }
        let root = trial.directory.path().join("tree");
        trial.with(&["--limits", "memory=16MiB", "--data", root.to_str().expect("text")])
    });
    ended.assert_succeeded();
    assert!(ended.report().usage.peak_memory_bytes <= 16 << 20, "{:?}", ended.report().usage);
}

#[test]
fn listings() {
    let mut script = Script::default();
    let directory = script.open(OK, "data/inputs/d", DIRECTORY, READ);
    // Neither the pipe nor the socket is listed.
    let names: Vec<&str> = LINKS.iter().map(|(name, _)| *name).chain([".", "..", "0", "sub"]).collect();
    let total = names.iter().map(|name| 24 + name.len()).sum::<usize>();
    script.readdir(OK, directory, 4096, 0);
    script.answer(u32::try_from(total).expect("small"), "the whole listing");
    for length in [0, 1, 23, 24, 25, 100] {
        for cookie in [0, 1, 5, 16] {
            script.readdir(OK, directory, length, cookie);
            script.answer_at_most(length);
        }
    }
    for cookie in [names.len() as u64, 1000, 1 << 32, u64::MAX] {
        script.readdir(OK, directory, 4096, cookie);
        script.answer(0, "nothing is left");
    }
    for length in [1 << 30, u32::MAX] {
        script.readdir(FAULT, directory, length, 0);
    }
    script.run(with_tree).assert_succeeded();
}
