use super::{
    download::{Folder, fetch_all},
    follow::{self, FINISHED, Show},
    request::{JobOptions, Program, complete, submit},
    results::{NOTHING, print_downloaded, read_list},
};
use crate::{
    asset::Named,
    client::{Client, Job, ResultFile, read},
    context::Context,
    exit::{Ended, INTERRUPTED, Usage},
    output::{Format, note, print_document},
};
use anyhow::Context as _;
use cloister_model::{JobId, ResultKind};
use serde_json::{Map, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Endings of files that can run, and of no published algorithm that is meant.
const PROGRAMS: [&str; 8] = ["wasm", "py", "pyz", "zip", "ipynb", "js", "mjs", "cjs"];

/// Run an algorithm on datasets: submit a job, follow it, download its results
///
/// PROGRAM is a WebAssembly program, a script, a notebook or a folder on this machine. If there is no such file, it is a published
/// algorithm. The exit code is 0 only if the job finished and all its results were downloaded.
///
/// Ctrl-C ends the command and not the job: the message says how to follow or stop the job.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// What runs: a file or a folder, or else a published algorithm: its name, OWNER/NAME, or DID
    program: PathBuf,
    #[command(flatten)]
    options: JobOptions,
    /// Download the results into this folder, which must be empty or not exist [default: `results-` and the first digits
    /// of the job's id]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Download into a folder that is not empty, and overwrite files whose content differs
    #[arg(long, requires = "dir")]
    force: bool,
}

impl Run {
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self { program, options, dir, force } = self;
        if let Some(dir) = dir.as_deref().filter(|_| !force) {
            must_be_empty(dir)?;
        }
        let named = published(&program)?;
        let program = named.as_ref().map_or(Program::File(&program), Program::Published);
        let body = options.body(Map::new(), Some(program))?;
        if !body.contains_key("datasets") {
            return Err(Usage::error("nothing to compute on: name a dataset with --dataset"));
        }
        let client = context.client()?;
        let body = complete(&client, body, Path::new("")).await?;
        let (id, _) = submit(&client, &options, &body).await?;
        note(&format!("job {id}"));
        // The log is text for people: a program that reads a document from the output does not want it.
        let show = if context.format == Format::Table { Show::Moving } else { Show::Line };
        let ended = follow::follow(&client, &id.to_string(), show).await?;
        let job: Job = read(&ended)?;
        let dir = dir.unwrap_or_else(|| PathBuf::from(format!("results-{}", &id.to_string()[..8])));
        let finished = job.phase == FINISHED;
        let (results, list, names) = if finished { fetch(&client, id, &dir, force).await? } else { Default::default() };
        if context.format != Format::Table {
            let dir = finished.then(|| dir.to_string_lossy());
            print_document(context.format, &json!({"job": ended, "dir": dir, "results": results, "files": names}))?;
        }
        follow::outcome(&job)?;
        if finished && !list.iter().any(|file| file.kind == ResultKind::Output) {
            note(NOTHING);
        }
        if context.format == Format::Table {
            print_downloaded(&dir, &list, &names)?;
        }
        Ok(())
    }
}

/// The published algorithm that is meant; none if it is a file.
fn published(program: &Path) -> anyhow::Result<Option<Named>> {
    if program.exists() {
        return Ok(None);
    }
    let missing = |what: &str| Usage::error(format!("`{}`: no such file{what}", program.display()));
    let is_program = program.extension().is_some_and(|ending| PROGRAMS.iter().any(|program| ending == *program));
    let text = program.to_str().filter(|text| !is_program && !text.starts_with(['.', '/']));
    let text = text.ok_or_else(|| missing(""))?;
    let named = text.parse().map_err(|error| missing(&format!(", and no published algorithm: {error}")))?;
    Ok(Some(named))
}

fn must_be_empty(dir: &Path) -> anyhow::Result<()> {
    let problem = match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => return Ok(()),
        Ok(false) => "the folder is not empty; name another one, or use --force to overwrite files in it".to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => error.to_string(),
    };
    Err(Usage::error(format!("--dir `{}`: {problem}", dir.display())))
}

type Fetched = (serde_json::Value, Vec<ResultFile>, Vec<String>);

/// Downloads the results. Ctrl-C ends the download, which can be resumed.
async fn fetch(client: &Client, id: JobId, dir: &Path, force: bool) -> anyhow::Result<Fetched> {
    let job = id.to_string();
    let path = ["v1", "jobs", job.as_str(), "results"];
    let fetched = async {
        let answer = client.get(&path, &[]).await?;
        let list = read_list(&answer)?;
        let names = if list.is_empty() {
            Vec::new()
        } else {
            fetch_all(client, &path, &job, &list, &Folder::open(dir)?, force).await?
        };
        Ok((answer["items"].clone(), list, names))
    };
    tokio::select! {
        fetched = fetched => fetched,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("waiting for Ctrl-C")?;
            let resume = format!("`cloister job results {job} --dir {}`", dir.display());
            Err(Ended::error(INTERRUPTED, format!("the job finished; the download was stopped, and {resume} resumes it")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_meant_if_there_is_one_and_a_published_algorithm_otherwise() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("rows");
        fs::write(&file, "").expect("written");
        assert_eq!(published(&file).expect("a file"), None);
        assert_eq!(published(folder.path()).expect("a folder"), None);
        for name in ["bob/rows", "rows-of-bob", "did:op:abc"] {
            assert!(published(Path::new(name)).expect("a name").is_some(), "{name}");
        }
        for missing in ["rows-of-bob.py", "bob/rows.wasm", "./rows-of-bob", "/no/rows", "A B", "../x"] {
            let error = published(Path::new(missing)).expect_err(missing).to_string();
            assert!(error.contains("no such file"), "{error}");
        }
    }

    #[test]
    fn results_of_different_jobs_are_not_mixed_by_accident() {
        let folder = tempfile::tempdir().expect("a folder");
        must_be_empty(folder.path()).expect("empty");
        must_be_empty(&folder.path().join("new")).expect("to be made");
        let file = folder.path().join("a");
        fs::write(&file, "").expect("written");
        assert!(must_be_empty(folder.path()).is_err() && must_be_empty(&file).is_err());
    }
}
