use super::name::{Named, find};
use crate::{
    client::{Asset, Client, read},
    context::Context,
    exit::{Ended, FAILED, Usage},
    output::{Format, note, print_document, print_line, shown_path},
};
use anyhow::Context as _;
use cloister_model::{AssetKind, FilesChecksum, Sha256};
use reqwest::Method;
use serde_json::json;
use sha2::Digest as _;
use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Which algorithm to fetch.
#[derive(Debug, clap::Args)]
pub(crate) struct Fetch {
    /// The algorithm. Its author must let you download it, or ask you to inspect it
    algorithm: Named,
    /// The folder for its files, which is created if it does not exist. No file is overwritten
    #[arg(short, long, value_name = "DIR")]
    dir: PathBuf,
}

/// The files of an algorithm that are published now.
///
/// # Errors
/// If the service does not know them, because the algorithm has several services.
pub(super) fn files_checksum(asset: &Asset) -> anyhow::Result<FilesChecksum> {
    let text = asset.files_checksum.as_deref().ok_or_else(|| {
        Usage::error("the algorithm has several services, so that the service does not know its files; ask its author")
    })?;
    text.parse().map_err(|_| crate::client::ClientError::Unexpected("an invalid checksum".to_owned()).into())
}

impl Fetch {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        let did = find(&client, AssetKind::Algorithm, &self.algorithm).await?;
        let asset: Asset = read(&client.get(&["v1", "algorithms", &did], &[]).await?)?;
        let checksum = files_checksum(&asset)?;
        fs::create_dir_all(&self.dir).map_err(|error| Usage::error(format!("`{}`: {error}", self.dir.display())))?;
        let mut fetched = Vec::new();
        for (number, sha256) in checksum.files().iter().enumerate() {
            let path = self.dir.join(format!("algorithm-{number}"));
            keep(&client, &did, number, *sha256, &path).await?;
            fetched.push((path, *sha256));
        }
        if context.format != Format::Table {
            let files: Vec<_> = fetched.iter().map(|(path, sha256)| json!({"path": path, "sha256": sha256})).collect();
            return Ok(print_document(context.format, &json!({"filesChecksum": checksum, "files": files}))?);
        }
        for (path, sha256) in &fetched {
            print_line(&format!("{sha256}  {}", shown_path(path)))?;
        }
        note(&format!(
            "`cloister algorithm inspect {0}` shows what it is and what it imports, and `--file FILE` the same of a file. To trust \
             exactly these bytes:\ncloister dataset allow DATASET {0} --checksum {checksum}",
            self.algorithm
        ));
        Ok(())
    }
}

/// Downloads one file into a place where there is none yet. It keeps its name only if it is the file whose digest the service lists.
async fn keep(client: &Client, did: &str, number: usize, sha256: Sha256, path: &Path) -> anyhow::Result<()> {
    let mut file = File::create_new(path).map_err(|error| Usage::error(format!("`{}`: {error}", path.display())))?;
    let written = async {
        download(client, did, number, sha256, |piece| file.write_all(piece)).await?;
        file.sync_all().context("writing")
    };
    let written = written.await;
    drop(file);
    if written.is_err() {
        fs::remove_file(path).context("removing an incomplete download")?;
    }
    written
}

/// Downloads one file in pieces. It is an error if they are not the file whose digest the service lists.
pub(super) async fn download(
    client: &Client,
    did: &str,
    number: usize,
    sha256: Sha256,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> anyhow::Result<()> {
    let number = number.to_string();
    let request = client.request(Method::GET, &["v1", "algorithms", did, "files", &number], &[])?;
    let mut response = client.send(request).await?;
    let mut hash = sha2::Sha256::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| client.fault(&error))? {
        hash.update(&chunk);
        take(&chunk).context("writing")?;
    }
    if Sha256::from_bytes(hash.finalize().into()) == sha256 {
        return Ok(());
    }
    let text =
        "the file is not the one that the service lists, and is not kept. It may have been published anew: try again";
    Err(Ended::error(FAILED, text))
}
