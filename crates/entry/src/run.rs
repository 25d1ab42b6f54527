use crate::{Run, memory, walls};
use cloister_isolation::EndSignal;
use cloister_model::{Command as Words, ContainerEnd};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    io::{Errno, read},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, set_child_subreaper, wait},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The pause between two looks at what happens.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// How long the algorithm has to end after it got `SIGTERM`.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes that are read of what was printed before the end, once the program has ended. A pipe holds 64 KiB.
const LAST_BYTES: usize = 1 << 20;
/// The exit code of a process that ends because of `SIGTERM`: 128 and the number of the signal.
const ENDED_BY_SIGNAL: u8 = 143;

/// Runs the algorithm behind the walls, and says with which code this process has to exit. What it says of itself goes to
/// stderr, and never a word of the algorithm.
pub fn run(order: &Run) -> (u8, Option<String>) {
    match attempt(order) {
        Ok(Some(end)) => (end.code(), None),
        Ok(None) => (ENDED_BY_SIGNAL, Some("it got a signal to end".to_owned())),
        Err((end, why)) => (end.code(), Some(why)),
    }
}

type Failed = (ContainerEnd, String);

fn fault(what: &'static str) -> impl Fn(io::Error) -> Failed {
    move |error| (ContainerEnd::HostFault, format!("{what}: {error}"))
}

fn errno(what: &'static str) -> impl Fn(Errno) -> Failed {
    move |error| (ContainerEnd::HostFault, format!("{what}: {error}"))
}

/// None: this process got a signal to end.
fn attempt(order: &Run) -> Result<Option<ContainerEnd>, Failed> {
    let signal = EndSignal::listen().map_err(fault("signals"))?;
    let command = Words::read(&order.entrypoint).map_err(|error| (ContainerEnd::NoCommand, error.to_string()))?;
    let mut printed = Printed::begin(order)?;
    let (from, to) = pipe_with(PipeFlags::CLOEXEC).map_err(errno("a pipe"))?;
    let copy = to.try_clone().map_err(fault("a pipe"))?;
    if !order.home.as_os_str().is_empty() {
        fs::create_dir_all(&order.home).map_err(fault("the home of the algorithm"))?;
    }
    // Where this process is not the first one: what outlives its parent is found here, too.
    set_child_subreaper(Some(rustix::process::getpid())).map_err(errno("children of children"))?;
    let killed_before = memory::killed();
    walls::put_up(order).map_err(|why| (ContainerEnd::NoWall, why))?;

    let (program, arguments) = command.words.split_first().unwrap_or((&order.entrypoint, &[]));
    let mut process = Command::new(program);
    process.args(arguments).stdin(Stdio::null()).stdout(to).stderr(copy).process_group(0);
    process.env_clear().envs(environment(order));
    let child = process.spawn().map_err(|error| (ContainerEnd::NoProgram, error.kind().to_string()))?;
    let pid = Pid::from_child(&child);
    // It holds the other end of the pipe: without it, the end of what is printed would never be seen.
    drop(process);
    let end = watch(order, pid, &from, &mut printed, &signal)?;
    let killed = memory::killed();
    // In a container, the end of process 1 is the end of all; elsewhere, of what the algorithm started as its own.
    let _ = kill_process_group(pid, Signal::KILL);
    printed.last(&from);
    Ok(match end {
        Some(_) if killed > killed_before => Some(ContainerEnd::Memory),
        end => end,
    })
}

/// Waits for the end of the algorithm's own process, while it copies what is printed.
fn watch(
    order: &Run,
    pid: Pid,
    from: &OwnedFd,
    printed: &mut Printed,
    signal: &EndSignal,
) -> Result<Option<ContainerEnd>, Failed> {
    let begun = Instant::now();
    let mut signalled_at: Option<Instant> = None;
    let mut open = true;
    loop {
        let mut waited = [PollFd::new(from, PollFlags::IN)];
        let waited = if open { &mut waited[..] } else { &mut [] };
        match poll(waited, Some(&LOOK)) {
            Ok(1..) => open = printed.more(from).map_err(errno("what is printed"))?,
            Ok(0) | Err(Errno::INTR) => {}
            Err(error) => return Err(errno("waiting")(error)),
        }
        while let Some((ended, status)) = reap()? {
            if ended == pid {
                return Ok(signalled_at.is_none().then(|| ended_by_itself(status)));
            }
        }
        if signalled_at.is_none() && signal.is_received() {
            let _ = kill_process(pid, Signal::TERM);
            signalled_at = Some(Instant::now());
        }
        if signalled_at.is_some_and(|at| at.elapsed() >= GRACE) {
            return Ok(None);
        }
        if begun.elapsed() >= order.wall {
            return Ok(Some(ContainerEnd::WallTime));
        }
    }
}

/// A child that has ended: as process 1, also one that lost its parent.
fn reap() -> Result<Option<(Pid, WaitStatus)>, Failed> {
    match wait(WaitOptions::NOHANG) {
        Ok(found) => Ok(found),
        Err(Errno::INTR | Errno::CHILD) => Ok(None),
        Err(error) => Err(errno("waiting for the algorithm")(error)),
    }
}

fn ended_by_itself(status: WaitStatus) -> ContainerEnd {
    let signal = || status.terminating_signal().and_then(|signal| u8::try_from(signal).ok());
    match status.exit_status().map(u8::try_from) {
        Some(Ok(code)) => ContainerEnd::exited(code),
        Some(Err(_)) => ContainerEnd::Signal(0),
        None => ContainerEnd::Signal(signal().unwrap_or(0)),
    }
}

/// The environment of the algorithm: what its image says, without what the cluster adds, and what the run adds.
fn environment(order: &Run) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    let of_cluster = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"KUBERNETES_");
    let mut all: Vec<_> = std::env::vars_os().filter(|(name, _)| !of_cluster(name)).collect();
    let home = [("HOME", order.home.as_os_str()), ("TMPDIR", "/tmp".as_ref())];
    all.extend(home.map(|(name, value)| (name.into(), value.to_owned())));
    all.extend([("ALGO".into(), cloister_model::ALGORITHM_FILE.into())]);
    all.extend(order.environment.iter().map(|(name, value)| (name.into(), value.into())));
    all
}

/// What the algorithm printed.
struct Printed {
    log: File,
    log_left: u64,
    live_left: u64,
    buffer: Vec<u8>,
}

impl Printed {
    /// Begins the log. One that is there belongs to a run that was begun before.
    fn begin(order: &Run) -> Result<Self, Failed> {
        let log = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&order.log);
        let log = log.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => (ContainerEnd::BegunBefore, "there is a log of an earlier run".to_owned()),
            _ => (ContainerEnd::HostFault, format!("the log: {error}")),
        })?;
        Ok(Self { log, log_left: order.log_bytes, live_left: order.live_log_bytes, buffer: vec![0; 64 * 1024] })
    }

    /// Takes what has been printed since. False at its end.
    fn more(&mut self, from: &OwnedFd) -> Result<bool, Errno> {
        let count = match read(from, self.buffer.as_mut_slice()) {
            Err(Errno::INTR | Errno::AGAIN) => return Ok(true),
            count => count?,
        };
        let new = &self.buffer[..count];
        let keep = new.len().min(usize::try_from(self.log_left).unwrap_or(usize::MAX));
        self.log_left = self.log_left.saturating_sub(keep as u64);
        // A volume that the algorithm has filled takes no log either.
        let _ = self.log.write_all(&new[..keep]);
        let live = new.len().min(usize::try_from(self.live_left).unwrap_or(usize::MAX));
        self.live_left = self.live_left.saturating_sub(live as u64);
        let _ = io::stdout().write_all(&new[..live]).and_then(|()| io::stdout().flush());
        Ok(count > 0)
    }

    /// Takes what is left in the pipe, within bounds: what the algorithm started may still print.
    fn last(&mut self, from: &OwnedFd) {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        for _ in 0..LAST_BYTES / self.buffer.len() {
            let there = poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&at_once));
            if !matches!(there, Ok(1..)) || !matches!(self.more(from), Ok(true)) {
                break;
            }
        }
        let _ = self.log.sync_all();
    }
}
