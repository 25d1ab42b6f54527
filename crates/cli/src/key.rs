//! `cloister key`.

use crate::{
    client::{ClientError, Key, read, read_all},
    config::Span,
    context::Context,
    exit::Usage,
    output::{Format, Table, age, has_passed, in_future, note, print_document, print_line, shown},
    private_file,
};
use anyhow::Context as _;
use clap::Subcommand;
use cloister_model::{Account, KeyId, Role};
use serde_json::json;
use std::path::{Path, PathBuf};

/// API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create a key and print it, this one time
    Create {
        /// The account that it belongs to [default: yours]
        #[arg(long)]
        account: Option<Account>,
        /// Its role: consumer, author, publisher or operator [default: consumer]
        #[arg(long)]
        role: Option<Role>,
        /// A name for it, shown in lists
        #[arg(long)]
        label: Option<String>,
        /// How long it is valid, such as `30d` [default: as long as the service allows]
        #[arg(long, value_name = "DURATION", value_parser = span)]
        expires: Option<Span>,
        /// Write the key into this file, which only you can read, instead of printing it. The file must not exist. On Windows,
        /// those who can read its folder can read it
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// List your keys; as operator, all keys
    List,
    /// Revoke a key: it stops working at once
    Revoke {
        /// The public part: the 16 digits after `clk_`
        id: KeyId,
    },
}

fn span(text: &str) -> Result<Span, String> {
    text.parse().map_err(|()| "expected a duration such as `90d` or `12h`".to_owned())
}

impl KeyCommand {
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let client = context.client()?;
        match self {
            Self::Create { account, role, label, expires, file } => {
                if let Some(file) = file.as_ref().filter(|file| file.symlink_metadata().is_ok()) {
                    // Before a key is made that could not be kept.
                    return Err(Usage::error(format!("`{}` exists; give a new file", file.display())));
                }
                let mut body = json!({});
                if let Some(account) = &account {
                    body["account"] = account.as_str().into();
                }
                if let Some(role) = role {
                    body["role"] = role.to_string().into();
                }
                if let Some(label) = label {
                    body["label"] = label.into();
                }
                if let Some(expires) = expires {
                    body["expires"] = in_future(expires.0).into();
                }
                let mut answer = client.post(&["v1", "keys"], &body).await?.body;
                if let Some(file) = &file {
                    keep(&read(&answer)?, file)?;
                    if let Some(fields) = answer.as_object_mut() {
                        fields.remove("key");
                    }
                }
                if context.format != Format::Table {
                    return Ok(print_document(context.format, &answer)?);
                }
                let made: Key = read(&answer)?;
                let kept = match &file {
                    Some(file) => format!("It is in `{}`: {}", file.display(), private_file::READERS),
                    None => {
                        print_line(text(&made)?)?;
                        "It is not shown again: keep it in a file that only you can read, or in CLOISTER_KEY".to_owned()
                    }
                };
                let Key { account, role, expires, .. } = made;
                note(&format!(
                    "a key for {} with the role {}, valid until {}. {kept}",
                    shown(&account),
                    shown(&role),
                    expires.as_deref().map_or_else(|| "it is revoked".to_owned(), shown)
                ));
                Ok(())
            }
            Self::List => {
                let items = client.list(&["v1", "keys"]).await?;
                if context.format != Format::Table {
                    return Ok(print_document(context.format, &json!({"items": items}))?);
                }
                let mut table = Table::new(["ID", "ACCOUNT", "ROLE", "LABEL", "AGE", "EXPIRES", "STATE"]);
                for Key { id, account, role, label, created, expires, revoked, key: _ } in read_all(&items)? {
                    let state = match (revoked, &expires) {
                        (Some(_), _) => "revoked",
                        (None, Some(expires)) if has_passed(expires) => "expired",
                        (None, _) => "valid",
                    };
                    let expires = expires.unwrap_or_else(|| "never".to_owned());
                    table.row([id, account, role, label, age(&created), expires, state.to_owned()]);
                }
                Ok(table.print("no keys")?)
            }
            Self::Revoke { id } => {
                client.delete(&["v1", "keys", id.as_str()]).await?;
                note(&format!("key {id} is revoked"));
                Ok(())
            }
        }
    }
}

/// The text of a new key.
fn text(made: &Key) -> Result<&str, ClientError> {
    let key = made.key.as_deref().filter(|key| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()));
    key.ok_or_else(|| ClientError::Unexpected("a new key that is empty".to_owned()))
}

/// Keeps a new key in a file of its own. If that fails, the key is lost: it is named, so that it can be revoked.
fn keep(made: &Key, file: &Path) -> anyhow::Result<()> {
    let written = private_file::write_new(file, format!("{}\n", text(made)?).as_bytes());
    written.with_context(|| {
        let id = shown(&made.id);
        format!("`{}` cannot be written, so the key is lost: revoke it with `cloister key revoke {id}`", file.display())
    })
}
