//! What a new process inherits.

#![expect(unsafe_code, reason = "creates an inheritable descriptor by hand")]

use crate::Case;
use crate::attempt::{BEHIND, Scene, Walls, attempt, finish, parse};
use crate::behind::{Deed, MORE};
use cloister_isolation::{Cause, Program, close_rest, take_fd};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};

pub(crate) const CASES: &[Case] = &[
    ("nothing_is_inherited_but_what_is_handed_over", || {
        // Open, and inheritable, in this process.
        // SAFETY: duplicates a descriptor; the copy is never closed.
        assert!(unsafe { libc::dup(0) } > 2);
        assert_eq!(
            attempt(Walls::None, "list descriptors").text(),
            "0=/dev/null 1=/dev/null 2=/dev/null 3=pipe 4=dataset 5=outputs"
        );
    }),
    ("descriptors_arrive_in_order_whatever_their_numbers", || {
        for _ in 0..20 {
            let mut scene = Scene::new();
            let files = ["outside", "dataset/file", "outputs/old", "dataset/other"];
            scene.more = files.iter().map(|name| File::open(scene.root.path().join(name)).unwrap().into()).collect();
            scene.more.sort_by_key(|fd| std::cmp::Reverse(fd.as_raw_fd()));
            let listed = scene.attempt(Walls::None, "list descriptors").text();
            assert!(listed.ends_with("5=outputs 6=other 7=old 8=file 9=outside"), "{listed}");
        }
    }),
    ("many_descriptors_can_be_handed_over", || {
        let mut scene = Scene::new();
        scene.rlimits.open_files = 512;
        scene.more = (0..400).map(|_| File::open(scene.root.path().join("outside")).unwrap().into()).collect();
        let listed = scene.attempt(Walls::None, "list descriptors").text();
        assert!(listed.ends_with(" 405=outside"), "{listed}");
    }),
    ("the_environment_is_empty", || assert_eq!(attempt(Walls::None, "environment").text(), "0")),
    ("an_environment_is_reported", || {
        let mut command = std::process::Command::new("/proc/self/exe");
        command.args([BEHIND, "none", "inheritance", "/", "0"]).env_clear().env("SECRET", "value");
        assert_eq!(run_plainly(&mut command), Some(Ok("partial: 1 environment variables were inherited".to_owned())));
    }),
    ("what_was_not_taken_is_closed", || {
        let mut scene = Scene::new();
        scene.more = vec![File::open("/").unwrap().into(), File::open("/").unwrap().into()];
        let said = scene.attempt(Walls::None, "inheritance").text();
        assert_eq!(said, "enforced: no environment; 2 descriptors that were not handed over are closed");
    }),
    ("a_descriptor_is_taken_once", || {
        let mut scene = Scene::new();
        scene.more = vec![File::open("/").unwrap().into()];
        assert_eq!(scene.attempt(Walls::None, "take twice").text(), "closed on exec; second: EBADF; not open: EBADF");
    }),
    ("a_process_has_a_session_and_a_directory_of_its_own", || {
        assert_eq!(attempt(Walls::None, "session").text(), "leads its session, in /");
    }),
    ("no_rights_can_be_gained", || {
        let status = attempt(Walls::None, "own status").text();
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }),
    ("signals_are_as_for_a_new_program", || {
        // Blocked and ignored in this process, but not in the new one. (Rust itself ignores SIGPIPE.)
        // SAFETY: neither value installs a handler.
        unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
        let status = attempt(Walls::None, "own status").text();
        assert!(status.contains("SigBlk:\t0000000000000000"), "{status}");
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
        let ignored = u64::from_str_radix(ignored, 16).unwrap();
        assert_eq!(ignored & !(1 << (libc::SIGPIPE - 1)) & !(1 << (libc::SIGXFSZ - 1)), 0, "{status}");
    }),
    ("core_dumps_are_off", || assert_eq!(attempt(Walls::None, "core limit").text(), "Some(0)")),
    ("output_streams_can_be_given", || {
        let (answer, stdout) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (errors, stderr) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (report, ours) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let mut program = Program::new([BEHIND, "none", "print", "/", "0"]);
        program.fds = vec![ours, File::open("/").unwrap().into(), File::open("/").unwrap().into()];
        (program.stdout, program.stderr) = (Some(stdout), Some(stderr));
        finish(program.spawn().unwrap(), report.into()).text();
        assert_eq!((read(answer), read(errors)), ("to stdout".to_owned(), "to stderr".to_owned()));
    }),
    ("a_program_that_was_replaced_still_starts", || {
        let scene = Scene::new();
        let copy = scene.root.path().join("program");
        fs::copy("/proc/self/exe", &copy).unwrap();
        let mut command = std::process::Command::new(&copy);
        command.args([BEHIND, "none", "replace and start again", scene.root.path().to_str().unwrap(), "0"]);
        assert_eq!(run_plainly(&mut command), Some(Ok("0".to_owned())));
    }),
    ("an_argument_with_a_nul_is_refused", || {
        let error = Program::new(["a\0b"]).spawn().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }),
    ("a_process_that_cannot_start_is_an_error_or_an_exit", || {
        let mut program = Program::new(["nothing"]);
        program.rlimits.open_files = 0;
        // The loader cannot open the C library.
        assert!(!matches!(program.spawn().unwrap().wait().unwrap().cause, Cause::Exited(0)));
    }),
];

pub(crate) const DEEDS: &[Deed] = &[
    ("list descriptors", |_| {
        let mut open: Vec<_> = fs::read_dir("/proc/self/fd")?
            .map(|entry| Ok((entry?.file_name().to_string_lossy().parse::<i32>().unwrap_or(-1), ())))
            .collect::<std::io::Result<_>>()?;
        open.sort();
        let named = open.into_iter().filter_map(|(number, ())| {
            let target = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
            let target = target.to_string_lossy();
            let name = match target.split_once(":[") {
                Some((kind, _)) => kind,
                None if target.starts_with("/dev") => &target,
                None => target.rsplit('/').next()?,
            };
            Some((number, name.to_owned()))
        });
        // The report's descriptor is also open under a higher number.
        let mut named: Vec<_> = named.collect();
        let copy = named.iter().rposition(|(_, name)| name == "pipe").filter(|&last| last > 3);
        copy.map(|last| named.remove(last));
        Ok(named.iter().map(|(number, name)| format!("{number}={name}")).collect::<Vec<_>>().join(" "))
    }),
    ("environment", |_| Ok(std::env::vars_os().count().to_string())),
    ("inheritance", |_| Ok(close_rest().to_string())),
    ("take twice", |_| {
        let first = take_fd(MORE)?;
        let flags = rustix::io::fcntl_getfd(&first)?;
        assert_eq!(flags, rustix::io::FdFlags::CLOEXEC);
        let twice = take_fd(MORE).unwrap_err().raw_os_error();
        let absent = take_fd(100).unwrap_err().raw_os_error();
        assert_eq!((twice, absent), (Some(libc::EBADF), Some(libc::EBADF)));
        Ok("closed on exec; second: EBADF; not open: EBADF".to_owned())
    }),
    ("session", |_| {
        let (own, session) = (rustix::process::getpid(), rustix::process::getsid(None)?);
        assert_eq!((own, own), (session, rustix::process::getpgrp()));
        Ok(format!("leads its session, in {}", std::env::current_dir()?.display()))
    }),
    ("own status", |_| fs::read_to_string("/proc/self/status")),
    ("core limit", |_| Ok(format!("{:?}", rustix::process::getrlimit(rustix::process::Resource::Core).maximum))),
    ("print", |_| {
        print!("to stdout");
        eprint!("to stderr");
        Ok(String::new())
    }),
    ("replace and start again", |scene| {
        fs::remove_file(scene.path("program"))?;
        fs::write(scene.path("program"), "#!/bin/false")?;
        Ok(attempt(Walls::None, "environment").text())
    }),
];

/// Runs a program that reports on descriptor 3, started with the standard library.
fn run_plainly(command: &mut std::process::Command) -> Option<Result<String, i32>> {
    use std::os::unix::process::CommandExt;
    let (answer, report) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let root = File::open("/").unwrap();
    let (from, other) = (report.as_raw_fd(), root.as_raw_fd());
    // SAFETY: three bare system calls on descriptors that are open in both processes.
    unsafe {
        command.pre_exec(move || {
            let high = libc::fcntl(from, libc::F_DUPFD_CLOEXEC, 100);
            let root = libc::fcntl(other, libc::F_DUPFD_CLOEXEC, 100);
            let moved = [(high, 3), (root, 4), (root, 5)].map(|(from, to)| libc::dup2(from, to));
            if moved == [3, 4, 5] { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
    let mut process = command.spawn().unwrap();
    drop(report);
    let said = read(answer);
    process.wait().unwrap();
    parse(&said)
}

fn read(from: OwnedFd) -> String {
    let mut text = String::new();
    File::from(from).read_to_string(&mut text).unwrap();
    text
}
