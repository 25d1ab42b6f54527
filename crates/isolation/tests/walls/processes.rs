//! What the supervisor can do to a process and learn about it, regardless of what the process does.

use crate::Case;
use crate::attempt::{Outcome, Scene, Walls, attempt, finish};
use crate::behind::{Deed, MORE};
use cloister_isolation::{Cause, PeakMemory, Program, SharedCounters, take_fd};
use libc::{SIGKILL, SIGXCPU, SIGXFSZ};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

const MIB: u64 = 1024 * 1024;

/// Much longer than anything takes here, on a busy machine, too.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) const CASES: &[Case] = &[
    ("a_process_that_spins_can_be_killed", || {
        let (child, _answer) = Scene::new().start(Walls::Worker, "spin");
        // On a busy machine, it may be a while until it has a processor.
        let start = Instant::now();
        while user_ticks(child.pid()) < 2 {
            assert!(start.elapsed() < PATIENCE, "the child does not spin");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        let exit = child.wait().unwrap();
        assert_eq!(exit.cause, Cause::Signaled(SIGKILL));
        assert!(exit.user_cpu > Duration::from_millis(5), "{exit:?}");
    }),
    ("a_process_that_ended_can_be_killed_and_waited_for", || {
        let (child, answer) = Scene::new().start(Walls::None, "nothing");
        assert_eq!(finish(child, answer).exit.cause, Cause::Exited(0));
    }),
    ("processor_time_is_limited", || {
        let mut scene = Scene::new();
        scene.rlimits.cpu_seconds = Some(1);
        let outcome = scene.attempt(Walls::Worker, "spin");
        assert_eq!(outcome.exit.cause, Cause::Signaled(SIGXCPU));
        let used = outcome.exit.user_cpu + outcome.exit.system_cpu;
        // The limit and this figure are counted in different ways: on a busy machine, 840 ms were said of a second, and what a virtual
        // machine was kept waiting counts as used.
        assert!(used >= Duration::from_millis(100), "{used:?}");
    }),
    ("processor_time_is_limited_even_for_who_ignores_the_signal", || {
        let mut scene = Scene::new();
        scene.rlimits.cpu_seconds = Some(1);
        assert_eq!(scene.attempt(Walls::Worker, "spin and ignore").exit.cause, Cause::Signaled(SIGKILL));
    }),
    ("file_size_kills_who_does_not_ignore_the_signal", || {
        let mut scene = Scene::new();
        scene.rlimits.file_bytes = Some(1000);
        scene.attempt(Walls::None, "write much with default signals").killed(SIGXFSZ);
    }),
    ("address_space_is_limited", || {
        let mut scene = Scene::new();
        scene.rlimits.address_space_bytes = Some(512 * MIB);
        assert_eq!(scene.attempt(Walls::Compiler, "allocate 1 GiB").text(), "refused");
        assert_eq!(attempt(Walls::Compiler, "allocate 1 GiB").text(), "had it");
    }),
    ("the_peak_of_memory_is_told", || {
        let Outcome { answer, exit } = attempt(Walls::None, "use 64 MiB");
        let peak = answer.unwrap().unwrap().parse::<u64>().unwrap();
        assert!((64 * MIB..128 * MIB).contains(&peak), "{peak}");
        assert!(exit.peak_resident_bytes >= 64 * MIB, "{exit:?}");
    }),
    ("counters_outlive_who_counted", || {
        let (counters, file) = SharedCounters::<4>::create().unwrap();
        let mut scene = Scene::new();
        scene.more.push(file);
        let (child, _answer) = scene.start(Walls::None, "count");
        let start = Instant::now();
        while counters.get(3).load(Relaxed) < 1000 {
            assert!(start.elapsed() < PATIENCE, "the child does not count");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().cause, Cause::Signaled(SIGKILL));
        let last = counters.get(3).load(Relaxed);
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(counters.get(3).load(Relaxed), last);
        assert!(last >= 1000);
    }),
    ("a_dropped_process_is_gone", || {
        let (child, _answer) = Scene::new().start(Walls::Worker, "spin");
        let process = format!("/proc/{}", child.pid());
        assert!(Path::new(&process).exists());
        drop(child);
        assert!(!Path::new(&process).exists());
    }),
    ("a_process_dies_with_its_supervisor", || {
        let (supervisor, mut answer) = Scene::new().start(Walls::None, "start another");
        let mut alive = [0; 5];
        answer.read_exact(&mut alive).unwrap();
        assert_eq!(&alive, b"alive");
        supervisor.kill().unwrap();
        supervisor.wait().unwrap();
        // The other end of the pipe stays open until the grandchild ends.
        let patience = Timespec::try_from(PATIENCE).unwrap();
        let ended = poll(&mut [PollFd::new(&answer, PollFlags::IN)], Some(&patience)).unwrap();
        assert_eq!((ended, answer.read(&mut alive).unwrap()), (1, 0));
    }),
];

pub(crate) const DEEDS: &[Deed] = &[
    ("nothing", |_| Ok(String::new())),
    ("spin", |_| spin()),
    ("spin and ignore", |_| {
        default_signal(libc::SIGXCPU, libc::SIG_IGN);
        spin()
    }),
    ("write much with default signals", |_| {
        default_signal(libc::SIGXFSZ, libc::SIG_DFL);
        let mut file = tempfile::tempfile()?;
        file.write_all(&[0; 2000]).map(|()| String::new())
    }),
    ("allocate 1 GiB", |_| {
        let mut bytes = Vec::<u8>::new();
        let had = bytes.try_reserve_exact(1 << 30).is_ok();
        Ok(if had { "had it" } else { "refused" }.to_owned())
    }),
    ("use 64 MiB", |_| {
        let peak = PeakMemory::open()?;
        drop(std::hint::black_box(vec![1_u8; 64 << 20]));
        Ok(peak.bytes().unwrap_or(0).to_string())
    }),
    ("count", |_| {
        let counters = SharedCounters::<4>::from_fd(take_fd(MORE)?)?;
        loop {
            counters.get(3).fetch_add(1, Relaxed);
        }
    }),
    ("start another", |scene| {
        let mut program = Program::new([crate::attempt::BEHIND, "none", "say alive and sleep", "/", "0"]);
        let somewhere = || File::open("/").map(std::os::fd::OwnedFd::from);
        program.fds = vec![scene.report.try_clone()?.into(), somewhere()?, somewhere()?];
        let child = program.spawn()?;
        child.wait().map(|exit| format!("{exit:?}"))
    }),
    ("say alive and sleep", |scene| {
        (&scene.report).write_all(b"alive")?;
        std::thread::sleep(PATIENCE * 2);
        Ok(String::new())
    }),
];

/// How long a process has worked in user mode, in the kernel's ticks, of which a second has a hundred (proc(5)).
fn user_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name, in parentheses, is the second field, and may contain spaces; this is the fourteenth.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(11).unwrap().parse().unwrap()
}

fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

#[expect(unsafe_code, reason = "signals are set by hand")]
fn default_signal(signal: i32, to: libc::sighandler_t) {
    // SAFETY: neither of the two values used here installs a handler.
    unsafe { libc::signal(signal, to) };
}
