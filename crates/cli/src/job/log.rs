use crate::{
    client::{Client, ClientError, JobExplanation, read},
    context::Context,
    output::note,
};
use cloister_model::{JobId, escape};
use reqwest::Method;
use serde_json::Value;
use std::io::{self, IsTerminal as _};

/// Maximum length of one line on a terminal, in characters.
const MOST_LINE: usize = 10_000;

/// Which log.
#[derive(Debug, clap::Args)]
pub(crate) struct Logs {
    /// The job's id
    job: JobId,
    /// Keep printing until the job has ended
    #[arg(short, long)]
    follow: bool,
}

impl Logs {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self { job, follow } = self;
        let (client, job) = (context.client()?, job.to_string());
        if copy(&client, &job, follow).await? == 0 && is_withheld(&client, &job).await? {
            note("the log is empty: an output contract lets none out (maxLogBytes: 0); ask the dataset's publisher");
        }
        Ok(())
    }
}

/// Prints the log as it grows, until the job has ended.
pub(super) async fn follow(client: &Client, job: &str) -> anyhow::Result<()> {
    copy(client, job, true).await.map(drop)
}

/// Whether the job's output contract lets no log out.
async fn is_withheld(client: &Client, job: &str) -> Result<bool, ClientError> {
    let explanation: JobExplanation = read(&client.get(&["v1", "jobs", job, "explain"], &[]).await?)?;
    Ok(explanation.terms.pointer("/outputContract/maxLogBytes").and_then(Value::as_u64) == Some(0))
}

/// Prints the log. Returns its length in bytes.
async fn copy(client: &Client, job: &str, follow: bool) -> anyhow::Result<u64> {
    let query = if follow { &[("follow", "true")][..] } else { &[] };
    let mut response = client.send(client.patient_request(Method::GET, &["v1", "jobs", job, "log"], query)?).await?;
    let (mut printer, mut bytes) = (Printer::new(io::stdout().is_terminal()), 0);
    while let Some(chunk) = response.chunk().await.map_err(|error| client.fault(&error))? {
        bytes += chunk.len() as u64;
        printer.print(&chunk, io::stdout().lock())?;
    }
    printer.finish(io::stdout().lock())?;
    Ok(bytes)
}

/// Prints a guest's log: unchanged to a file or a pipe, escaped and line by line to a terminal.
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
    fn a_terminal_gets_escaped_lines() {
        let chunks: [&[u8]; 3] = [b"a\x1b[2J", b"b\nc", b"d\r\xff"];
        assert_eq!(printed(true, &chunks), b"a\\u{1b}[2Jb\ncd\\r\\xff\n");
        assert_eq!(printed(false, &chunks), chunks.concat());
    }
}
