//! Processes that are started before they are given anything.

use crate::Case;
use cloister_isolation::{Cause, Child, Handed, Rlimits, Role, WaitingProgram, permitted_syscalls};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, getrlimit};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The first argument of a process that waits for its descriptors.
pub(crate) const WAITS: &str = "waits";

/// The largest stack of these processes.
const STACK_BYTES: u64 = 32 << 20;

/// The exit status of a process that was not given what it waited for.
const NOTHING: u8 = 104;

pub(crate) const CASES: &[Case] = &[
    ("a_waiting_process_has_a_connection_and_nothing_else", || {
        let waiting = start();
        let process = process_that_waits();
        let mut targets: Vec<_> = fs::read_dir(process.join("fd"))
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let target = fs::read_link(&path).unwrap().to_string_lossy().into_owned();
                format!("{}={}", path.file_name().unwrap().to_string_lossy(), target.split(":[").next().unwrap())
            })
            .collect();
        targets.sort();
        assert_eq!(targets.join(" "), "0=/dev/null 1=/dev/null 2=/dev/null 3=socket");
        assert_eq!(fs::read(process.join("environ")).unwrap(), b"");
        assert!(fs::read_to_string(process.join("status")).unwrap().contains("NoNewPrivs:\t1"));
        drop(waiting);
    }),
    ("what_is_handed_over_arrives_in_order_whatever_its_number", || {
        for files in [0, 1, 63, 64, 65, 300] {
            let said = begin(start(), files, Rlimits { open_files: 400, ..Rlimits::default() });
            assert!(said.starts_with(&format!("{files} files in order; ")), "{files}: {said}");
        }
    }),
    ("a_handed_descriptor_is_taken_once", || {
        let said = begin(start(), 3, Rlimits::default());
        assert!(said.contains("taken twice: EBADF; not there: EBADF"), "{said}");
    }),
    ("limits_hold_before_anything_is_handed_over", || {
        let limits = Rlimits { open_files: 77, cpu_seconds: Some(5), stack_bytes: Some(3 << 20), ..Rlimits::default() };
        // Some of these processes are still in their exec, whose end sets the limit on the stack.
        for _ in 0..100 {
            let said = begin(start(), 2, limits);
            assert!(said.ends_with("open files 77, processor time 6, stack 3145728, core 0"), "{said}");
        }
    }),
    ("a_process_that_may_not_have_so_many_descriptors_does_not_begin", || {
        let (child, _) = hand_over(start(), 50, Rlimits { open_files: 10, ..Rlimits::default() });
        assert_eq!(child.wait().unwrap().cause, Cause::Exited(i32::from(NOTHING)));
    }),
    ("a_waiting_process_ends_with_what_started_it", || {
        let waiting = start();
        let process = process_that_waits();
        drop(waiting);
        assert!(!process.exists());
    }),
    ("a_process_that_was_started_otherwise_is_handed_nothing", || {
        let mut command = std::process::Command::new("/proc/self/exe");
        let status = command.arg(WAITS).env_clear().status().unwrap();
        assert_eq!(status.code(), Some(i32::from(NOTHING)));
    }),
    ("a_guest_can_receive_no_descriptors", || {
        let permitted = format!("{:?}", permitted_syscalls(Role::Worker).collect::<Vec<_>>());
        assert!(permitted.contains("read"), "{permitted}");
        assert!(!permitted.contains("recv"), "{permitted}");
    }),
];

/// The process that waits. Its answer is on the first descriptor; the others are files that hold their number.
pub(crate) fn run() -> ExitCode {
    let Ok(mut handed) = Handed::receive() else { return ExitCode::from(NOTHING) };
    let mut report = File::from(handed.take(0).unwrap());
    let mut files = 0_usize;
    while let Ok(file) = handed.take(files + 1) {
        let mut content = String::new();
        File::from(file).read_to_string(&mut content).unwrap();
        assert_eq!(content, files.to_string());
        files += 1;
    }
    let refused = |handed: &mut Handed, number| match handed.take(number).unwrap_err().raw_os_error() {
        Some(libc::EBADF) => "EBADF",
        _ => "another error",
    };
    let (twice, absent) = (refused(&mut handed, 0), refused(&mut handed, files + 1));
    let limit = |resource| getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let [open, cpu, stack, core] = [Resource::Nofile, Resource::Cpu, Resource::Stack, Resource::Core].map(limit);
    write!(
        report,
        "{files} files in order; taken twice: {twice}; not there: {absent}; open files {open}, processor time {cpu}, \
         stack {stack}, core {core}"
    )
    .unwrap();
    ExitCode::SUCCESS
}

fn start() -> WaitingProgram {
    WaitingProgram::start([WAITS], STACK_BYTES).unwrap()
}

/// The folder below /proc of the only child of this process, once it waits.
fn process_that_waits() -> std::path::PathBuf {
    let own = std::process::id();
    loop {
        let children =
            fs::read_to_string(format!("/proc/{own}/task/{}/children", rustix::thread::gettid().as_raw_nonzero()));
        let children = children.unwrap();
        let process = Path::new("/proc").join(children.split_whitespace().next().expect("a child"));
        // It waits for a message once it is asleep.
        let status = fs::read_to_string(process.join("status")).unwrap();
        if status.lines().any(|line| line.starts_with("State:\tS")) {
            return process;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Hands a pipe and so many files over. Returns what can be read from the pipe.
fn hand_over(waiting: WaitingProgram, files: usize, limits: Rlimits) -> (Child, OwnedFd) {
    let folder = tempfile::tempdir().unwrap();
    let (answer, report) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let mut fds = vec![report];
    fds.extend((0..files).map(|number| {
        let path = folder.path().join("file");
        // Another file each time: what is open stays as it was.
        let _ = fs::remove_file(&path);
        fs::write(&path, number.to_string()).unwrap();
        OwnedFd::from(File::open(&path).unwrap())
    }));
    (waiting.begin(limits, &fds).unwrap(), answer)
}

/// Hands them over, and returns what the process says.
fn begin(waiting: WaitingProgram, files: usize, limits: Rlimits) -> String {
    let (child, answer) = hand_over(waiting, files, limits);
    let mut said = String::new();
    File::from(answer).read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().cause, Cause::Exited(0), "{said}");
    said
}
