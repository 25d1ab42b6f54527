use super::{
    check,
    diff::{Change, What, changes},
    kind::{collection, noun},
    leaving::{say_of_asset, say_of_ddo},
    manifest::{self, Described},
    name::account,
    names::Names,
    trust::{self, TRUSTED},
};
use crate::{
    client::{Asset, Client, ClientError, read},
    context::Context,
    exit::Usage,
    folder::ToSend,
    input::{measure, read_documents, upload},
    output::{Format, print_document, print_text, shown},
};
use anyhow::Context as _;
use cloister_model::{Account, AssetKind, Ddo, Manifest, escape};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Descriptions to publish.
///
/// A file holds one or more YAML documents, each a manifest or a DDO. A source `{type: file, path: ./data.csv}` is a file on
/// this machine, relative to the manifest; it is uploaded first.
///
/// The service checks the sources of datasets once they are published, and the command prints the result, so that you see a wrong path
/// or address at once. A source that cannot be read does not undo the publication.
///
/// The command prints what changes. Rules that the file does not have are taken back, except for trust that `dataset allow` has given:
/// --prune takes that back, too.
#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    /// A file; `-` is standard input. Can be repeated
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print what would change, and change nothing. The service does not check the sources
    #[arg(long)]
    dry_run: bool,
    /// Take back trust that `dataset allow` has given and the file does not have
    #[arg(long)]
    prune: bool,
    /// Do not check the sources of datasets once they are published
    #[arg(long)]
    no_check: bool,
}

/// How assets are published.
#[derive(Clone, Copy, Debug)]
struct Manner {
    dry_run: bool,
    prune: bool,
    check: bool,
}

impl Apply {
    /// Publishes assets of both kinds.
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        apply(context, self.read()?, self.manner()).await
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
        apply(context, described, self.manner()).await
    }

    fn manner(&self) -> Manner {
        Manner { dry_run: self.dry_run, prune: self.prune, check: !self.no_check }
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

async fn apply(context: &Context, all: Vec<Described>, manner: Manner) -> anyhow::Result<()> {
    let client = context.client()?;
    let owner = account(&client).await?;
    let owner: Account = owner.parse().map_err(|_| ClientError::Unexpected("an invalid account".to_owned()))?;
    let mut answers = Vec::new();
    for described in all {
        let (kind, name) = (described.kind, described.name.clone());
        let about = || format!("{} `{}`", noun(kind), shown(&name));
        let planned = plan(&client, &owner, described, manner).await.with_context(about)?;
        if context.format == Format::Table {
            for line in planned.lines(&mut Names::new(&client)).await {
                print_text(&line)?;
            }
        }
        if manner.dry_run {
            let (is_new, count) = (planned.before.is_none(), planned.changes.len());
            if context.format == Format::Table {
                let found = match (is_new, count) {
                    (true, _) => "would be published".to_owned(),
                    (false, 0) => "up to date".to_owned(),
                    (false, count) => format!("would change in {count} place{}", if count == 1 { "" } else { "s" }),
                };
                print_text(&format!("{} {name}: {found}; nothing was changed", noun(kind)))?;
                say_of_ddo(&planned.after);
            }
            let places: Vec<&str> = planned.changes.iter().map(|change| change.place.as_str()).collect();
            answers.push(json!({"kind": noun(kind), "name": name, "new": is_new, "changes": places}));
            continue;
        }
        let (answer, asset, is_new) = publish(&client, kind, &planned).await.with_context(about)?;
        if context.format == Format::Table {
            let done = match (is_new, asset.revision) {
                (true, _) => "published".to_owned(),
                (false, 0..=1) => "up to date".to_owned(),
                (false, revision) => format!("revision {revision}"),
            };
            print_text(&format!("{} {name}: {done}, {}", noun(kind), escape(asset.did.as_bytes(), 100)))?;
            say_of_asset(&answer);
            if manner.check && kind == AssetKind::Dataset {
                check::say(&client, &asset.did, planned.manifest.as_ref()).await;
            }
        }
        answers.push(answer);
    }
    match (context.format, answers.len()) {
        (Format::Table, _) => Ok(()),
        (format, 1) => Ok(print_document(format, &answers[0])?),
        (format, _) => Ok(print_document(format, &json!({"items": answers}))?),
    }
}

/// What is about to be published, and how it differs from what is.
#[derive(Debug)]
struct Planned {
    /// What is sent.
    document: Value,
    /// The manifest that it is; none for a DDO.
    manifest: Option<Manifest>,
    /// What is published now, with its revision.
    before: Option<(Value, u64)>,
    /// The DDO that it becomes.
    after: Value,
    changes: Vec<Change>,
    /// Entries of trust that the description does not have and that stay.
    kept: Vec<Value>,
}

/// Uploads what the description names on this machine, or only reads it, and compares the description with what is published.
async fn plan(client: &Client, owner: &Account, described: Described, manner: Manner) -> anyhow::Result<Planned> {
    let Described { kind, name: _, mut document, files } = described;
    for file in &files {
        let to_send = match kind {
            AssetKind::Algorithm => ToSend::algorithm(&file.path, file.requirements.as_deref())?,
            AssetKind::Dataset => ToSend::file(&file.path),
        };
        let mut measured = None;
        if manner.dry_run || file.sha256.is_some() {
            measured = Some(measure(&to_send)?);
        }
        if let (Some(expected), Some(found)) = (file.sha256, &measured)
            && found.sha256 != expected
        {
            return Err(Usage::error(format!(
                "`{}` does not have the `sha256` of the description",
                file.path.display()
            )));
        }
        let measured = match measured.filter(|_| manner.dry_run) {
            Some(measured) => measured,
            None => upload(client, &to_send).await?,
        };
        manifest::put_digest(&mut document, file, measured.sha256)?;
    }
    let wrong = |error: &dyn std::fmt::Display| Usage::error(error.to_string());
    let did = match Manifest::is_meant(&document) {
        true => {
            let manifest = Manifest::from_value(&document).map_err(|error| wrong(&error))?;
            Manifest::did(owner, kind, manifest.name()).to_string()
        }
        false => Ddo::from_value(document.clone()).map_err(|error| wrong(&error))?.id().to_string(),
    };
    let before = published(client, owner, kind, &did).await?;
    let mut kept = Vec::new();
    if let (AssetKind::Dataset, Some((ddo, _)), false) = (kind, &before, manner.prune) {
        kept = trust::keep(ddo, &mut document);
    }
    let manifest = match Manifest::is_meant(&document) {
        true => Some(Manifest::from_value(&document).map_err(|error| wrong(&error))?),
        false => None,
    };
    let after = match &manifest {
        Some(manifest) => serde_json::to_value(manifest.ddo(owner).map_err(|error| wrong(&error))?)?,
        None => document.clone(),
    };
    let changes = before.as_ref().map(|(ddo, _)| changes(ddo, &after)).unwrap_or_default();
    Ok(Planned { document, manifest, before, after, changes, kept })
}

/// The caller's asset as it is published now; none if it is not, or was withdrawn.
async fn published(
    client: &Client,
    owner: &Account,
    kind: AssetKind,
    did: &str,
) -> Result<Option<(Value, u64)>, ClientError> {
    let answer = match client.get(&["v1", collection(kind), did], &[]).await {
        Ok(answer) => answer,
        Err(ClientError::Problem(problem)) if problem.status == 404 => return Ok(None),
        Err(error) => return Err(error),
    };
    let asset: Asset = read(&answer)?;
    let is_own = asset.owner.parse::<Account>().is_ok_and(|found| found == *owner);
    Ok((is_own && asset.withdrawn.is_none()).then(|| (answer["ddo"].clone(), asset.revision)))
}

impl Planned {
    /// The differences, for people.
    async fn lines(&self, names: &mut Names<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        for Change { place, what } in &self.changes {
            let place = self.manifest.as_ref().map_or_else(|| place.clone(), |manifest| manifest.place(place));
            let line = match what {
                What::Added(value) => format!("+ {place}: {}", one(names, &place, value).await),
                What::Removed(value) => format!("- {place}: {}", one(names, &place, value).await),
                What::Changed(before, after) => {
                    let (before, after) = (one(names, &place, before).await, one(names, &place, after).await);
                    if before == after {
                        format!("~ {place}: {before}, with other checksums")
                    } else {
                        format!("~ {place}: {before} -> {after}")
                    }
                }
                What::OtherSource => format!("~ {place}: another source"),
            };
            lines.push(shown(&line));
        }
        for entry in &self.kept {
            let algorithm = one(names, TRUSTED, entry).await;
            lines.push(shown(&format!("kept: {algorithm}, from `dataset allow`; --prune takes it back")));
        }
        lines
    }
}

/// A value on a line. Trust in an algorithm is called by the algorithm's name.
async fn one(names: &mut Names<'_>, place: &str, value: &Value) -> String {
    match value["did"].as_str().filter(|did| place.ends_with(TRUSTED) && *did != "*") {
        Some(did) => format!("trust in {}", names.of(AssetKind::Algorithm, did).await),
        None => value.to_string(),
    }
}

/// Publishes what was planned. If trust was kept, only as long as nothing else has changed the asset meanwhile: otherwise, trust
/// that was taken back at this moment would be given again. Returns the answer, and whether the asset is new.
async fn publish(client: &Client, kind: AssetKind, planned: &Planned) -> anyhow::Result<(Value, Asset, bool)> {
    let revision = planned.before.as_ref().filter(|_| !planned.kept.is_empty()).map(|(_, revision)| revision);
    let tag = revision.map(|revision| format!("\"{revision}\""));
    let header = tag.as_deref().map(|tag| ("if-match", tag));
    let reply = client.send_json(Method::POST, &["v1", collection(kind)], header, &planned.document).await?;
    let asset = read(&reply.body)?;
    Ok((reply.body, asset, reply.status == 201))
}
