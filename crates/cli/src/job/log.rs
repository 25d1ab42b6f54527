use crate::{
    client::{Client, Job, read},
    context::Context,
    output::{note, shown},
};
use cloister_model::{JobId, escape};
use reqwest::Method;
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
    /// As a publisher of its datasets: print the log that is withheld from the job's consumer
    #[arg(long, conflicts_with = "follow")]
    withheld: bool,
}

impl Logs {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self { job, follow, withheld } = self;
        let job = job.to_string();
        let client = context.client()?;
        let path = ["v1", "jobs", &job, if withheld { "withheld-log" } else { "log" }];
        if copy(&client, &path, follow, || ()).await? > 0 || withheld {
            return Ok(());
        }
        let job: Job = read(&client.get(&["v1", "jobs", &job], &[]).await?)?;
        if let Some(log) = job.withheld_log.filter(|log| log.released.is_none()) {
            note(&shown(&log.text));
        }
        Ok(())
    }
}

/// Prints the log as it grows, until the job has ended. Calls `before` each time before it prints.
pub(super) async fn follow(client: &Client, job: &str, before: impl FnMut()) -> anyhow::Result<()> {
    copy(client, &["v1", "jobs", job, "log"], true, before).await.map(drop)
}

/// Prints a log. Returns its length in bytes.
async fn copy(client: &Client, path: &[&str], follow: bool, mut before: impl FnMut()) -> anyhow::Result<u64> {
    let query = if follow { &[("follow", "true")][..] } else { &[] };
    let mut response = client.send(client.patient_request(Method::GET, path, query)?).await?;
    let (mut printer, mut bytes) = (Printer::new(io::stdout().is_terminal()), 0);
    while let Some(chunk) = response.chunk().await.map_err(|error| client.fault(&error))? {
        bytes += chunk.len() as u64;
        before();
        printer.print(&chunk, io::stdout().lock())?;
    }
    before();
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
