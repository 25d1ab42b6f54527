//! `cloister audit archive`: old records go from the log into files.
//!
//! A file is whole and on the disk before the service takes its records out of the log. Whenever this is cut off, every record is in
//! the log, in a file, or in both, and the next call goes on from there.

use super::{Chain, Segment, page, segment::Draft};
use crate::{
    client::{Client, Record, read},
    context::Context,
    exit::{Ended, FAILED, Usage},
    output::{Format, note, print_document},
    private_file,
};
use cloister_model::{AuditRecord, Sha256};
use jiff::{Timestamp, civil::Date};
use serde_json::{Value, json};
use std::{io, path::Path};

/// Records per request.
const PAGE: usize = 1000;

/// Reads a day, or a moment.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let day = || text.parse::<Date>().ok().and_then(|day| format!("{day}T00:00:00Z").parse().ok());
    let found = text.parse().ok().or_else(day);
    found.ok_or_else(|| "expected a day such as `2026-01-31`, or a moment such as `2026-01-31T12:00:00Z`".to_owned())
}

pub(super) async fn archive(context: &Context, before: Timestamp, into: &Path) -> anyhow::Result<()> {
    let client = context.client()?;
    let wrong = |error: io::Error| Usage::error(format!("`{}`: {error}", into.display()));
    private_file::create_folder(into).map_err(wrong)?;
    let mut last = archived_before(into)?;
    if let Some(end) = last {
        go_on_from(&client, end, into).await?;
    }
    let began = last;
    let mut draft: Option<Draft> = None;
    'log: loop {
        let records = page(&client, last.map_or(0, |(sequence, _)| sequence), PAGE).await?;
        if records.is_empty() {
            break;
        }
        for value in &records {
            let record = AuditRecord::from(read::<Record>(value)?);
            if i64::try_from(record.event.at.unix_ms()).is_ok_and(|at| at >= before.as_millisecond()) {
                break 'log;
            }
            // The first record of a log whose beginning was archived elsewhere says itself what comes before it.
            let first = (record.sequence > 1).then_some((record.sequence.saturating_sub(1), record.previous));
            record
                .verify(last.or(first))
                .map_err(|error| Ended::error(FAILED, format!("the audit log was changed: {error}")))?;
            let place = (record.sequence, record.hash);
            let open = match draft.take() {
                Some(open) => open,
                None => Draft::begin(into, place).map_err(wrong)?,
            };
            let open = draft.insert(open);
            open.add(place, value).map_err(wrong)?;
            last = Some(place);
            if open.is_full()
                && let Some(full) = draft.take()
            {
                take_out(&client, full.seal().map_err(wrong)?).await?;
            }
        }
    }
    if let Some(draft) = draft {
        take_out(&client, draft.seal().map_err(wrong)?).await?;
    }
    report(context, began, last)
}

/// The last record of the files in a folder. All of them are read: what is appended to is not to be broken.
fn archived_before(folder: &Path) -> anyhow::Result<Option<(u64, Sha256)>> {
    let mut chain = Chain::new(None);
    for segment in Segment::all(folder)? {
        segment.add_to(&mut chain)?;
    }
    Ok(chain.last())
}

/// Checks that the log goes on where the files end. What is in both, because an earlier call was cut off, is taken out of the log.
async fn go_on_from(client: &Client, (end, hash): (u64, Sha256), folder: &Path) -> anyhow::Result<()> {
    let found = page(client, end - 1, 1).await?;
    let found = found.first().map(read::<Record>).transpose()?.map(AuditRecord::from);
    match found {
        Some(record) if record.sequence == end && record.hash == hash => take_out(client, (end, hash)).await,
        Some(record) if record.sequence == end + 1 && record.previous == hash => Ok(()),
        Some(record) if record.sequence > end + 1 => {
            let text = format!(
                "records {} to {} are neither in `{}` nor in the log: they were archived into another folder; give that one",
                end + 1,
                record.sequence - 1,
                folder.display()
            );
            Err(Usage::error(text))
        }
        _ => {
            let text = format!("`{}` holds the records of another service, or was changed", folder.display());
            Err(Ended::error(FAILED, text))
        }
    }
}

async fn take_out(client: &Client, (through, hash): (u64, Sha256)) -> anyhow::Result<()> {
    client.post(&["v1", "audit", "archive"], &json!({"through": through, "hash": hash})).await?;
    Ok(())
}

fn report(context: &Context, began: Option<(u64, Sha256)>, last: Option<(u64, Sha256)>) -> anyhow::Result<()> {
    if context.format != Format::Table {
        let (through, head) = last.map_or((Value::Null, Value::Null), |(through, hash)| (through.into(), json!(hash)));
        return Ok(print_document(context.format, &json!({"through": through, "head": head}))?);
    }
    match last.filter(|last| began != Some(*last)) {
        Some((through, hash)) => {
            note(&format!("records up to {through} are archived; the hash of the last one: {hash}"));
        }
        None => note("the log has no record that is old enough"),
    }
    Ok(())
}
