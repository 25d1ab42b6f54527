//! A description as it is written in a file: which kind of asset it describes, and which files on this machine have to be
//! uploaded before it is published.

use crate::exit::Usage;
use cloister_model::{AssetKind, Ddo, Location, Manifest, Sha256};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A description that has been read and checked.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) kind: AssetKind,
    /// Its name, for messages.
    pub(super) name: String,
    pub(super) document: Value,
    /// The files to upload.
    pub(super) files: Vec<Local>,
}

/// A file on this machine that a description names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) path: PathBuf,
    /// Packages to send along, for the file of an algorithm.
    pub(super) requirements: Option<PathBuf>,
    /// Where the source stands in the description, as a JSON pointer.
    pub(super) place: String,
    /// The digest that it must have, if the description gives one.
    pub(super) sha256: Option<Sha256>,
}

/// Reads a description. Paths in it are relative to `folder`. Everything that can be checked without the service is
/// checked here, before the first upload.
///
/// # Errors
/// Which field is wrong, and how.
pub(super) fn read(document: Value, folder: &Path) -> anyhow::Result<Described> {
    if !Manifest::is_meant(&document) {
        let ddo = Ddo::from_value(document.clone()).map_err(|error| Usage::error(error.to_string()))?;
        let kind = if ddo.metadata().algorithm.is_some() { AssetKind::Algorithm } else { AssetKind::Dataset };
        return Ok(Described { kind, name: ddo.id().to_string(), document, files: Vec::new() });
    }
    let files = find_files(&document, folder)?;
    let mut sent = document.clone();
    for file in &files {
        put_digest(&mut sent, file, Sha256::from_bytes([0; 32]))?;
    }
    let manifest = Manifest::from_value(&sent).map_err(|error| Usage::error(error.to_string()))?;
    if let (AssetKind::Dataset, Some(_)) = (manifest.kind(), files.iter().find(|file| file.requirements.is_some())) {
        return Err(Usage::error("`requirements` are for the files of an algorithm; a dataset has none"));
    }
    Ok(Described { kind: manifest.kind(), name: manifest.name().to_string(), document, files })
}

/// Replaces a file on this machine by the upload with its digest.
pub(super) fn put_digest(document: &mut Value, file: &Local, sha256: Sha256) -> anyhow::Result<()> {
    let source =
        document.pointer_mut(&file.place).ok_or_else(|| Usage::error("the description changed while it was read"))?;
    *source = json!({"type": "upload", "sha256": sha256.to_string()});
    Ok(())
}

fn find_files(document: &Value, folder: &Path) -> anyhow::Result<Vec<Local>> {
    let mut found = Vec::new();
    let services = document.pointer("/spec/services").and_then(Value::as_array).map_or(0, Vec::len);
    let lists =
        std::iter::once("/spec/files".to_owned()).chain((0..services).map(|n| format!("/spec/services/{n}/files")));
    for list in lists {
        for (n, source) in document.pointer(&list).and_then(Value::as_array).into_iter().flatten().enumerate() {
            match source["type"].as_str() {
                Some("file") => found.push(read_source(source, format!("{list}/{n}"), folder)?),
                // Here, because only the command line knows `file`.
                Some(other) if !Location::TYPES.contains(&other) => {
                    let list = list.trim_start_matches('/').replace('/', ".");
                    return Err(Usage::error(format!(
                        "`{list}[{n}].type` is `{}`: must be `file`, which is uploaded from this machine, `{}` or `{}`",
                        crate::output::shown(other),
                        Location::TYPES[..6].join("`, `"),
                        Location::TYPES[6]
                    )));
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

fn read_source(source: &Value, place: String, folder: &Path) -> anyhow::Result<Local> {
    let wrong =
        |problem: &str| Usage::error(format!("`{}`: {problem}", place.trim_start_matches('/').replace('/', ".")));
    let fields = source.as_object().into_iter().flat_map(|fields| fields.keys());
    let known = ["type", "path", "sha256", "requirements"];
    if let Some(name) = fields.into_iter().find(|name| !known.contains(&name.as_str())) {
        return Err(wrong(&format!("a source of type `file` has no field `{}`", crate::output::shown(name))));
    }
    let path = source["path"].as_str().filter(|path| !path.is_empty()).ok_or_else(|| wrong("`path` is missing"))?;
    let sha256 = match &source["sha256"] {
        Value::Null => None,
        value => Some(
            value
                .as_str()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| wrong("`sha256` must be 64 hexadecimal digits"))?,
        ),
    };
    let requirements = match &source["requirements"] {
        Value::Null => None,
        value => Some(folder.join(value.as_str().ok_or_else(|| wrong("`requirements` must be a path"))?)),
    };
    Ok(Local { path: folder.join(path), requirements, place, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(files: &Value) -> Value {
        json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "d"}, "spec": {"files": files}})
    }

    #[test]
    fn files_on_this_machine_are_found_and_replaced_by_uploads() {
        let sha = "ab".repeat(32);
        let document = json!({"apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "d"},
            "spec": {"services": [
                {"type": "compute", "files": [{"type": "inline", "content": "x"}, {"type": "file", "path": "a.csv"}]},
                {"type": "access", "files": [{"type": "file", "path": "/abs/b.csv", "sha256": sha}]}]}});
        let read = read(document, Path::new("sub/folder")).expect("a description");
        assert_eq!((read.kind, read.name.as_str()), (AssetKind::Dataset, "d"));
        let paths: Vec<_> = read.files.iter().map(|file| file.path.to_str().expect("text")).collect();
        assert_eq!(paths, ["sub/folder/a.csv", "/abs/b.csv"]);
        assert_eq!(read.files[1].sha256.expect("a digest").to_string(), sha);
        let mut sent = read.document;
        put_digest(&mut sent, &read.files[0], Sha256::from_bytes([7; 32])).expect("replaced");
        let source = &sent["spec"]["services"][0]["files"][1];
        assert_eq!(*source, json!({"type": "upload", "sha256": "07".repeat(32)}));
    }

    #[test]
    fn mistakes_are_reported_before_anything_is_uploaded() {
        let folder = Path::new(".");
        for (document, expected) in [
            (dataset(&json!([{"type": "file"}])), "`spec.files.0`: `path`"),
            (dataset(&json!([{"type": "file", "path": "a", "bytes": 1}])), "no field `bytes`"),
            (dataset(&json!([{"type": "file", "path": "a", "sha256": "x"}])), "`sha256`"),
            (dataset(&json!([{"type": "file", "path": "a", "requirements": 1}])), "`requirements`"),
            (dataset(&json!([{"type": "file", "path": "a", "requirements": "r.txt"}])), "a dataset has none"),
            (dataset(&json!([{"type": "fil", "path": "a"}])), "`spec.files[0].type` is `fil`: must be `file`"),
            (json!({"kind": "Dataset"}), "apiVersion"),
            (json!({"id": "did:op:x"}), "metadata"),
            (json!([]), ""),
        ] {
            let error = read(document, folder).expect_err(expected).to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
