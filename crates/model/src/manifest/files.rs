use crate::{
    MOST_FILES, Sha256,
    json::{FieldError, FieldProblem, Node},
};
use serde_json::Value;

/// Bytes of one text of a file object.
const MOST_TEXT_BYTES: usize = 8192;

/// Bytes of a file that is written into its description.
const MOST_INLINE_BYTES: usize = 512 * 1024;

/// Where one file of an asset is: the `type` of a file object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// `url`.
    Url,
    /// `ipfs`.
    Ipfs,
    /// `s3`.
    S3,
    /// `local`: an absolute path on the operator's machine, as it was written.
    Local(String),
    /// `inline`: in the description itself.
    Inline,
    /// `upload`: sent before, by the same account.
    Upload(Sha256),
    /// `result`: a released file of the same account's job, by the job's name as it was written.
    Result(String),
}

/// Reads the files of a service (`files`): a list of file objects, or an object with such a list in its field `files`, as
/// Ocean writes it before it encrypts it. Gives the list, and where each file is.
///
/// Only what tells one kind of source from another is checked, with the fields that it cannot do without; the step that
/// fetches them reads the rest.
///
/// # Errors
/// The first field that is not what it must be. `path` is what fields are named below.
pub fn file_objects(path: &str, files: &Value) -> Result<(Vec<Value>, Vec<SourceKind>), FieldError> {
    let root = Node::root(path, files);
    let list = if files.is_object() { root.get("files") } else { root };
    let entries = list.entries(MOST_FILES)?;
    if entries.is_empty() {
        return Err(list.expected("a list with at least one file"));
    }
    let kinds = entries.iter().map(read).collect::<Result<_, _>>()?;
    Ok((entries.iter().map(|entry| entry.value().clone()).collect(), kinds))
}

fn read(node: &Node<'_>) -> Result<SourceKind, FieldError> {
    node.object()?;
    if !node.get("sha256").is_absent() {
        node.get("sha256").parsed::<Sha256>("64 hexadecimal digits")?;
    }
    node.get("bytes").number_or_absent()?;
    let text = |name: &'static str| match node.get(name).text(MOST_TEXT_BYTES)? {
        "" => Err(node.get(name).error(FieldProblem::Missing)),
        text => Ok(text),
    };
    Ok(match node.get("type").text(64)? {
        "url" => text("url").map(|_| SourceKind::Url)?,
        "ipfs" => text("hash").map(|_| SourceKind::Ipfs)?,
        "s3" => node.get("s3Access").object().map(|_| SourceKind::S3)?,
        "local" if text("path")?.starts_with('/') => SourceKind::Local(text("path")?.to_owned()),
        "local" => return Err(node.get("path").expected("an absolute path")),
        "inline" => {
            let (content, base64) = (node.get("content"), node.get("base64"));
            match (content.is_absent(), base64.is_absent()) {
                (false, true) => content.text(MOST_INLINE_BYTES)?,
                (true, false) => base64.text(MOST_INLINE_BYTES)?,
                _ => return Err(node.expected("an inline file with `content` or with `base64`")),
            };
            SourceKind::Inline
        }
        "upload" => SourceKind::Upload(node.get("sha256").parsed("64 hexadecimal digits")?),
        "result" => {
            node.get("index").number_or_absent()?.ok_or_else(|| node.get("index").error(FieldProblem::Missing))?;
            SourceKind::Result(text("job")?.to_owned())
        }
        _ => {
            let types = "`url`, `ipfs`, `s3`, `local`, `inline`, `upload` or `result`";
            return Err(node.get("type").expected(types));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_spellings_give_the_list() {
        let file = json!({"type": "url", "url": "https://example.org/a.csv"});
        for files in [json!([file]), json!({"datatokenAddress": "0x", "files": [file]})] {
            assert_eq!(file_objects("files", &files), Ok((vec![file.clone()], vec![SourceKind::Url])));
        }
    }

    #[test]
    fn the_first_wrong_field_is_named() {
        for (file, field) in [
            (json!({}), "files[0].type"),
            (json!({"type": "ftp"}), "files[0].type"),
            (json!({"type": "url"}), "files[0].url"),
            (json!({"type": "local", "path": "data/a"}), "files[0].path"),
            (json!({"type": "upload", "sha256": "00"}), "files[0].sha256"),
            (json!({"type": "inline"}), "files[0]"),
            (json!({"type": "inline", "content": "a", "base64": "YQ=="}), "files[0]"),
            (json!({"type": "result", "job": "ab"}), "files[0].index"),
            (json!({"type": "url", "url": "x", "bytes": -1}), "files[0].bytes"),
        ] {
            assert_eq!(file_objects("files", &json!([file])).expect_err(field).field, field);
        }
        assert!(file_objects("files", &json!([])).is_err());
        assert!(file_objects("files", &json!("0xencrypted")).is_err());
    }
}
