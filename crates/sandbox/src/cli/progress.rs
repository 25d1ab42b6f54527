use cloister_model::escape;
use cloister_sandbox::supervisor::{Observer, Phase};
use std::{
    fs::File,
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

/// The most characters of a log line that are shown at once.
const LINE: usize = 500;

/// Shows a run on a terminal: its phase, and the guest's log with control characters escaped.
#[derive(Debug)]
pub(super) struct Progress {
    is_terminal: bool,
    show_log: bool,
    log_file: Option<File>,
    /// Bytes of the log that are still printed as they are.
    live_bytes: u64,
    phase: Option<(Phase, Instant)>,
    line: Vec<u8>,
}

impl Progress {
    pub(super) fn new(show_log: bool, log_file: Option<File>) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { is_terminal, show_log, log_file, live_bytes: 0, phase: None, line: Vec::new() }
    }

    /// Prints at most so many bytes of the log, as they are.
    pub(super) fn printing(self, live_bytes: u64) -> Self {
        Self { live_bytes, ..self }
    }

    /// Shows the rest of the log and clears the progress line.
    pub(super) fn finish(&mut self) {
        if !self.line.is_empty() {
            self.show_line();
        }
        self.clear();
    }

    fn clear(&self) {
        if self.is_terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    fn show_line(&mut self) {
        self.clear();
        let _ = writeln!(std::io::stderr(), "| {}", escape(&self.line, LINE));
        self.line.clear();
    }
}

impl Observer for Progress {
    fn phase(&mut self, phase: Phase) {
        if let (Phase::Running, Some(file)) = (phase, &self.log_file)
            && file.metadata().is_ok_and(|metadata| metadata.is_file())
        {
            // Remove the log of an earlier run.
            let _ = file.set_len(0);
        }
        #[expect(clippy::disallowed_methods, reason = "shows the user how long a phase takes")]
        let now = Instant::now();
        self.phase = Some((phase, now));
        self.tick();
    }

    fn tick(&mut self) {
        let Some((phase, since)) = self.phase.filter(|_| self.is_terminal) else { return };
        let what = match phase {
            Phase::Reading => "reading the algorithm",
            Phase::Compiling => "checking and compiling",
            Phase::Running => "running",
            Phase::Collecting => "reading the outputs",
        };
        let _ = write!(std::io::stderr(), "\r\x1b[K{what} … {:.1} s", since.elapsed().as_secs_f64());
    }

    fn log(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.log_file
            && file.write_all(bytes).is_err()
        {
            self.log_file = None;
            super::complain("cannot write the log file; the rest of the log is lost");
        }
        let live = usize::try_from(self.live_bytes).unwrap_or(usize::MAX).min(bytes.len());
        if live > 0 {
            self.live_bytes -= live as u64;
            let mut out = std::io::stdout();
            // A reader that has gone needs none of it.
            if out.write_all(&bytes[..live]).and_then(|()| out.flush()).is_err() {
                self.live_bytes = 0;
            }
        }
        if !self.show_log {
            return;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            self.line.extend_from_slice(text);
            if text.len() < piece.len() || self.line.len() > 4 * LINE {
                self.show_line();
            }
        }
    }
}
