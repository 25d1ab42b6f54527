//! What differs between outputs that wait for a review and those that were released last: for a reviewer, who has seen those.

use super::follow::FINISHED;
use crate::client::{Client, ClientError, Job, ResultFile, read_all};
use cloister_model::{ByteSize, JobId, ResultKind, escape};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Finished jobs of which one is looked for that ran on the same datasets and released files: the newest.
const MOST_JOBS: usize = 20;

/// Files that are named. The others are counted.
const MOST_NAMED: usize = 20;

/// Characters of a file's name.
const MOST_OF_NAME: usize = 100;

/// Characters of a file's name in a list of results, which is escaped by the service. In a receipt, it is as the algorithm chose it.
const MOST_IN_LIST: usize = 4096;

/// What the name of a file that was released encrypted ends in. Its digest is that of what was stored.
const ENCRYPTED: &str = ".age";

/// A file that was released.
#[derive(Debug)]
struct Released {
    bytes: u64,
    sha256: String,
}

/// The last job of the same algorithm on the same datasets that released files.
#[derive(Debug)]
pub(super) struct Earlier {
    job: JobId,
    ended: Option<String>,
    files: BTreeMap<String, Released>,
}

impl Earlier {
    /// The last such job that the caller may see and that has a receipt. None for an algorithm that came with its job.
    pub(super) async fn of(client: &Client, job: &Job) -> Result<Option<Self>, ClientError> {
        let (Some(algorithm), Some(dataset)) = (&job.algorithm.did, job.datasets.first()) else { return Ok(None) };
        let query = [("dataset", dataset.as_str()), ("algorithm", algorithm.as_str()), ("phase", FINISHED)];
        let found = client.pages(&["v1", "jobs"], &query, MOST_JOBS).await?;
        for Job { id, ended, datasets, .. } in read_all(&found)? {
            if datasets != job.datasets {
                continue;
            }
            let receipt = match client.get(&["v1", "jobs", &id.to_string(), "receipt"], &[]).await {
                Ok(receipt) => receipt,
                Err(ClientError::Problem(problem)) if matches!(problem.status, 404 | 409) => continue,
                Err(error) => return Err(error),
            };
            let files = released(&receipt["receipt"]);
            if !files.is_empty() {
                return Ok(Some(Self { job: id, ended, files }));
            }
        }
        Ok(None)
    }

    /// What is different in outputs that wait, as lines. Names are an algorithm's: they are escaped and bounded.
    pub(super) fn compared(&self, waiting: &[ResultFile]) -> Vec<String> {
        let Self { job, ended, files } = self;
        let at = ended.as_deref().map(|ended| format!(" on {}", escape(ended.as_bytes(), 64))).unwrap_or_default();
        let outputs: Vec<&ResultFile> = waiting.iter().filter(|file| file.kind == ResultKind::Output).collect();
        let names: BTreeSet<&str> = outputs.iter().map(|file| file.name.as_str()).collect();
        let was_encrypted = |name: &str| {
            let stored = format!("{name}{ENCRYPTED}");
            !files.contains_key(name) && files.contains_key(&stored) && !names.contains(stored.as_str())
        };
        let (mut lines, mut unchanged) = (Vec::new(), Vec::new());
        for ResultFile { name, bytes, sha256, .. } in &outputs {
            let (shown, size) = (bounded(name), ByteSize(*bytes));
            match files.get(name) {
                None if was_encrypted(name) => {
                    lines.push(format!("  {shown}: was released encrypted, so it cannot be compared, {size}"));
                }
                None => lines.push(format!("  {shown}: new, {size}")),
                Some(before) if before.sha256 == sha256.to_string() => {
                    unchanged.push(format!("  {shown}: unchanged, {size}"));
                }
                Some(before) if before.bytes == *bytes => {
                    lines.push(format!("  {shown}: other content, {size} as before"));
                }
                Some(before) => lines.push(format!("  {shown}: {} -> {size}", ByteSize(before.bytes))),
            }
        }
        let is_here = |name: &str| names.contains(name);
        let gone = files.keys().filter(|name| {
            let plain = name.strip_suffix(ENCRYPTED);
            !is_here(name) && !plain.is_some_and(|plain| is_here(plain) && was_encrypted(plain))
        });
        lines.extend(gone.map(|name| format!("  {}: not among these", bounded(name))));
        let what = if lines.is_empty() { "the same files as" } else { "compared with" };
        lines.append(&mut unchanged);
        if let Some(more) = lines.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
            lines.truncate(MOST_NAMED);
            lines.push(format!("  and {more} more files"));
        }
        lines.insert(0, format!("{what} those that job {job} of this algorithm released{at}:"));
        lines
    }
}

/// The files that a job released, by their names as a list of results has them.
fn released(receipt: &Value) -> BTreeMap<String, Released> {
    let files = receipt.pointer("/outputs/files").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let outputs = files.iter().filter(|file| file["kind"] == "output");
    let one = |file: &Value| {
        let name = escape(file["name"].as_str()?.as_bytes(), MOST_IN_LIST).to_string();
        Some((name, Released { bytes: file["bytes"].as_u64()?, sha256: file["sha256"].as_str()?.to_owned() }))
    };
    outputs.filter_map(one).collect()
}

fn bounded(name: &str) -> String {
    escape(name.as_bytes(), MOST_OF_NAME).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sha256(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    fn listed(files: &[(&str, u64, char)]) -> Vec<ResultFile> {
        let file = |(index, (name, bytes, digit)): (usize, &(&str, u64, char))| {
            let name = escape(name.as_bytes(), MOST_IN_LIST).to_string();
            json!({"index": index, "name": name, "kind": "output", "bytes": bytes, "sha256": sha256(*digit)})
        };
        let files: Vec<Value> = files.iter().enumerate().map(file).collect();
        read_all(&files).expect("results")
    }

    fn earlier(files: &[(&str, u64, char)]) -> Earlier {
        let file = |(name, bytes, digit): &(&str, u64, char)| {
            let sha256 = sha256(*digit);
            json!({"name": name, "kind": "output", "bytes": bytes, "sha256": sha256})
        };
        let files: Vec<Value> = files.iter().map(file).collect();
        let job = "0123456789abcdef0123456789abcdef".parse().expect("an id");
        let files = released(&json!({"outputs": {"state": "released", "files": files}}));
        Earlier { job, ended: Some("2026-01-31T12:00:00Z".to_owned()), files }
    }

    #[test]
    fn what_is_different_comes_first() {
        let before = earlier(&[("a.csv", 1200, '1'), ("b.json", 30, '2'), ("c.csv", 7, '3'), ("d.csv", 7, '4')]);
        let waiting = listed(&[("a.csv", 1400, '5'), ("b.json", 30, '2'), ("c.csv", 7, '6'), ("e.csv", 1, '7')]);
        let lines = before.compared(&waiting);
        let expected = [
            "compared with those that job 0123456789abcdef0123456789abcdef of this algorithm released on 2026-01-31T12:00:00Z:",
            "  a.csv: 1.2 kB -> 1.4 kB",
            "  c.csv: other content, 7 bytes as before",
            "  e.csv: new, 1 byte",
            "  d.csv: not among these",
            "  b.json: unchanged, 30 bytes",
        ];
        assert_eq!(lines, expected);
        let same = before.compared(&listed(&[
            ("a.csv", 1200, '1'),
            ("b.json", 30, '2'),
            ("c.csv", 7, '3'),
            ("d.csv", 7, '4'),
        ]));
        assert!(same[0].starts_with("the same files as those that job 0123"), "{same:?}");
    }

    #[test]
    fn what_was_released_encrypted_is_neither_new_nor_gone() {
        let before = earlier(&[("a.csv.age", 1400, '1'), ("b.csv.age", 300, '2'), ("c.age", 7, '3')]);
        let lines = before.compared(&listed(&[("a.csv", 1200, '4'), ("c.age", 7, '3')]));
        let expected = [
            "  a.csv: was released encrypted, so it cannot be compared, 1.2 kB",
            "  b.csv.age: not among these",
            "  c.age: unchanged, 7 bytes",
        ];
        assert_eq!(lines[1..], expected);
    }

    #[test]
    fn names_are_escaped_and_lines_are_bounded() {
        let long = "y".repeat(3000);
        let odd = [("\u{1b}[2J\n", 1, '1'), (long.as_str(), 1, '1')];
        let lines = earlier(&odd).compared(&listed(&odd));
        // A name that has to be escaped is found again, too.
        assert!(lines[0].starts_with("the same files as") && lines.len() == 3, "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains(['\u{1b}', '\n']) && line.len() < 300), "{lines:?}");
        let names: Vec<String> = (0..70).map(|n| format!("{n}.csv")).collect();
        let many: Vec<(&str, u64, char)> = names.iter().map(|name| (name.as_str(), 1, '1')).collect();
        let lines = earlier(&[("a.csv", 1, '1')]).compared(&listed(&many));
        assert_eq!(lines.len(), 2 + MOST_NAMED);
        assert_eq!(lines.last().expect("a line"), "  and 51 more files");
    }

    /// The log of a job is another one each time.
    #[test]
    fn logs_are_not_compared() {
        let receipt = json!({"outputs": {"files": [
            {"name": "algorithm.log", "kind": "algorithmLog", "bytes": 1, "sha256": sha256('1')},
        ]}});
        assert!(released(&receipt).is_empty());
        assert!(released(&json!({"outputs": {"state": "nothing-released"}})).is_empty());
    }
}
