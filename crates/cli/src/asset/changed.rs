//! `cloister algorithm diff`: whether an algorithm is still what a dataset allows, and what of it is not.

use super::{
    fetch::files_checksum,
    name::{Named, find},
    trust::TRUSTED,
};
use crate::{
    client::{Asset, read},
    context::Context,
    exit::{Ended, FAILED, NOT_FOUND, Usage},
    folder::ToSend,
    input::measure,
    output::{Format, note, print_document, print_field, shown, shown_path},
};
use cloister_model::{AssetKind, FilesChecksum, Sha256};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Compare an algorithm with the version of it that your dataset allows
///
/// A dataset holds the checksums of what you allowed, and no service keeps the files of earlier versions. So this names the parts that
/// differ, by their checksums. With --kept, it looks for the allowed files in the folder that you inspected then, so that you can compare
/// their contents with what is published now.
///
/// Exit code 0: what is published is what the dataset allows. 1: it differs.
#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// The algorithm
    algorithm: Named,
    /// Your dataset
    #[arg(short, long)]
    dataset: Named,
    /// The folder that `algorithm fetch` filled when you inspected it
    #[arg(long, value_name = "DIR")]
    kept: Option<PathBuf>,
}

/// How a part compares with what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Same,
    Changed,
    Added,
    Removed,
    /// The rule allows any.
    Any,
}

/// A part of an algorithm: a file, or its container section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Part {
    part: String,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<String>,
}

impl Part {
    fn new(part: String, allowed: Option<&str>, now: Option<&str>) -> Self {
        let state = match (allowed, now) {
            (Some("*"), _) => State::Any,
            (Some(allowed), Some(now)) if allowed == now => State::Same,
            (Some(_), Some(_)) => State::Changed,
            (None, _) => State::Added,
            (Some(_), None) => State::Removed,
        };
        Self { part, state, allowed: allowed.map(str::to_owned), now: now.map(str::to_owned) }
    }

    fn differs(&self) -> bool {
        !matches!(self.state, State::Same | State::Any)
    }

    fn said(&self) -> String {
        let text = |text: &Option<String>| shown(text.as_deref().unwrap_or_default());
        match self.state {
            State::Same => format!("the same: {}", text(&self.now)),
            State::Any => "any is allowed".to_owned(),
            State::Changed => format!("changed: {} is allowed, {} is published", text(&self.allowed), text(&self.now)),
            State::Added => format!("new: {}", text(&self.now)),
            State::Removed => format!("gone: {}", text(&self.allowed)),
        }
    }
}

impl Diff {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        let dataset = find(&client, AssetKind::Dataset, &self.dataset).await?;
        let algorithm = find(&client, AssetKind::Algorithm, &self.algorithm).await?;
        let rules = client.get(&["v1", "datasets", &dataset, "permissions"], &[]).await?;
        let asset: Asset = read(&client.get(&["v1", "algorithms", &algorithm], &[]).await?)?;
        let present = files_checksum(&asset)?;
        let Some(parts) = compared(&rules, &algorithm, &present, asset.container_section_checksum.as_deref()) else {
            let text = format!(
                "no rule of {} trusts {} by name: there is nothing to compare with",
                self.dataset, self.algorithm
            );
            return Err(Ended::error(NOT_FOUND, text));
        };
        let kept = self.kept.as_deref().map(|folder| kept(folder, &parts)).transpose()?;
        if context.format != Format::Table {
            let document = json!({"dataset": dataset, "algorithm": algorithm, "parts": parts, "kept": kept});
            print_document(context.format, &document)?;
        } else {
            for part in &parts {
                print_field(&part.part, 12, &part.said())?;
            }
        }
        if !parts.iter().any(Part::differs) {
            return Ok(());
        }
        match &kept {
            Some(files) if files.is_empty() => note("no file of the folder is one that you allowed"),
            Some(files) => {
                let files: Vec<String> = files.iter().map(|file| shown_path(file)).collect();
                note(&format!("as you allowed it: {}", files.join(", ")));
            }
            None => {}
        }
        note(&format!(
            "`cloister algorithm fetch {} --dir DIR` downloads what is published now, to inspect it and to compare it with what you kept",
            self.algorithm
        ));
        let revision = asset.revision;
        Err(Ended::error(
            FAILED,
            format!("revision {revision} of {} is not what {} allows", self.algorithm, self.dataset),
        ))
    }
}

/// Compares what is published with the entry of the rules that allows it, or else with the last one that names it. None if none does.
fn compared(rules: &Value, algorithm: &str, now: &FilesChecksum, container: Option<&str>) -> Option<Vec<Part>> {
    let entries = rules[TRUSTED].as_array().into_iter().flatten().filter(|entry| entry["did"] == algorithm);
    let compared: Vec<Vec<Part>> = entries.map(|entry| parts(entry, now, container)).collect();
    let allowed = compared.iter().find(|parts| !parts.iter().any(Part::differs));
    allowed.or(compared.last()).cloned()
}

fn parts(entry: &Value, now: &FilesChecksum, container: Option<&str>) -> Vec<Part> {
    let files = entry["filesChecksum"].as_str().unwrap_or_default();
    let published: Vec<String> = now.files().iter().map(Sha256::to_string).collect();
    // Text that is no checksum allows nothing.
    let allowed: Vec<String> = match files.parse::<FilesChecksum>() {
        Ok(allowed) => allowed.files().iter().map(Sha256::to_string).collect(),
        Err(_) if files == "*" => vec!["*".to_owned(); published.len()],
        Err(_) => Vec::new(),
    };
    let at = |list: &[String], n: usize| list.get(n).cloned();
    let mut parts: Vec<Part> = (0..allowed.len().max(published.len()))
        .map(|n| Part::new(format!("file {n}"), at(&allowed, n).as_deref(), at(&published, n).as_deref()))
        .collect();
    let allowed = entry["containerSectionChecksum"].as_str();
    if allowed.is_some() || container.is_some() {
        parts.push(Part::new("container".to_owned(), allowed, container));
    }
    parts
}

/// The files of a folder that are allowed.
fn kept(folder: &Path, parts: &[Part]) -> anyhow::Result<Vec<PathBuf>> {
    let wrong = |error: std::io::Error| Usage::error(format!("`{}`: {error}", folder.display()));
    let allowed: Vec<&str> = parts.iter().filter_map(|part| part.allowed.as_deref()).collect();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.is_file() && allowed.contains(&measure(&ToSend::file(&path))?.sha256.to_string().as_str()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha256(text: &str) -> String {
        Sha256::of(text.as_bytes()).to_string()
    }

    fn states(entries: Value, files: &[&str], container: &str) -> Option<Vec<State>> {
        let now: FilesChecksum = files.iter().map(|file| sha256(file)).collect::<String>().parse().expect("a checksum");
        let found = compared(&json!({TRUSTED: entries}), "did:op:a", &now, Some(&sha256(container)));
        found.map(|parts| parts.iter().map(|part| part.state).collect())
    }

    fn entry(did: &str, files: &str, container: &str) -> Value {
        json!({"did": did, "filesChecksum": files, "containerSectionChecksum": container})
    }

    #[test]
    fn each_part_is_compared_with_what_is_allowed() {
        use State::{Added, Any, Changed, Removed, Same};
        let two = format!("{}{}", sha256("one"), sha256("two"));
        for (files, container, now, expected) in [
            (two.as_str(), sha256("c"), &["one", "two"][..], [Same, Same, Same].to_vec()),
            (&two, sha256("d"), &["one", "three"], vec![Same, Changed, Changed]),
            (&two, "*".to_owned(), &["one"], vec![Same, Removed, Any]),
            (&sha256("one"), sha256("c"), &["one", "two"], vec![Same, Added, Same]),
            ("*", "*".to_owned(), &["one", "two"], vec![Any, Any, Any]),
            ("no checksum", sha256("c"), &["one"], vec![Added, Same]),
        ] {
            let entries = json!([entry("did:op:b", "*", "*"), entry("did:op:a", files, &container)]);
            assert_eq!(states(entries, now, "c"), Some(expected), "{files} {container} {now:?}");
        }
        assert_eq!(states(json!([entry("did:op:b", "*", "*")]), &["one"], "c"), None);
        // Of several versions that are allowed, the one that is published counts.
        let entries = json!([entry("did:op:a", &sha256("one"), "*"), entry("did:op:a", &sha256("two"), "*")]);
        assert_eq!(states(entries.clone(), &["one"], "c"), Some(vec![Same, Any]));
        assert_eq!(states(entries, &["three"], "c"), Some(vec![Changed, Any]));
    }

    #[test]
    fn the_files_that_were_allowed_are_found_in_the_folder_of_then() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["one", "two"] {
            std::fs::write(folder.path().join(name), name).expect("written");
        }
        std::fs::create_dir(folder.path().join("inner")).expect("made");
        let parts = [Part::new("file 0".to_owned(), Some(&sha256("one")), Some(&sha256("three")))];
        assert_eq!(kept(folder.path(), &parts).expect("read"), [folder.path().join("one")]);
        assert!(kept(&folder.path().join("none"), &parts).is_err());
    }
}
