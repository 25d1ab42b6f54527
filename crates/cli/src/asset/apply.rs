use super::{
    kind::{collection, noun},
    manifest::{self, Described},
};
use crate::{
    client::{Asset, Client, read},
    context::Context,
    exit::Usage,
    input::{measure, read_documents, upload},
    output::{Format, print_document, print_line, shown},
};
use anyhow::Context as _;
use cloister_model::{AssetKind, escape};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Descriptions to publish.
///
/// A file holds one or more YAML documents, each a manifest or a DDO. A source `{type: file, path: ./data.csv}` is a file on
/// this machine, relative to the manifest; it is uploaded first.
#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    /// A file; `-` is standard input. Can be repeated
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl Apply {
    /// Publishes assets of both kinds.
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        apply(context, self.read()?).await
    }

    /// Publishes assets of this kind. Others are an error.
    pub(super) async fn execute_for(self, context: &Context, kind: AssetKind) -> anyhow::Result<()> {
        let described = self.read()?;
        if let Some(other) = described.iter().find(|described| described.kind != kind) {
            return Err(Usage::error(format!(
                "`{}` is not a {}; `cloister apply -f` accepts both kinds",
                shown(&other.name),
                noun(kind)
            )));
        }
        apply(context, described).await
    }

    fn read(&self) -> anyhow::Result<Vec<Described>> {
        let mut all = Vec::new();
        for file in &self.files {
            let folder = if file == Path::new("-") { Path::new("") } else { file.parent().unwrap_or(Path::new("")) };
            for (n, document) in read_documents(file)?.into_iter().enumerate() {
                let read = manifest::read(document, folder);
                all.push(read.with_context(|| format!("`{}`, document {}", file.display(), n + 1))?);
            }
        }
        Ok(all)
    }
}

async fn apply(context: &Context, all: Vec<Described>) -> anyhow::Result<()> {
    let client = context.client()?;
    let mut answers = Vec::new();
    for described in all {
        let (kind, name) = (described.kind, described.name.clone());
        let (answer, asset, is_new) =
            publish(&client, described).await.with_context(|| format!("{} `{}`", noun(kind), shown(&name)))?;
        if context.format == Format::Table {
            let done = match (is_new, asset.revision) {
                (true, _) => "published".to_owned(),
                (false, 0..=1) => "up to date".to_owned(),
                (false, revision) => format!("revision {revision}"),
            };
            print_line(&format!("{} {name}: {done}, {}", noun(kind), escape(asset.did.as_bytes(), 100)))?;
        }
        answers.push(answer);
    }
    match (context.format, answers.len()) {
        (Format::Table, _) => Ok(()),
        (format, 1) => Ok(print_document(format, &answers[0])?),
        (format, _) => Ok(print_document(format, &json!({"items": answers}))?),
    }
}

/// Uploads what the description names on this machine, and publishes it. Returns the answer, and whether the asset is new.
async fn publish(client: &Client, described: Described) -> anyhow::Result<(Value, Asset, bool)> {
    let Described { kind, name: _, mut document, files } = described;
    for file in &files {
        if let Some(expected) = file.sha256
            && measure(&file.path)?.sha256 != expected
        {
            return Err(Usage::error(format!(
                "`{}` does not have the `sha256` of the description",
                file.path.display()
            )));
        }
        let measured = upload(client, &file.path).await?;
        manifest::put_digest(&mut document, file, measured.sha256)?;
    }
    let reply = client.post(&["v1", collection(kind)], &document).await?;
    let asset = read(&reply.body)?;
    Ok((reply.body, asset, reply.status == 201))
}
