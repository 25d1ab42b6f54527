//! `cloister key`.

use crate::{
    arguments::Context,
    client::ClientError,
    config::Span,
    output::{Format, Table, age, in_future, note, print_document, print_line},
};
use clap::Subcommand;
use cloister_model::{Account, KeyId, Role};
use serde_json::json;

/// API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key. It is printed on a line of its own, and never again
    Create {
        /// Whose it is [default: yours]
        #[arg(long)]
        account: Option<Account>,
        /// What it may do: consumer, publisher or operator [default: consumer]
        #[arg(long)]
        role: Option<Role>,
        /// What you call it
        #[arg(long)]
        label: Option<String>,
        /// How long it works, such as `90d` [default: until it is revoked]
        #[arg(long, value_name = "DURATION", value_parser = span)]
        expires: Option<Span>,
    },
    /// List keys: yours, or all for the operator
    List,
    /// Make a key useless
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
                let text = |name: &str| answer[name].as_str().unwrap_or_default();
                let key = text("key");
                if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err(ClientError::Unexpected("a key without a key".to_owned()).into());
                }
                print_line(key)?;
                note(&format!(
                    "a key for {} as {}; it is shown this once: keep it in a file of mode 0600 or in CLOISTER_KEY",
                    crate::output::shown(text("account")),
                    crate::output::shown(text("role"))
                ));
                Ok(())
            }
            Self::List => {
                let items = client.list(&["v1", "keys"]).await?;
                if context.format != Format::Table {
                    return Ok(print_document(context.format, &json!({"items": items}))?);
                }
                let mut table = Table::new(["ID", "ACCOUNT", "ROLE", "LABEL", "AGE", "STATE"]);
                for item in &items {
                    let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
                    let state = match (item["revoked"].is_null(), item["expires"].as_str()) {
                        (false, _) => "revoked".to_owned(),
                        (true, Some(expires)) => format!("until {expires}"),
                        (true, None) => "good".to_owned(),
                    };
                    table.row([text("id"), text("account"), text("role"), text("label"), age(&text("created")), state]);
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
