//! `cloister context`: the services that someone has logged in to, as in kubectl.

mod file;
mod name;

pub(crate) use file::{Contexts, StoredContext, StoredSignIn, lock, warn_if_readable};
pub(crate) use name::ContextName;

use crate::{
    context::Context,
    exit::{Ended, NOT_FOUND, Usage},
    output::{Format, Table, note, print_document, print_field, shown},
};
use clap::Subcommand;
use file::HOME;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Contexts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// List contexts. `*` marks the current one
    List,
    /// Make a context the current one
    Use {
        /// Its name
        name: ContextName,
    },
    /// Show a context, without its key
    Show {
        /// Its name [default: --context, else the current one]
        name: Option<ContextName>,
    },
    /// Delete a context, and the key or token that is stored with it. A key stays valid: `cloister key revoke` ends it
    #[command(visible_alias = "rm")]
    Delete {
        /// Its name
        name: ContextName,
    },
}

impl ContextCommand {
    pub(crate) fn execute(self, context: &Context) -> anyhow::Result<()> {
        let path = config_path()?;
        // Reading needs no lock: the file is replaced in one step.
        let locked = matches!(self, Self::Use { .. } | Self::Delete { .. }).then(|| lock(&path)).transpose()?;
        let mut contexts = Contexts::read(&path)?;
        let write = |contexts: &Contexts| locked.as_ref().map_or(Ok(()), |locked| locked.write(contexts));
        match self {
            Self::List => list(context, &contexts),
            Self::Use { name } => {
                let url = found(&contexts, &name)?.url.clone();
                contexts.current = Some(name.clone());
                write(&contexts)?;
                note(&format!("the current context is {name}: {}", shown(&url)));
                Ok(())
            }
            Self::Show { name } => {
                let name = name.or_else(|| context.connection.context.clone()).or_else(|| contexts.current.clone());
                let name = name.ok_or_else(|| {
                    Usage::error("there is no current context: name one, or create one with `cloister login`")
                })?;
                let stored = document(&contexts, &name, found(&contexts, &name)?);
                if context.format != Format::Table {
                    return Ok(print_document(context.format, &stored)?);
                }
                for field in ["name", "url", "key", "ca"] {
                    if let Some(text) = stored[field].as_str() {
                        print_field(field, 13, &shown(text))?;
                    }
                }
                let signed_in = &stored["signIn"];
                if let Some(issuer) = signed_in["issuer"].as_str() {
                    print_field("issuer", 13, &shown(issuer))?;
                    let until = signed_in["expires"].as_str().map_or("unknown".to_owned(), shown);
                    let renewed = if signed_in["renewed"] == true { ", then renewed" } else { "" };
                    print_field("expires", 13, &format!("{until}{renewed}"))?;
                }
                Ok(print_field("current", 13, if stored["current"] == true { "yes" } else { "no" })?)
            }
            Self::Delete { name } => {
                let _ = found(&contexts, &name)?;
                contexts.contexts.remove(&name);
                if contexts.current.as_ref() == Some(&name) {
                    contexts.current = None;
                }
                write(&contexts)?;
                note(&format!("context {name} is deleted"));
                Ok(())
            }
        }
    }
}

/// Where the client's configuration is.
///
/// # Errors
/// If the environment names no folder for it.
pub(crate) fn config_path() -> anyhow::Result<PathBuf> {
    Contexts::path(|name| std::env::var(name).ok()).ok_or_else(|| {
        Usage::error(format!("set {HOME} or XDG_CONFIG_HOME: contexts are stored there, in cloister/config.yaml"))
    })
}

/// Adds a context, or replaces one of the same name and the same service. It becomes the current one.
///
/// # Errors
/// If the name is that of another service's context, or the file cannot be read or written.
pub(crate) fn store(name: &ContextName, context: StoredContext) -> anyhow::Result<()> {
    let locked = lock(&config_path()?)?;
    let mut contexts = locked.read()?;
    if let Some(other) = contexts.contexts.get(name).filter(|other| other.url != context.url) {
        return Err(Usage::error(format!(
            "the context `{name}` is one of {}: choose another name with --context, or delete it first",
            shown(&other.url)
        )));
    }
    contexts.contexts.insert(name.clone(), context);
    contexts.current = Some(name.clone());
    locked.write(&contexts)
}

fn found<'a>(contexts: &'a Contexts, name: &ContextName) -> anyhow::Result<&'a StoredContext> {
    contexts.contexts.get(name).ok_or_else(|| {
        Ended::error(
            NOT_FOUND,
            format!("there is no context `{name}`: `cloister context list` shows those that there are"),
        )
    })
}

/// A context as it is shown: without its key.
fn document(contexts: &Contexts, name: &ContextName, stored: &StoredContext) -> Value {
    let StoredContext { url, key, key_file, ca, sign_in } = stored;
    let key = match (key, key_file, sign_in) {
        (Some(_), _, Some(_)) => "token".to_owned(),
        (Some(_), ..) => "stored".to_owned(),
        (None, Some(file), _) => file.to_string_lossy().into_owned(),
        (None, None, _) => "none".to_owned(),
    };
    let signed_in =
        sign_in.as_ref().map(|StoredSignIn { issuer, client_id: _, audience: _, refresh_token, expires }| {
            let expires = expires.and_then(|seconds| jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok());
            json!({"issuer": issuer, "expires": expires.map(|at| at.to_string()), "renewed": refresh_token.is_some()})
        });
    let current = contexts.current.as_ref() == Some(name);
    json!({"name": name, "url": url, "key": key, "ca": ca, "signIn": signed_in, "current": current})
}

fn list(context: &Context, contexts: &Contexts) -> anyhow::Result<()> {
    let items: Vec<_> = contexts.contexts.iter().map(|(name, stored)| document(contexts, name, stored)).collect();
    if context.format != Format::Table {
        return Ok(print_document(context.format, &json!({"items": items}))?);
    }
    let mut table = Table::new(["CURRENT", "NAME", "URL", "KEY"]);
    for item in &items {
        let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
        let mark = if item["current"] == true { "*" } else { "" };
        table.row([mark.to_owned(), text("name"), text("url"), text("key")]);
    }
    Ok(table.print("no contexts: `cloister login` creates one")?)
}
