//! `cloister audit`: the audit log, and whether it is complete and unchanged.

mod archive;
mod chain;
mod segment;

pub(crate) use archive::moment;

use chain::{Chain, Verified};
use segment::Segment;

use crate::{
    asset::{Named, Names, find},
    client::{Client, ClientError, Record, read},
    context::Context,
    exit::{Ended, FAILED, Usage},
    output::{Format, Table, json_line, note, print_document, write_time},
};
use clap::Subcommand;
use cloister_model::{Account, AssetKind, AuditRecord, Sha256};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// Records per request.
const PAGE: usize = 1000;

/// Maximum size of one exported record, in bytes.
const MOST_LINE: u64 = 1024 * 1024;

/// The audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List records, oldest first: as operator all, as publisher those about your assets and about jobs on your datasets
    List(List),
    /// Print all records, one JSON object per line, to keep a copy elsewhere
    Export,
    /// Check that no record was changed, removed or inserted
    ///
    /// Records form a hash chain. The hash of the last one is printed. Save it outside the server and pass it as --head
    /// later: only that proves that the newest records were not deleted.
    ///
    /// If old records were archived, the command verifies the rest without them, and says which ones it did not read. With
    /// --archive, it verifies them, too.
    Verify {
        /// The output of `audit export` [default: ask the service]
        file: Option<PathBuf>,
        /// Read the log in the service's folder (--home). The service need not run
        #[cfg(feature = "service")]
        #[arg(long, conflicts_with = "file")]
        offline: bool,
        /// A hash that the chain must contain: the last hash of an earlier check
        #[arg(long, value_name = "HASH")]
        head: Option<Sha256>,
        /// The folder of `audit archive`, read before the log
        #[arg(long, value_name = "DIR")]
        archive: Option<PathBuf>,
    },
    /// Move old records from the log into files that can still be verified
    ///
    /// The files are whole and on the disk before the service takes their records out of the log. If the command is interrupted, run
    /// it again. Keep the files, or copies of them, where those who can change the service's log cannot change them. `audit verify
    /// --archive DIR` reads them.
    Archive {
        /// Archive records from before this day or moment, in UTC. The service keeps those that are younger than `audit.keep`
        #[arg(long, value_name = "TIME", value_parser = archive::moment)]
        before: jiff::Timestamp,
        /// The folder of the files; files of earlier calls stay there
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
}

/// Which records.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only records about this dataset, and about jobs on it
    #[arg(long)]
    dataset: Option<Named>,
    /// Only records of what this account did; `engine`: of what the service did by itself
    #[arg(long, value_name = "ACCOUNT")]
    actor: Option<Account>,
    /// Only records of this day or moment, in UTC, and later
    #[arg(long, value_name = "TIME", value_parser = archive::moment)]
    since: Option<jiff::Timestamp>,
    /// Only records after this sequence number
    #[arg(long, default_value_t = 0)]
    after: u64,
    /// Maximum number of records
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

impl AuditCommand {
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::List(command) => command.execute(context).await,
            Self::Export => {
                let client = context.client()?;
                let mut stdout = io::stdout().lock();
                each(&client, &mut |value, _| Ok(writeln!(stdout, "{}", json_line(value))?)).await
            }
            Self::Archive { before, into } => archive::archive(context, before, &into).await,
            Self::Verify {
                file,
                #[cfg(feature = "service")]
                offline,
                head,
                archive,
            } => {
                let mut chain = Chain::new(head);
                if let Some(folder) = archive {
                    for segment in Segment::all(&folder)? {
                        segment.add_to(&mut chain)?;
                    }
                    chain.continue_with_log();
                }
                let mut add = |record: AuditRecord| chain.add(&record);
                match file {
                    Some(file) => each_of_file(&file, &mut add)?,
                    #[cfg(feature = "service")]
                    None if offline => each_of_folder(&context.home(), &mut add)?,
                    None => each(&context.client()?, &mut |_, record| add(record)).await?,
                }
                conclude(&chain.conclude()?, context)
            }
        }
    }
}

fn conclude(Verified { records, head, unseen }: &Verified, context: &Context) -> anyhow::Result<()> {
    let head = head.map(|hash| hash.to_string());
    if context.format != Format::Table {
        return Ok(print_document(context.format, &json!({"records": records, "head": head, "unseen": unseen}))?);
    }
    if let Some(through) = unseen {
        note(&format!("records 1 to {through} are archived and were not read; give their folder with --archive"));
    }
    note(&format!("{records} records, none changed, none missing in between; the last hash:"));
    Ok(crate::output::print_line(head.as_deref().unwrap_or("none"))?)
}

async fn page(client: &Client, after: u64, limit: usize) -> Result<Vec<Value>, ClientError> {
    let (after, limit) = (after.to_string(), limit.to_string());
    let page = client.get(&["v1", "audit"], &[("after", &after), ("limit", &limit)]).await?;
    page["items"].as_array().cloned().ok_or_else(|| ClientError::Unexpected("a page without records".to_owned()))
}

async fn each(client: &Client, act: &mut impl FnMut(&Value, AuditRecord) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let page = page(client, after, PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        for value in &page {
            let record = AuditRecord::from(read::<Record>(value)?);
            // Otherwise a service that repeats itself would keep this loop running for ever.
            if record.sequence <= after {
                return Err(Ended::error(FAILED, "the audit log was changed: a sequence number comes twice"));
            }
            after = record.sequence;
            act(value, record)?;
        }
    }
}

fn each_of_file(path: &Path, act: &mut impl FnMut(AuditRecord) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let wrong = |problem: String| Usage::error(format!("`{}`: {problem}", path.display()));
    let mut reader = BufReader::new(File::open(path).map_err(|error| wrong(error.to_string()))?);
    let (mut line, mut number) = (String::new(), 0_u64);
    loop {
        line.clear();
        number += 1;
        let read = (&mut reader).take(MOST_LINE).read_line(&mut line).map_err(|error| wrong(error.to_string()))?;
        if read == 0 {
            return Ok(());
        }
        if line.trim().is_empty() {
            continue;
        }
        let record: Option<Record> = serde_json::from_str(&line).ok();
        act(record.ok_or_else(|| wrong(format!("line {number} is not an audit record")))?.into())?;
    }
}

#[cfg(feature = "service")]
fn each_of_folder(home: &Path, act: &mut impl FnMut(AuditRecord) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    let read = cloister_local_engine::read_audit(home, &mut |record| {
        outcome = act(record);
        outcome.is_ok()
    });
    read.map_err(|error| Usage::error(error.to_string()))?;
    outcome
}

impl List {
    async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self { dataset, actor, since, after, limit } = self;
        let client = context.client()?;
        let mut query = Vec::new();
        if let Some(dataset) = dataset {
            query.push(("asset", find(&client, AssetKind::Dataset, &dataset).await?));
        }
        query.extend(actor.map(|actor| ("actor", actor.as_str().to_owned())));
        query.extend(since.map(|since| ("since", format!("{since:.3}"))));
        let items = selected(&client, &query, after, limit).await?;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &json!({"items": items}))?);
        }
        let mut names = Names::new(&client);
        let mut table = Table::new(["SEQUENCE", "TIME", "ACTOR", "ACTION", "SUBJECT", "DETAIL"]);
        for item in &items {
            let Listed { sequence, at_ms, actor, action, subject, detail } = read(item)?;
            // Whether it is a dataset or an algorithm, the record does not say.
            let subject = match subject.starts_with("did:op:") {
                true => names.of_either(&subject).await,
                false => subject,
            };
            table.row([sequence.to_string(), write_time(at_ms / 1000), actor, action, subject, detail]);
        }
        Ok(table.print("no records")?)
    }
}

/// A record in a list. It need not be a link of a chain.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    sequence: u64,
    /// Milliseconds since 1970.
    at_ms: u64,
    actor: String,
    /// Text, because a newer service may have more actions.
    action: String,
    subject: String,
    detail: String,
}

/// A page of records.
#[derive(Debug, Deserialize)]
struct Selection {
    items: Vec<Value>,
    next: Option<u64>,
}

/// The records that a query selects, oldest first, at most so many.
pub(crate) async fn selected(
    client: &Client,
    query: &[(&str, String)],
    mut after: u64,
    limit: usize,
) -> Result<Vec<Value>, ClientError> {
    let mut items = Vec::new();
    while items.len() < limit {
        let most = PAGE.min(limit - items.len());
        let page = selection(client, query, after, most).await?;
        items.extend(page.items);
        // Otherwise a service that repeats itself would keep this loop running for ever.
        match page.next {
            Some(next) if next > after => after = next,
            _ => break,
        }
    }
    items.truncate(limit);
    Ok(items)
}

async fn selection(
    client: &Client,
    query: &[(&str, String)],
    after: u64,
    limit: usize,
) -> Result<Selection, ClientError> {
    let (after, limit) = (after.to_string(), limit.to_string());
    let mut all = vec![("after", after.as_str()), ("limit", limit.as_str())];
    all.extend(query.iter().map(|(name, value)| (*name, value.as_str())));
    read(&client.get(&["v1", "audit"], &all).await?)
}

#[cfg(test)]
mod tests;
