use crate::{arguments::Context, client::Client};
use cloister_model::{JobId, escape};
use reqwest::Method;
use std::io::{self, IsTerminal as _};

/// Characters of one line on a terminal.
const MOST_LINE: usize = 10_000;

/// Which log.
#[derive(Debug, clap::Args)]
pub(crate) struct Logs {
    /// The job's id
    job: JobId,
    /// Go on until the job has ended
    #[arg(short, long)]
    follow: bool,
}

impl Logs {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self { job, follow } = self;
        copy(&context.client()?, &job.to_string(), follow).await
    }
}

/// Prints the log as it grows, to the job's end.
pub(super) async fn follow(client: &Client, job: &str) -> anyhow::Result<()> {
    copy(client, job, true).await
}

async fn copy(client: &Client, job: &str, follow: bool) -> anyhow::Result<()> {
    let query = if follow { &[("follow", "true")][..] } else { &[] };
    let mut response = client.send(client.patient_request(Method::GET, &["v1", "jobs", job, "log"], query)?).await?;
    let mut printer = Printer::new(io::stdout().is_terminal());
    while let Some(chunk) = response.chunk().await.map_err(|error| client.fault(&error))? {
        printer.print(&chunk, io::stdout().lock())?;
    }
    Ok(printer.finish(io::stdout().lock())?)
}

/// Prints what a guest printed: as it is into a file or a pipe, line by line and escaped on a terminal.
#[derive(Debug)]
struct Printer {
    is_terminal: bool,
    line: Vec<u8>,
}

impl Printer {
    fn new(is_terminal: bool) -> Self {
        Self { is_terminal, line: Vec::new() }
    }

    fn print(&mut self, bytes: &[u8], mut to: impl io::Write) -> io::Result<()> {
        if !self.is_terminal {
            to.write_all(bytes)?;
            return to.flush();
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            self.line.extend_from_slice(text);
            if text.len() < piece.len() || self.line.len() > 4 * MOST_LINE {
                writeln!(to, "{}", escape(&self.line, MOST_LINE))?;
                self.line.clear();
            }
        }
        to.flush()
    }

    fn finish(&mut self, mut to: impl io::Write) -> io::Result<()> {
        if !self.line.is_empty() {
            writeln!(to, "{}", escape(&self.line, MOST_LINE))?;
            self.line.clear();
        }
        to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(is_terminal: bool, chunks: &[&[u8]]) -> Vec<u8> {
        let (mut printer, mut to) = (Printer::new(is_terminal), Vec::new());
        for chunk in chunks {
            printer.print(chunk, &mut to).expect("written");
        }
        printer.finish(&mut to).expect("written");
        to
    }

    #[test]
    fn a_terminal_sees_lines_and_nothing_that_acts() {
        let chunks: [&[u8]; 3] = [b"a\x1b[2J", b"b\nc", b"d\r\xff"];
        assert_eq!(printed(true, &chunks), b"a\\u{1b}[2Jb\ncd\\r\\xff\n");
        assert_eq!(printed(false, &chunks), chunks.concat());
    }
}
