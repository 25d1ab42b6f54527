//! Which files can be opened, and how.

#![expect(unsafe_code, reason = "sends a signal without the standard library")]

use crate::Case;
use crate::attempt::{Outcome, Scene, Walls, attempt};
use crate::behind::{self, Deed, open_anywhere, open_beneath};
use libc::{EACCES, EBADF, EMFILE, EPERM, EXDEV};
use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, renameat, unlinkat};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

/// Each attempt is made twice: behind Landlock alone, which shows that Landlock refuses it, and behind all walls.
const BOTH: [Walls; 2] = [Walls::Files, Walls::Worker];

pub(crate) const CASES: &[Case] = &[
    ("a_dataset_can_be_read_and_listed", || {
        for walls in BOTH {
            assert_eq!(attempt(walls, "read dataset").text(), "dataset/file");
            assert_eq!(attempt(walls, "list dataset").text(), "file link other");
        }
    }),
    ("one_file_can_be_granted_without_its_neighbours", || {
        assert_eq!(attempt(Walls::OneFile, "read dataset").text(), "dataset/file");
        attempt(Walls::OneFile, "read other").refused(EACCES);
        attempt(Walls::OneFile, "list dataset").refused(EACCES);
    }),
    ("a_file_outside_cannot_be_read", || {
        for walls in BOTH {
            attempt(walls, "read outside").refused(EACCES);
            attempt(walls, "read passwd").refused(EACCES);
            attempt(walls, "read parent").refused(EXDEV);
        }
    }),
    ("a_link_in_a_dataset_leads_nowhere", || {
        for walls in BOTH {
            attempt(walls, "follow link").refused(EACCES);
        }
    }),
    ("a_descriptor_of_a_path_outside_opens_nothing", || {
        for walls in BOTH {
            attempt(walls, "reopen outside").refused(EACCES);
        }
    }),
    ("a_dataset_cannot_be_changed", || {
        for what in ["write dataset", "truncate dataset", "create in dataset", "remove from dataset"] {
            for walls in BOTH {
                let mut scene = Scene::new();
                scene.attempt(walls, what).refused(EACCES);
                assert_eq!(scene.read("dataset/file"), "dataset/file");
            }
        }
        attempt(Walls::Files, "truncate dataset by path").refused(EACCES);
    }),
    ("a_dataset_cannot_be_moved_or_linked_into_the_outputs", || {
        let refused = |outcome: Outcome| match outcome.answer {
            Some(Err(EACCES | EXDEV)) => {}
            _ => panic!("{outcome:?}"),
        };
        for walls in BOTH {
            refused(attempt(walls, "move dataset to outputs"));
        }
        refused(attempt(Walls::Files, "link dataset to outputs"));
    }),
    ("outputs_can_be_created_written_moved_and_removed", || {
        for walls in BOTH {
            let mut scene = Scene::new();
            scene.attempt(walls, "write outputs").text();
            assert_eq!(scene.read("outputs/new/moved"), "resul");
            assert!(!scene.root.path().join("outputs/old").exists());
            assert!(!scene.root.path().join("outputs/folder").exists());
        }
    }),
    ("outputs_cannot_be_read_or_listed", || {
        for what in ["read outputs", "read and write outputs", "read back", "list outputs"] {
            for walls in BOTH {
                attempt(walls, what).refused(EACCES);
            }
        }
    }),
    ("outputs_hold_only_files_and_folders", || {
        for what in ["symlink in outputs", "fifo in outputs", "socket in outputs"] {
            attempt(Walls::Files, what).refused(EACCES);
            attempt(Walls::Worker, what).killed(libc::SIGSYS);
        }
    }),
    ("a_write_only_descriptor_reads_nothing", || attempt(Walls::Worker, "read a write-only one").refused(EBADF)),
    ("open_files_are_limited", || {
        let mut scene = Scene::new();
        scene.rlimits.open_files = 32;
        scene.attempt(Walls::Worker, "open 20000 files").refused(EMFILE);
    }),
    ("a_file_past_the_limit_fails_to_grow", || {
        let mut scene = Scene::new();
        scene.rlimits.file_bytes = Some(1000);
        assert_eq!(scene.attempt(Walls::Worker, "write 1500 bytes").text(), "1000, then EFBIG");
        assert_eq!(scene.read("outputs/old").len(), 1000);
    }),
    ("no_tcp_and_no_signals_even_without_a_filter", || {
        attempt(Walls::Files, "connect").refused(EACCES);
        attempt(Walls::Files, "signal the supervisor").refused(EPERM);
        attempt(Walls::None, "signal the supervisor").text();
    }),
    ("another_thread_that_already_runs_is_reported", || {
        assert_eq!(attempt(Walls::None, "restrict late").text(), expected_when_late());
    }),
];

/// From Landlock version 8 on, running threads are restricted, too.
fn expected_when_late() -> String {
    let offered = cloister_isolation::probe().landlock;
    let bound = offered.detail().strip_prefix("ABI ").is_some_and(|version| version.parse::<u32>().unwrap() >= 8);
    if bound { offered.to_string() } else { format!("partial: {}; not for threads that already ran", offered.detail()) }
}

pub(crate) const DEEDS: &[Deed] = &[
    ("read dataset", |scene| content(open_beneath(&scene.dataset, "file", OFlags::RDONLY)?)),
    ("read other", |scene| content(open_beneath(&scene.dataset, "other", OFlags::RDONLY)?)),
    ("list dataset", |scene| list(open_beneath(&scene.dataset, ".", OFlags::RDONLY | OFlags::DIRECTORY)?)),
    ("read outside", |scene| content(open_anywhere(&scene.path("outside"), OFlags::RDONLY)?)),
    ("read passwd", |_| content(open_anywhere("/etc/passwd".as_ref(), OFlags::RDONLY)?)),
    ("read parent", |scene| content(open_beneath(&scene.dataset, "../outside", OFlags::RDONLY)?)),
    ("follow link", |scene| content(open_anywhere(&scene.path("dataset/link"), OFlags::RDONLY)?)),
    ("reopen outside", |scene| {
        let path = open_anywhere(&scene.path("outside"), OFlags::PATH)?;
        content(open_anywhere(format!("/proc/self/fd/{}", path.as_raw_fd()).as_ref(), OFlags::RDONLY)?)
    }),
    ("write dataset", |scene| opened(open_beneath(&scene.dataset, "file", OFlags::WRONLY))),
    ("truncate dataset", |scene| opened(open_beneath(&scene.dataset, "file", OFlags::RDONLY | OFlags::TRUNC))),
    ("create in dataset", |scene| opened(open_beneath(&scene.dataset, "new", OFlags::WRONLY | OFlags::CREATE))),
    ("remove from dataset", |scene| done(unlinkat(&scene.dataset, "file", AtFlags::empty()))),
    ("truncate dataset by path", |scene| {
        let path = std::ffi::CString::new(scene.path("dataset/file").into_os_string().into_encoded_bytes())?;
        // SAFETY: a C string that outlives the call.
        errno(unsafe { libc::truncate(path.as_ptr(), 0) })
    }),
    ("move dataset to outputs", |scene| done(renameat(&scene.dataset, "file", &scene.outputs, "file"))),
    ("link dataset to outputs", |scene| {
        fs::hard_link(scene.path("dataset/file"), scene.path("outputs/file")).map(|()| String::new())
    }),
    ("write outputs", write_outputs),
    ("read outputs", |scene| content(open_beneath(&scene.outputs, "old", OFlags::RDONLY)?)),
    ("read and write outputs", |scene| opened(open_beneath(&scene.outputs, "old", OFlags::RDWR))),
    ("read back", |scene| {
        let file = open_beneath(&scene.outputs, "new", OFlags::WRONLY | OFlags::CREATE)?;
        content(open_anywhere(format!("/proc/self/fd/{}", file.as_raw_fd()).as_ref(), OFlags::RDONLY)?)
    }),
    ("list outputs", |scene| list(open_beneath(&scene.outputs, ".", OFlags::RDONLY | OFlags::DIRECTORY)?)),
    ("symlink in outputs", |scene| done(rustix::fs::symlinkat("/", &scene.outputs, "new"))),
    ("fifo in outputs", |scene| make_special(scene, rustix::fs::FileType::Fifo)),
    ("socket in outputs", |scene| make_special(scene, rustix::fs::FileType::Socket)),
    ("read a write-only one", |scene| content(open_beneath(&scene.outputs, "new", OFlags::WRONLY | OFlags::CREATE)?)),
    ("open 20000 files", |scene| {
        let opened = (0..20_000).map(|_| open_beneath(&scene.dataset, "file", OFlags::RDONLY));
        opened.collect::<io::Result<Vec<_>>>().map(|all| all.len().to_string())
    }),
    ("write 1500 bytes", |scene| {
        let mut file = File::from(open_beneath(&scene.outputs, "old", OFlags::WRONLY | OFlags::TRUNC)?);
        let written = file.write(&[b'x'; 1500])?;
        let then = file.write(b"more").unwrap_err();
        assert_eq!(then.raw_os_error(), Some(libc::EFBIG));
        Ok(format!("{written}, then EFBIG"))
    }),
    ("connect", |_| std::net::TcpStream::connect(("127.0.0.1", 9)).map(|_| String::new())),
    ("signal the supervisor", |scene| {
        // SAFETY: signal 0 only checks permission.
        errno(unsafe { libc::kill(scene.supervisor, 0) })
    }),
    ("restrict late", |_| {
        let (hold, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || wait.recv().ok());
        let status = cloister_isolation::restrict_files(cloister_isolation::Paths::default());
        drop(hold);
        other.join().unwrap();
        Ok(status.to_string())
    }),
];

/// Every kind of change that a guest can make to its outputs.
fn write_outputs(scene: &behind::Scene) -> io::Result<String> {
    let dir = &scene.outputs;
    mkdirat(dir, "new", Mode::from(0o700))?;
    let mut file = File::from(open_beneath(dir, "made", OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?);
    file.write_all(b"results")?;
    file.set_len(5)?;
    file.sync_all()?;
    assert_eq!(file.metadata()?.len(), 5);
    renameat(dir, "made", dir, "new/moved")?;
    drop(open_beneath(dir, "old", OFlags::WRONLY | OFlags::TRUNC)?);
    unlinkat(dir, "old", AtFlags::empty())?;
    unlinkat(dir, "folder", AtFlags::REMOVEDIR)?;
    Ok(String::new())
}

fn make_special(scene: &behind::Scene, kind: rustix::fs::FileType) -> io::Result<String> {
    done(rustix::fs::mknodat(&scene.outputs, "new", kind, Mode::from(0o600), 0))
}

fn content(file: std::os::fd::OwnedFd) -> io::Result<String> {
    let mut text = String::new();
    File::from(file).read_to_string(&mut text).map(|_| text)
}

fn list(dir: std::os::fd::OwnedFd) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names.join(" "))
}

fn opened(file: io::Result<std::os::fd::OwnedFd>) -> io::Result<String> {
    file.map(|_| String::new())
}

fn done(result: rustix::io::Result<()>) -> io::Result<String> {
    Ok(result.map(|()| String::new())?)
}

/// For a call that returns -1 and sets `errno`.
pub(crate) fn errno(result: i32) -> io::Result<String> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(String::new()) }
}
