//! Files that are named on the command line.

use crate::{
    client::{Client, ClientError, Upload, read},
    exit::Usage,
    folder::ToSend,
    output::Progress,
};
use cloister_model::Sha256;
use serde_json::Value;
use sha2::Digest as _;
use std::{
    fs::File,
    io::{Read, stdin},
    path::Path,
};
use tokio::io::AsyncReadExt as _;

/// Maximum size of a YAML or JSON file, in bytes.
const MOST_YAML: u64 = 16 * 1024 * 1024;

/// The documents of a YAML (or JSON) file; `-` is standard input.
pub(crate) fn read_documents(path: &Path) -> anyhow::Result<Vec<Value>> {
    let wrong = |problem: &dyn std::fmt::Display| Usage::error(format!("`{}`: {problem}", path.display()));
    let mut text = String::new();
    let read = if path == Path::new("-") {
        stdin().lock().take(MOST_YAML + 1).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(MOST_YAML + 1).read_to_string(&mut text))
    };
    let read = read.map_err(|error| wrong(&error))?;
    if read as u64 > MOST_YAML {
        return Err(wrong(&format!("larger than {MOST_YAML} bytes")));
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| wrong(&error))?;
    let documents: Vec<_> = documents.into_iter().filter(|document| !document.is_null()).collect();
    if documents.is_empty() { Err(wrong(&"the file is empty")) } else { Ok(documents) }
}

/// The one document of a file.
pub(crate) fn read_document(path: &Path) -> anyhow::Result<Value> {
    let mut documents = read_documents(path)?;
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => Ok(document),
        _ => Err(Usage::error(format!("`{}`: expected one document", path.display()))),
    }
}

/// A file on this machine: its digest and size.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) sha256: Sha256,
    pub(crate) bytes: u64,
    /// Its first bytes.
    pub(crate) head: [u8; 4],
}

/// Reads a file to compute its digest.
pub(crate) fn measure(file: &ToSend) -> anyhow::Result<Measured> {
    let path = file.path();
    let wrong = |error: std::io::Error| Usage::error(format!("`{}`: {error}", file.named().display()));
    let metadata = std::fs::metadata(path).map_err(wrong)?;
    if !metadata.is_file() {
        return Err(Usage::error(format!("`{}` is not a regular file", file.named().display())));
    }
    let mut file = File::open(path).map_err(wrong)?;
    let (mut hash, mut bytes, mut head) = (sha2::Sha256::new(), 0, [0; 4]);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer).map_err(wrong)?;
        if read == 0 {
            return Ok(Measured { sha256: Sha256::from_bytes(hash.finalize().into()), bytes, head });
        }
        if bytes == 0 && read >= 4 {
            head.copy_from_slice(&buffer[..4]);
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// Uploads a file. What the service stored must have the digest that was computed before.
pub(crate) async fn upload(client: &Client, to_send: &ToSend) -> anyhow::Result<Measured> {
    let path = to_send.named();
    let measured = measure(to_send)?;
    let file = tokio::fs::File::open(to_send.path())
        .await
        .map_err(|error| Usage::error(format!("`{}`: {error}", path.display())))?;
    let mut progress = Progress::new();
    progress.show(&format!("uploading {} bytes …", measured.bytes));
    let chunks = futures_util::stream::try_unfold(file.take(measured.bytes), |mut file| async move {
        let mut chunk = vec![0; 64 * 1024];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then_some((chunk, file)))
    });
    let answer = client.upload(measured.bytes, measured.sha256, reqwest::Body::wrap_stream(chunks)).await?;
    progress.clear();
    if read::<Upload>(&answer)?.sha256 != measured.sha256 {
        let text =
            format!("`{}`: the service received other bytes; did the file change during the upload?", path.display());
        return Err(ClientError::Broken(text).into());
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_documents_and_errors_name_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, "---\nkind: Dataset\n---\n---\n{\"kind\": \"Algorithm\"}\n").expect("written");
        let documents = read_documents(&path).expect("documents");
        assert_eq!(documents.len(), 2, "{documents:?}");
        assert!(read_document(&path).is_err());
        for text in [
            "",
            "a: [",
            "a: 1\na: 2\n",
            "a:\n  - b: 1\n    b: 1\n",
            r#"{"compute": {"a": 1, "a": 2}}"#,
            "a: {b: 1, \"b\": 2}",
        ] {
            std::fs::write(&path, text).expect("written");
            let error = read_documents(&path).expect_err("no document").to_string();
            assert!(error.contains("a.yaml"), "{error}");
        }
    }

    #[test]
    fn a_file_is_measured() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        std::fs::write(&path, "hello").expect("written");
        let Measured { sha256, bytes, head } = measure(&ToSend::file(&path)).expect("a file");
        assert_eq!((bytes, &head), (5, b"hell"));
        assert_eq!(sha256.to_string(), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        let fails = |path: &Path| measure(&ToSend::file(path)).is_err();
        assert!(fails(folder.path()) && fails(&folder.path().join("b")));
    }
}
