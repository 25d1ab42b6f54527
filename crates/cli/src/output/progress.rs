use super::width;
use std::io::{self, IsTerminal as _, Write as _};

/// A progress line on a terminal. Prints nothing elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    is_shown: bool,
    /// Characters of the line that is there; 0: none is.
    used: usize,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal() && !super::speech::is_quiet(), used: 0 }
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
            let _ = write!(io::stderr().lock(), "{}{text}", erase(self.used, !cfg!(windows)));
            self.used = text.chars().count();
        }
    }

    /// Removes the line.
    pub(crate) fn clear(&mut self) {
        if self.used > 0 {
            let _ = write!(io::stderr().lock(), "{}", erase(self.used, !cfg!(windows)));
            self.used = 0;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What takes away the line that the cursor is in, of so many characters. Consoles of Windows print control sequences as they are until
/// they are told otherwise: there, spaces are written over the line.
fn erase(used: usize, has_sequences: bool) -> String {
    if has_sequences { "\r\x1b[K".to_owned() } else { format!("\r{}\r", " ".repeat(used)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_away_with_and_without_control_sequences() {
        assert_eq!(erase(3, true), "\r\u{1b}[K");
        assert_eq!(erase(3, false), "\r   \r");
        assert_eq!(erase(0, false), "\r\r");
    }
}
