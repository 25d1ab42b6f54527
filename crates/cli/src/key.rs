//! `cloister key`.

use crate::{
    client::{ClientError, Key, read, read_all},
    config::Span,
    context::Context,
    output::{Format, Table, age, has_passed, in_future, note, print_document, print_line, shown},
};
use clap::Subcommand;
use cloister_model::{Account, KeyId, Role};
use serde_json::json;

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
            Self::Create { account, role, label, expires } => {
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
                let answer = client.post(&["v1", "keys"], &body).await?.body;
                if context.format != Format::Table {
                    return Ok(print_document(context.format, &answer)?);
                }
                let Key { account, role, expires, key, .. } = read(&answer)?;
                let key = key.filter(|key| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()));
                let key = key.ok_or_else(|| ClientError::Unexpected("a new key that is empty".to_owned()))?;
                print_line(&key)?;
                note(&format!(
                    "a key for {} with the role {}, valid until {}. It is not shown again: keep it in a file of mode 0600 or \
                     in CLOISTER_KEY",
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
