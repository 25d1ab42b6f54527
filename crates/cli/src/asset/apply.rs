use super::{
    collection,
    manifest::{self, Described},
    noun,
};
use crate::{
    arguments::Context,
    client::{Client, ClientError},
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
/// A file holds one or more YAML documents: manifests, or DDOs. A source `{type: file, path: ./data.csv}`, relative to
/// the manifest's folder, is sent to the service first.
#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    /// A file; `-` is standard input. May be given several times
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl Apply {
    /// Publishes whatever there is.
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        apply(context, self.read()?).await
    }

    /// Publishes, if all of it is of this kind.
    pub(super) async fn execute_for(self, context: &Context, kind: AssetKind) -> anyhow::Result<()> {
        let described = self.read()?;
        if let Some(other) = described.iter().find(|described| described.kind != kind) {
            return Err(Usage::error(format!(
                "`{}` is of another kind than {}; `cloister apply -f` takes both",
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
        let (answer, is_new) =
            publish(&client, described).await.with_context(|| format!("{} `{}`", noun(kind), shown(&name)))?;
        if context.format == Format::Table {
            let did = answer["did"].as_str().unwrap_or_default();
            let revision = answer["revision"].as_u64().unwrap_or_default();
            let done = if is_new { "published" } else { "up to date" };
            let done = if !is_new && revision > 1 { format!("revision {revision}") } else { done.to_owned() };
            print_line(&format!("{} {name}: {done}, {}", noun(kind), escape(did.as_bytes(), 100)))?;
        }
        answers.push(answer);
    }
    match (context.format, answers.len()) {
        (Format::Table, _) => Ok(()),
        (format, 1) => Ok(print_document(format, &answers[0])?),
        (format, _) => Ok(print_document(format, &json!({"items": answers}))?),
    }
}

async fn publish(client: &Client, described: Described) -> anyhow::Result<(Value, bool)> {
    let Described { kind, name: _, mut document, files } = described;
    for file in &files {
        if let Some(expected) = file.sha256
            && measure(&file.path)?.sha256 != expected
        {
            return Err(Usage::error(format!("`{}` is not the file that `sha256` says", file.path.display())));
        }
        let (measured, _) = upload(client, &file.path).await?;
        manifest::put_digest(&mut document, file, measured.sha256)?;
    }
    let reply = client.post(&["v1", collection(kind)], &document).await?;
    if !reply.body["did"].is_string() {
        return Err(ClientError::Unexpected("an asset without a DID".to_owned()).into());
    }
    Ok((reply.body, reply.status == 201))
}
