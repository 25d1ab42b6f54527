//! Measures the cost of the walls: `cargo run --release -p cloister-isolation --example measure`.
//!
//! Prints medians in microseconds, for a program as small as this one. Larger programs take longer to load.

use cloister_isolation::{
    Paths, Program, Role, Status, close_rest, deny_new_code, restrict_files, restrict_syscalls, take_fd, undumpable,
};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::Instant;

const ROUNDS: usize = 300;
const STEPS: [&str; 7] = [
    "spawn returns",
    "until main of the new process",
    "taking descriptors, closing the rest",
    "Landlock, two directories",
    "no new code, undumpable",
    "seccomp, worker",
    "from the end of main to waited for",
];

fn main() -> io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("worker") => worker(),
        _ => supervisor(),
    }
}

fn supervisor() -> io::Result<()> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (report, ours) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let directory = || File::open("/").map(Into::into);
        let mut program = Program::new(["worker"]);
        program.fds = vec![ours, directory()?, directory()?];

        let start = now();
        let child = program.spawn()?;
        let spawned = now();
        let mut answer = String::new();
        File::from(report).read_to_string(&mut answer)?;
        child.wait()?;
        let waited = now();

        let mut theirs = answer.lines().map(|line| line.parse::<u64>().unwrap_or(0));
        let (main, ended) = (theirs.next().unwrap_or(0), theirs.next().unwrap_or(0));
        let mut round = vec![spawned - start, main - start];
        round.extend(theirs);
        round.push(waited - ended);
        rounds.push(round);
    }
    let mut out = io::stdout().lock();
    for (step, name) in STEPS.iter().enumerate() {
        let mut times: Vec<_> = rounds.iter().filter_map(|round| round.get(step).copied()).collect();
        times.sort_unstable();
        let at = |percent| times.get(times.len() * percent / 100).copied().unwrap_or(0);
        writeln!(out, "{:>6} us (p90 {:>6})  {name}", at(50) / 1000, at(90) / 1000)?;
    }
    Ok(())
}

fn worker() -> io::Result<()> {
    let main = now();
    let mut times = Vec::new();
    let mut timed = |work: &mut dyn FnMut() -> Option<Status>| {
        let start = Instant::now();
        let status = work();
        times.push(start.elapsed().as_nanos());
        debug_assert!(status.is_none_or(|status| status.is_enforced()));
    };
    let mut fds = Vec::new();
    timed(&mut || {
        fds.extend((3..6).filter_map(|n| take_fd(n).ok()));
        Some(close_rest())
    });
    timed(&mut || Some(restrict_files(Paths { read: &[fds[1].as_fd()], write: Some(fds[2].as_fd()) })));
    timed(&mut || undumpable().ok().map(|()| deny_new_code()));
    timed(&mut || Some(restrict_syscalls(Role::Worker)));
    drop(fds.drain(1..));
    let times: Vec<_> = times.iter().map(ToString::to_string).collect();
    let mut report = File::from(fds.remove(0));
    let report_now = format!("{main}\n{}\n{}\n", now(), times.join("\n"));
    report.write_all(report_now.as_bytes())
}

/// Nanoseconds of a clock that both processes share.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
