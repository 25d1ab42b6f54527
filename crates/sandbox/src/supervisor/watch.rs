use super::Observer;
use anyhow::Result;
use cloister_isolation::{Child, Exit};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use std::{
    fs::File,
    io::Read as _,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

/// How often [`Observer::tick`] is called.
const TICK: Duration = Duration::from_millis(200);

/// Who ended a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    ByItself,
    /// The supervisor killed it at the deadline.
    Deadline,
}

/// What a process wrote, and how it ended.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) ended: Ended,
    pub(crate) exit: Exit,
    /// What it wrote to its result pipe, up to the limit.
    pub(crate) result: Vec<u8>,
    /// Bytes that it wrote to its log pipe beyond the log's limit.
    pub(crate) log_dropped: u64,
    /// Bytes of the log that were kept.
    pub(crate) log_kept: u64,
}

/// The reading end of a pipe. Bytes up to a limit are kept; the rest is read and dropped.
struct Inlet {
    pipe: Option<File>,
    kept: u64,
    dropped: u64,
    limit: u64,
}

impl Inlet {
    fn new(pipe: Option<File>, limit: u64) -> Self {
        Self { pipe, kept: 0, dropped: 0, limit }
    }

    /// Reads the available bytes with one system call. Closes the pipe at its end.
    fn take(&mut self, mut keep: impl FnMut(&[u8])) {
        let mut buffer = [0; 64 * 1024];
        let Some(pipe) = &mut self.pipe else { return };
        match pipe.read(&mut buffer) {
            Ok(bytes) if bytes > 0 => {
                let room = usize::try_from(self.limit - self.kept).unwrap_or(usize::MAX).min(bytes);
                keep(&buffer[..room]);
                self.kept += room as u64;
                self.dropped += (bytes - room) as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => self.pipe = None,
        }
    }
}

/// Waits for a process while reading its pipes, and kills it at the deadline.
///
/// # Errors
/// If waiting fails. The process cannot cause an error.
pub(crate) fn watch(
    child: Child,
    deadline: Instant,
    result: File,
    result_limit: u64,
    log: Option<(File, u64)>,
    observer: &mut dyn Observer,
) -> Result<Watched> {
    let mut written = Vec::new();
    let (log, log_limit) = log.map_or((None, 0), |(pipe, limit)| (Some(pipe), limit));
    let (mut result, mut log) = (Inlet::new(Some(result), result_limit), Inlet::new(log, log_limit));
    let mut ended = Ended::ByItself;
    let mut alive = true;
    while alive || result.pipe.is_some() || log.pipe.is_some() {
        #[expect(clippy::disallowed_methods, reason = "compares with the deadline")]
        let now = Instant::now();
        let wait = match ended {
            // After the process has ended, the rest is read without waiting. A descendant could otherwise keep the pipes
            // open, although the system call filter allows none.
            _ if !alive => Duration::ZERO,
            Ended::ByItself => deadline.saturating_duration_since(now).min(TICK),
            Ended::Deadline => TICK,
        };
        let timeout = Timespec::try_from(wait)?;
        let (pidfd, mut ready) = (child.pidfd(), Vec::with_capacity(3));
        if alive {
            ready.push((0, PollFd::from_borrowed_fd(pidfd, PollFlags::IN)));
        }
        for (number, inlet) in [(1, &result), (2, &log)] {
            if let Some(pipe) = &inlet.pipe {
                ready.push((number, PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
            }
        }
        let numbers: Vec<i32> = ready.iter().map(|(number, _)| *number).collect();
        let mut fds: Vec<PollFd<'_>> = ready.into_iter().map(|(_, fd)| fd).collect();
        let count = match poll(&mut fds, Some(&timeout)) {
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let ready: Vec<i32> = numbers
            .into_iter()
            .zip(&fds)
            .filter_map(|(number, fd)| (!fd.revents().is_empty()).then_some(number))
            .collect();
        drop(fds);
        // On a busy machine, this process may look late: one that has ended by itself by then has not met its limit.
        if alive && now >= deadline && ended == Ended::ByItself && !ready.contains(&0) {
            child.kill()?;
            ended = Ended::Deadline;
        }
        if count == 0 {
            if !alive {
                break;
            }
            observer.tick();
        }
        for number in ready {
            match number {
                0 => alive = false,
                1 => result.take(|bytes| written.extend_from_slice(bytes)),
                _ => log.take(|bytes| observer.log(bytes)),
            }
        }
    }
    let exit = child.wait()?;
    Ok(Watched { ended, exit, result: written, log_dropped: log.dropped, log_kept: log.kept })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::Unobserved;
    use cloister_isolation::Program;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a deadline that is over")]
    fn a_process_that_ended_before_it_was_looked_at_has_not_met_its_limit() {
        // This program, which lists its tests and ends.
        let child = Program::new(["--list"]).spawn().expect("started");
        poll(&mut [PollFd::from_borrowed_fd(child.pidfd(), PollFlags::IN)], None).expect("its end");
        let (result, end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
        drop(end);
        let watched = watch(child, Instant::now(), result.into(), 10, None, &mut Unobserved).expect("watched");
        assert_eq!(watched.ended, Ended::ByItself);
    }
}
