//! `cloister upload`: the files that an account has sent.

use crate::{
    client::{KeptUpload, read_all},
    context::Context,
    output::{Format, Table, age, note, print_document},
};
use clap::Subcommand;
use cloister_model::Sha256;
use serde_json::json;

/// Uploads per request.
const PAGE: usize = 1000;

/// Uploads.
#[derive(Debug, Subcommand)]
pub(crate) enum UploadCommand {
    /// List your uploads, and how much you may have
    List,
    /// Delete uploads. What your published assets and unfinished jobs name stays
    #[command(visible_alias = "rm")]
    Delete {
        /// Their digests, as `upload list` shows them
        #[arg(required = true)]
        digests: Vec<Sha256>,
    },
}

impl UploadCommand {
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        match self {
            Self::List => {
                let (limit, mut items, mut after) = (PAGE.to_string(), Vec::new(), None::<String>);
                let page = loop {
                    let mut query = vec![("limit", limit.as_str())];
                    query.extend(after.as_deref().map(|after| ("after", after)));
                    let page = client.get(&["v1", "uploads"], &query).await?;
                    items.extend(page["items"].as_array().into_iter().flatten().cloned());
                    let next = page["next"].as_str().map(str::to_owned);
                    // A service that repeats itself would keep this loop running for ever.
                    if next.is_none() || next <= after {
                        break page;
                    }
                    after = next;
                };
                let (used, limit) = (&page["usedBytes"], &page["limitBytes"]);
                if context.format != Format::Table {
                    let document = json!({"items": items, "usedBytes": used, "limitBytes": limit});
                    return Ok(print_document(context.format, &document)?);
                }
                let mut table = Table::new(["SHA256", "BYTES", "AGE", "EXPIRES"]);
                for KeptUpload { sha256, bytes, sent, expires } in read_all(&items)? {
                    table.row([sha256.to_string(), bytes.to_string(), age(&sent), expires]);
                }
                table.print("no uploads")?;
                if let (Some(used), Some(limit)) = (used.as_u64(), limit.as_u64()) {
                    note(&format!("{used} of {limit} bytes"));
                }
                Ok(())
            }
            Self::Delete { digests } => {
                for sha256 in digests {
                    client.delete(&["v1", "uploads", &sha256.to_string()]).await?;
                    note(&format!("upload {sha256} is deleted"));
                }
                Ok(())
            }
        }
    }
}
