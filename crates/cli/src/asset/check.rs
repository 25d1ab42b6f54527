//! `cloister dataset check`, and the same after `apply`: whether the sources of a dataset can be read at present; and what
//! `dataset show` says of the last time that they were needed.

use super::{
    kind::collection,
    name::{Named, find},
};
use crate::{
    client::{Client, ClientError, read},
    context::Context,
    exit::{Ended, FAILED},
    output::{Format, Table, note, print_document, print_field, shown},
};
use cloister_model::{AssetKind, ByteSize, Manifest};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a command waits for sources.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sources that are named after `apply`.
const MOST_NAMED: usize = 20;

/// Which dataset: one of yours.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// Its name, OWNER/NAME, or DID
    dataset: Named,
}

/// What the service found.
#[derive(Debug, Deserialize)]
struct Checks {
    pending: bool,
    sources: Vec<Source>,
}

/// What one source gave. Texts are the service's.
#[derive(Debug, Deserialize)]
struct Source {
    field: String,
    place: String,
    /// Text, because a newer service may have more states.
    state: String,
    bytes: Option<u64>,
    sha256: Option<String>,
    problem: Option<String>,
}

impl Source {
    fn is_found(&self) -> bool {
        self.state == "found"
    }
}

impl Check {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        let did = find(&client, AssetKind::Dataset, &self.dataset).await?;
        let answer = ask(&client, &did).await?;
        let Checks { pending, sources } = read(&answer)?;
        if context.format != Format::Table {
            print_document(context.format, &answer)?;
        } else if !pending {
            print_sources(&sources)?;
        }
        let failed = sources.iter().filter(|source| source.problem.is_some()).count();
        match (pending, failed) {
            (true, _) => Err(Ended::error(FAILED, late())),
            (false, 0) => Ok(()),
            (false, failed) => {
                Err(Ended::error(FAILED, format!("{failed} of {} sources cannot be read", sources.len())))
            }
        }
    }
}

fn print_sources(sources: &[Source]) -> anyhow::Result<()> {
    let mut table = Table::new(["SOURCE", "AT", "STATE", "SIZE", "SHA-256", "PROBLEM"]);
    for source in sources {
        let size = source.bytes.map(|bytes| ByteSize(bytes).to_string()).unwrap_or_default();
        let compared = if source.sha256.is_some() { "as declared" } else { "" };
        let problem = source.problem.clone().unwrap_or_default();
        let (field, place, state) = (source.field.clone(), source.place.clone(), source.state.clone());
        table.row([field, place, state, size, compared.to_owned(), problem]);
    }
    Ok(table.print("the dataset has no sources")?)
}

/// What the service knows of the sources of a dataset without asking them.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    check: Option<LastCheck>,
    job: Option<Provision>,
}

/// The last look at them.
#[derive(Debug, Deserialize)]
struct LastCheck {
    at: String,
    revision: u64,
    current: bool,
    sources: Vec<Source>,
    others: u64,
}

/// The last job that needed them.
#[derive(Debug, Deserialize)]
struct Provision {
    id: String,
    at: String,
    problem: Option<String>,
}

/// What the service knows of the sources of a dataset; none if the caller is not its owner, or the service does not say.
pub(super) async fn seen(client: &Client, did: &str) -> anyhow::Result<Option<Value>> {
    match client.get(&["v1", collection(AssetKind::Dataset), did, "check"], &[]).await {
        Ok(answer) => Ok(Some(answer)),
        // 405: an older service.
        Err(ClientError::Problem(problem)) if matches!(problem.status, 404 | 405) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Seen {
    /// Prints it below the fields of a dataset.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        print_field("sources", 26, &self.checked())?;
        print_field("last job", 26, &self.provided())?;
        match &self.check {
            Some(check) if !check.sources.is_empty() => print_sources(&check.sources),
            _ => Ok(()),
        }
    }

    fn checked(&self) -> String {
        let Some(LastCheck { at, revision, current, sources, others }) = &self.check else {
            return "not checked yet: run `cloister dataset check`".to_owned();
        };
        let found = sources.iter().filter(|source| source.is_found()).count() as u64;
        let failed = sources.iter().filter(|source| source.problem.is_some()).count();
        let all = (sources.len() as u64).saturating_add(*others);
        let since = if *current { String::new() } else { format!("; that was revision {revision}") };
        let failed = if failed == 0 { String::new() } else { format!(", {failed} could not") };
        format!("checked {}: {found} of {all} could be read{failed}{since}", shown(at))
    }

    fn provided(&self) -> String {
        match &self.job {
            None => "none of the newest jobs has needed them".to_owned(),
            Some(Provision { id, at, problem: None }) => format!("{} got the files at {}", shown(id), shown(at)),
            Some(Provision { id, at, problem: Some(problem) }) => {
                format!("{} did not get the files at {}: {}", shown(id), shown(at), shown(problem))
            }
        }
    }
}

fn late() -> String {
    format!("the sources did not answer within {} seconds; ask again with `cloister dataset check`", PATIENCE.as_secs())
}

/// Asks until the service has an answer, or for as long as a person waits.
async fn ask(client: &Client, did: &str) -> anyhow::Result<Value> {
    let began = Instant::now();
    loop {
        let answer = client.post(&["v1", collection(AssetKind::Dataset), did, "check"], &json!({})).await?.body;
        if !read::<Checks>(&answer)?.pending || began.elapsed() >= PATIENCE {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Prints the result of the check of a dataset that was published just now. A check that fails is a note and not an error: the dataset
/// is published.
pub(super) async fn say(client: &Client, did: &str, manifest: Option<&Manifest>) {
    let checks = match ask(client, did).await {
        Ok(answer) => read::<Checks>(&answer).map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match checks {
        Ok(checks) => checks.lines(manifest).iter().for_each(|line| note(line)),
        Err(error) => note(&format!("The sources were not checked: {error}")),
    }
}

impl Checks {
    fn lines(&self, manifest: Option<&Manifest>) -> Vec<String> {
        if self.pending {
            return vec![format!("Caution: {}.", late())];
        }
        let named = |source: &Source| {
            let field = manifest.map_or_else(|| source.field.clone(), |manifest| manifest.place(&source.field));
            format!("{} ({})", shown(&field), shown(&source.place))
        };
        let failed = self.sources.iter().filter_map(|source| Some((source, source.problem.as_ref()?)));
        let count = failed.clone().count();
        let mut lines: Vec<String> = failed
            .take(MOST_NAMED)
            .map(|(source, problem)| {
                format!("Caution: {}: {}. Jobs fail as long as this is so.", named(source), shown(problem))
            })
            .collect();
        if let Some(more) = count.checked_sub(MOST_NAMED).filter(|more| *more > 0) {
            lines.push(format!("Caution: {more} more sources cannot be read; see `cloister dataset check`."));
        }
        let found: Vec<&Source> = self.sources.iter().filter(|source| source.is_found()).collect();
        if !found.is_empty() {
            let bytes = found.iter().filter_map(|source| source.bytes).fold(0_u64, u64::saturating_add);
            let compared = match found.iter().filter(|source| source.sha256.is_some()).count() {
                0 => String::new(),
                1 => ", one compared with its `sha256`".to_owned(),
                many => format!(", {many} compared with their `sha256`"),
            };
            let (found, all) = (found.len(), self.sources.len());
            lines.push(format!("Sources: {found} of {all} can be read, {}{compared}.", ByteSize(bytes)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_last_is_said_with_its_time() {
        let seen = |value: Value| serde_json::from_value::<Seen>(value).expect("an answer");
        let nothing = seen(json!({}));
        assert!(nothing.checked().contains("not checked yet"), "{nothing:?}");
        let source = |state: &str, problem: Option<&str>| json!({"field": "f", "place": "p", "state": state, "problem": problem});
        let both = seen(json!({
            "check": {"at": "2026-01-01T00:00:00.000Z", "revision": 1, "current": false, "others": 3,
                "sources": [source("found", None), source("failed", Some("it answered 404"))]},
            "job": {"id": "00", "at": "2026-01-02T00:00:00.000Z", "problem": "it answered 500\u{1b}"},
        }));
        assert_eq!(
            both.checked(),
            "checked 2026-01-01T00:00:00.000Z: 1 of 5 could be read, 1 could not; that was revision 1"
        );
        assert_eq!(both.provided(), "00 did not get the files at 2026-01-02T00:00:00.000Z: it answered 500\\u{1b}");
    }

    #[test]
    fn what_fails_is_named_as_in_the_manifest_and_the_rest_is_counted() {
        let manifest = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "d"},
            "spec": {"files": [{"type": "inline", "content": "x"}], "compute": {}}});
        let manifest = Manifest::from_value(&manifest).expect("a manifest");
        let checks = |sources: Value| {
            serde_json::from_value::<Checks>(json!({"pending": false, "sources": sources})).expect("an answer")
        };
        let source = |n: usize, rest: Value| {
            let mut source = json!({"field": format!("services[0].files[{n}]"), "place": "https://a\u{1b}.example"});
            source.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
            source
        };
        let found = |n| source(n, json!({"state": "found", "bytes": 1000, "sha256": "0".repeat(64)}));
        let failed = |n| source(n, json!({"state": "failed", "problem": "it answered 404"}));
        let lines = checks(json!([found(0), failed(1), source(2, json!({"state": "found"}))])).lines(Some(&manifest));
        assert_eq!(
            lines,
            [
                "Caution: spec.files[1] (https://a\\u{1b}.example): it answered 404. Jobs fail as long as this is so.",
                "Sources: 2 of 3 can be read, 1 kB, one compared with its `sha256`.",
            ]
        );
        let many: Vec<Value> = (0..30).map(failed).collect();
        assert_eq!(checks(json!(many)).lines(None).len(), MOST_NAMED + 1);
        let late = Checks { pending: true, sources: Vec::new() }.lines(None);
        assert!(late[0].contains("did not answer"), "{late:?}");
    }
}
