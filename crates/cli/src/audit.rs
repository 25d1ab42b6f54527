//! `cloister audit`: the audit log, and whether it is complete and unchanged.

use crate::{
    client::{Client, ClientError, Record, read},
    context::Context,
    exit::{Ended, FAILED, Usage},
    output::{Format, Table, note, print_document, write_time},
};
use clap::Subcommand;
use cloister_model::{AuditRecord, Sha256};
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
    /// List records, oldest first
    List {
        /// Only records after this sequence number
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// Maximum number of records
        #[arg(long, default_value_t = 1000)]
        limit: usize,
    },
    /// Print all records, one JSON object per line, to keep a copy elsewhere
    Export,
    /// Check that no record was changed, removed or inserted
    ///
    /// Records form a hash chain. The hash of the last one is printed. Save it outside the server and pass it as --head
    /// later: only that proves that the newest records were not deleted.
    Verify {
        /// The output of `audit export` [default: ask the service]
        file: Option<PathBuf>,
        /// Read the log in the service's folder (--home). The service need not run
        #[arg(long, conflicts_with = "file")]
        offline: bool,
        /// A hash that the chain must contain: the last hash of an earlier check
        #[arg(long, value_name = "HASH")]
        head: Option<Sha256>,
    },
}

impl AuditCommand {
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::List { after, limit } => list(context, after, limit).await,
            Self::Export => {
                let client = context.client()?;
                let mut stdout = io::stdout().lock();
                each(&client, &mut |value, _| Ok(writeln!(stdout, "{value}")?)).await
            }
            Self::Verify { file, offline, head } => {
                let mut chain = Chain::new(head);
                let mut add = |record: AuditRecord| chain.add(&record);
                match file {
                    Some(file) => each_of_file(&file, &mut add)?,
                    None if offline => each_of_folder(&context.home(), &mut add)?,
                    None => each(&context.client()?, &mut |_, record| add(record)).await?,
                }
                chain.conclude(context)
            }
        }
    }
}

/// A hash chain, as far as it has been read.
#[derive(Debug)]
struct Chain {
    last: Option<(u64, Sha256)>,
    /// A hash that must still appear.
    wanted: Option<Sha256>,
}

impl Chain {
    fn new(wanted: Option<Sha256>) -> Self {
        Self { last: None, wanted }
    }

    fn add(&mut self, record: &AuditRecord) -> anyhow::Result<()> {
        record
            .verify(self.last)
            .map_err(|error| Ended::error(FAILED, format!("the audit log was changed: {error}")))?;
        self.last = Some((record.sequence, record.hash));
        if self.wanted == Some(record.hash) {
            self.wanted = None;
        }
        Ok(())
    }

    fn conclude(self, context: &Context) -> anyhow::Result<()> {
        if let Some(wanted) = self.wanted {
            let text = format!(
                "the chain is consistent but does not contain {wanted}: its newest records were deleted, or it is \
                 another service's"
            );
            return Err(Ended::error(FAILED, text));
        }
        let (records, head) = self.last.map_or((0, None), |(sequence, hash)| (sequence, Some(hash.to_string())));
        if context.format != Format::Table {
            return Ok(print_document(context.format, &json!({"records": records, "head": head}))?);
        }
        note(&format!("{records} records, none changed, none missing in between; the last hash:"));
        Ok(crate::output::print_line(head.as_deref().unwrap_or("none"))?)
    }
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

fn each_of_folder(home: &Path, act: &mut impl FnMut(AuditRecord) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    let read = cloister_local_engine::read_audit(home, &mut |record| {
        outcome = act(record);
        outcome.is_ok()
    });
    read.map_err(|error| Usage::error(error.to_string()))?;
    outcome
}

async fn list(context: &Context, mut after: u64, limit: usize) -> anyhow::Result<()> {
    let client = context.client()?;
    let mut items = Vec::new();
    while items.len() < limit {
        let page = page(&client, after, PAGE.min(limit - items.len())).await?;
        let Some(last) = page.last() else { break };
        let last = AuditRecord::from(read::<Record>(last)?).sequence;
        if last <= after {
            break;
        }
        after = last;
        items.extend(page);
    }
    items.truncate(limit);
    if context.format != Format::Table {
        return Ok(print_document(context.format, &json!({"items": items}))?);
    }
    let mut table = Table::new(["SEQUENCE", "TIME", "ACTOR", "ACTION", "SUBJECT"]);
    for item in &items {
        let AuditRecord { sequence, event, previous: _, hash: _ } = read::<Record>(item)?.into();
        table.row([
            sequence.to_string(),
            write_time(event.at.unix_ms() / 1000),
            event.actor,
            event.action.as_str().to_owned(),
            event.subject,
        ]);
    }
    Ok(table.print("no records")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::code_of;
    use cloister_model::{AuditAction, AuditEvent, Timestamp};

    fn chain(length: u64) -> Vec<AuditRecord> {
        let mut records: Vec<AuditRecord> = Vec::new();
        for n in 0..length {
            let event = AuditEvent {
                at: Timestamp::from_unix_ms(n),
                actor: "a".to_owned(),
                action: AuditAction::JobDenied,
                subject: "s".to_owned(),
                detail: "{}".to_owned(),
            };
            let last = records.last().map(|record| (record.sequence, record.hash));
            records.push(AuditRecord::next(last, event));
        }
        records
    }

    fn verify(records: &[AuditRecord], head: Option<Sha256>) -> anyhow::Result<()> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        for record in records {
            let AuditRecord { sequence, event, previous, hash } = record;
            let AuditEvent { at, actor, action, subject, detail } = event;
            let line = json!({"sequence": sequence, "at": "then", "atMs": at.unix_ms(), "actor": actor, "action": action,
                "subject": subject, "detail": detail, "previous": previous, "hash": hash});
            writeln!(file, "{line}").expect("written");
        }
        let mut chain = Chain::new(head);
        each_of_file(file.path(), &mut |record| chain.add(&record))?;
        let context = Context { connection: crate::client::ConnectionArguments::default(), format: Format::Json };
        chain.conclude(&context)
    }

    #[test]
    fn a_complete_chain_is_accepted() {
        let records = chain(3);
        verify(&records, None).expect("complete");
        verify(&records, Some(records[1].hash)).expect("seen before");
        verify(&[], None).expect("empty");
    }

    #[test]
    fn every_change_of_a_chain_is_found() {
        let records = chain(3);
        let mut changed = chain(3);
        changed[1].event.actor = "b".to_owned();
        for (broken, head) in [
            (changed, None),
            (vec![records[0].clone(), records[2].clone()], None),
            (records[1..].to_vec(), None),
            (records[..2].to_vec(), Some(records[2].hash)),
        ] {
            assert_eq!(code_of(&verify(&broken, head).expect_err("broken")), FAILED);
        }
    }
}
