//! `cloister login`.

use crate::{
    client::{Client, Connection, Whoami, checked_key, is_loopback, parse_url, read, read_key},
    context::Context,
    contexts::{ContextName, StoredContext, config_path, store},
    exit::Usage,
    output::{Format, note, print_document, shown},
};
use cloister_model::Secret;
use std::{
    fs,
    io::{IsTerminal as _, Read as _, stdin},
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
Examples:
  cloister login --url https://cloister.example.org --key bob.key
  pass cloister | cloister login --url https://cloister.example.org --key -";

/// Check an address and a key, and store them as a context for all commands
///
/// The service is asked whose key it is; if that fails, nothing is stored. The context gets the name of --context, or of the
/// host, and becomes the current one. The file is $XDG_CONFIG_HOME/cloister/config.yaml, else ~/.config/cloister/config.yaml,
/// and only you can read it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Login {
    /// Store where the file of --key is, and not the key: for a key that another program renews
    #[arg(long)]
    link: bool,
}

impl Login {
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let arguments = &context.connection;
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let url = arguments.url.clone().or_else(|| variable("CLOISTER_URL"));
        let url = url.ok_or_else(|| Usage::error("log in to which service? Give its address with --url URL"))?;
        let url = parse_url(&url)?;
        let name = match &arguments.context {
            Some(name) => name.clone(),
            None => ContextName::of(&url).ok_or_else(|| Usage::error("give the context a name with --context NAME"))?,
        };
        let typed = arguments.key.as_deref();
        let key = match (typed, variable("CLOISTER_KEY")) {
            (Some(file), _) if file == Path::new("-") => from_stdin()?,
            (Some(file), _) => read_key(file)?,
            (None, Some(key)) => checked_key("CLOISTER_KEY", &key)?,
            (None, None) => {
                return Err(Usage::error("log in with which key? Use --key FILE, or --key - to type or pipe it"));
            }
        };
        let key_file = match typed.filter(|file| self.link && *file != Path::new("-")) {
            Some(file) => Some(absolute(file)?),
            None if self.link => return Err(Usage::error("--link needs --key FILE")),
            None => None,
        };
        let ca = arguments.ca.clone().or_else(|| variable("CLOISTER_CA").map(PathBuf::from));
        let ca = ca.map(|ca| absolute(&ca)).transpose()?;
        // Before the service is asked: a key that cannot be stored need not be sent.
        let path = config_path()?;
        let certificates = ca
            .as_ref()
            .map(|ca| fs::read(ca).map_err(|error| Usage::error(format!("certificates `{}`: {error}", ca.display()))));
        let certificates = certificates.transpose()?;
        if url.scheme() == "http" && !is_loopback(&url) {
            note("cloister: warning: without https, everyone on the way to the service can read the key");
        }
        let client = Client::new(Connection { url: url.clone(), key: Some(key.clone()), certificates })?;
        let answer = client.get(&["v1", "whoami"], &[]).await?;
        let Whoami { account, role, via: _ } = read(&answer)?;
        let key = key_file.is_none().then_some(key);
        store(&name, StoredContext { url: url.to_string(), key, key_file, ca })?;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &answer)?);
        }
        note(&format!("logged in to {url} as {} ({})", shown(&account), shown(&role)));
        note(&format!("the current context is {name}, stored in {}", path.display()));
        Ok(())
    }
}

/// The key from standard input.
fn from_stdin() -> anyhow::Result<Secret<String>> {
    if stdin().is_terminal() {
        note("Paste the key, then press Enter and Ctrl-D. It is shown as you type.");
    }
    let mut text = String::new();
    let read = stdin().lock().take(64 * 1024).read_to_string(&mut text);
    read.map_err(|error| Usage::error(format!("standard input: {error}")))?;
    checked_key("standard input", &text)
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Usage::error(format!("`{}`: {error}", path.display())))
}
