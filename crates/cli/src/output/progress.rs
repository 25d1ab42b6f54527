use super::width;
use std::io::{self, IsTerminal as _, Write as _};

/// A progress line on a terminal. Prints nothing elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    is_shown: bool,
    is_dirty: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal() && !super::speech::is_quiet(), is_dirty: false }
    }

    /// Whether there is a terminal to show it on.
    pub(crate) fn is_shown(&self) -> bool {
        self.is_shown
    }

    /// Replaces the line. The text must be escaped already.
    pub(crate) fn show(&mut self, text: &str) {
        if self.is_shown {
            // A line that is broken by the terminal cannot be taken away again.
            let most = width::of_stderr().map_or(usize::MAX, |width| width - 1);
            let text: String = text.chars().take(most).collect();
            let _ = write!(io::stderr().lock(), "\r\x1b[K{text}");
            self.is_dirty = true;
        }
    }

    /// Removes the line.
    pub(crate) fn clear(&mut self) {
        if self.is_dirty {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
            self.is_dirty = false;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
