//! Orders and reports as files.

use crate::exit::{Ended, FAILED, Usage};
use anyhow::Context as _;
use cloister_model::{JobId, RunSummary, Said, Sha256, StepMessage};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

/// How often the account of a run is looked for.
const PAUSE: Duration = Duration::from_millis(20);

/// Bytes of an order: the descriptions of a hundred assets, and code.
const MOST_ORDER_BYTES: u64 = 256 << 20;

/// Reads an order: a file, a folder with its parts, or the argument itself. Refuses one of another digest.
pub(super) fn order<T: DeserializeOwned>(given: &Path, sha256: Option<Sha256>) -> anyhow::Result<T> {
    let (shown, text) = match given.to_str().filter(|text| text.starts_with('{')) {
        Some(text) => ("the order in the argument".to_owned(), text.as_bytes().to_vec()),
        None => {
            let shown = format!("the order `{}`", given.display());
            let unreadable = |error: io::Error| Usage::error(format!("{shown} cannot be read: {error}"));
            let text = gather(given).map_err(unreadable)?;
            (shown, text)
        }
    };
    meant(&shown, &text, sha256)?;
    parse(&shown, "an order for this step", &text)
}

/// Reads a report of another step, or of the run. Refuses one of another digest.
pub(super) fn report<T: DeserializeOwned>(path: &Path, sha256: Option<Sha256>) -> anyhow::Result<T> {
    parse(&format!("the report `{}`", path.display()), "a report", &report_text(path, sha256)?)
}

/// The same as it is written.
pub(super) fn report_text(path: &Path, sha256: Option<Sha256>) -> anyhow::Result<Vec<u8>> {
    let shown = format!("the report `{}`", path.display());
    let text = read(path).map_err(|error| Usage::error(format!("{shown} cannot be read: {error}")))?;
    meant(&shown, &text, sha256)?;
    Ok(text)
}

fn parse<T: DeserializeOwned>(shown: &str, what: &str, text: &[u8]) -> anyhow::Result<T> {
    // What serde says can quote the text, which holds credentials.
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Usage::error(format!("{shown} is not {what}, or of another version (line {line}, column {column})"))
    })
}

/// Refuses a text of another digest than the caller of this step gave.
fn meant(shown: &str, text: &[u8], sha256: Option<Sha256>) -> anyhow::Result<()> {
    if sha256.is_some_and(|expected| Sha256::of(text) != expected) {
        return Err(Usage::error(format!("{shown} is not the one that was meant: it has another SHA-256 digest")));
    }
    Ok(())
}

/// A file, or all files of a folder in the order of their names. A mounted secret has hidden folders beside its files.
fn gather(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_dir() {
        return read(path);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort();
    let mut text = Vec::new();
    for name in names {
        text.extend(read(&path.join(name))?);
    }
    Ok(text)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MOST_ORDER_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_ORDER_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}

/// Writes a termination message into a file that the kubelet has made.
pub(super) fn write_message(path: &Path, message: &StepMessage) -> anyhow::Result<()> {
    let written = OpenOptions::new().write(true).create(true).truncate(true).open(path);
    let written = written.and_then(|mut file| file.write_all(&message.write()));
    written.with_context(|| format!("the termination message `{}` cannot be written", path.display()))
}

/// Writes a report: whole, or not at all.
pub(super) fn write(path: &Path, report: &impl Serialize) -> anyhow::Result<()> {
    write_text(path, &serde_json::to_vec(report)?)
}

/// Writes a file: whole, or not at all.
pub(super) fn write_text(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let draft = path.with_extension("draft");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().with_context(|| format!("the report `{}` cannot be written", path.display()))
}

/// What another step has said. None: it has not said it yet, or not to its end.
pub(super) fn message(path: &Path) -> Option<StepMessage> {
    StepMessage::read(&read(path).ok()?)
}

/// What the run of a job came to, as the sandbox has written it: waits for it, however long that takes.
pub(super) async fn run_of(path: &Path, job: JobId) -> anyhow::Result<RunSummary> {
    let message = loop {
        match message(path) {
            Some(message) => break message,
            None => tokio::time::sleep(PAUSE).await,
        }
    };
    match message.said {
        Said::Ran(summary) if message.job == job => Ok(summary),
        _ => Err(Ended::error(FAILED, "nothing was run, so that there is nothing to check or to store")),
    }
}
