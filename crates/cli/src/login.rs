//! `cloister login`.

use crate::{
    client::{
        Client, Connection, ConnectionArguments, Whoami, checked_key, find_context, is_loopback, parse_url, read,
        read_key,
    },
    context::Context,
    contexts::{ContextName, StoredContext, StoredSignIn, config_path, store},
    exit::Usage,
    output::{Format, note, print_document, shown},
    sign_in::{self, SignedIn},
};
use cloister_model::Secret;
use std::{
    fs,
    io::{IsTerminal as _, Read as _, stdin},
    path::{Path, PathBuf},
};
use url::Url;

const EXAMPLES: &str = "\
Examples:
  cloister login --url https://cloister.example.org
  cloister login --url https://cloister.example.org --key bob.key
  pass cloister | cloister login --url https://cloister.example.org --key -";

/// What ends the input from a terminal.
const END_OF_INPUT: &str = if cfg!(windows) { "Ctrl-Z and Enter" } else { "Ctrl-D" };

/// Sign in to a service, or store a key for it, for all further commands
///
/// With --key or CLOISTER_KEY, that key is stored. Without, you sign in at the identity provider that the service names: this
/// command shows a code to enter there in a browser, on any device. The token is renewed as long as the provider allows it.
///
/// The service is asked whose key or token it is; if that fails, nothing is stored. The context gets the name of --context, or
/// of the host, and becomes the current one. The file is $XDG_CONFIG_HOME/cloister/config.yaml, else
/// ~/.config/cloister/config.yaml, and only you can read it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Login {
    /// Store the path of the file of --key instead of the key, for keys that another program renews
    #[arg(long)]
    link: bool,
    /// Sign in at this identity provider, if the service accepts several
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

/// What is stored, and shown to the service before.
struct Given {
    key: Secret<String>,
    key_file: Option<PathBuf>,
    sign_in: Option<StoredSignIn>,
}

impl Login {
    pub(crate) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let arguments = &context.connection;
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let known = arguments.context.as_ref().and_then(|name| find_context(name, variable).ok());
        let url = arguments.url.clone().or_else(|| known.as_ref().map(|known| known.url.clone()));
        let url = url.or_else(|| variable("CLOISTER_URL"));
        let url = url.ok_or_else(|| Usage::error("log in to which service? Give its address with --url URL"))?;
        let url = parse_url(&url)?;
        let name = match &arguments.context {
            Some(name) => name.clone(),
            None => ContextName::of(&url).ok_or_else(|| Usage::error("give the context a name with --context NAME"))?,
        };
        let ca = arguments.ca.clone().or_else(|| variable("CLOISTER_CA").map(PathBuf::from));
        let ca = ca.map(|ca| absolute(&ca)).transpose()?.or_else(|| known.and_then(|known| known.ca));
        // Before the service is asked: a key that cannot be stored need not be sent.
        let path = config_path()?;
        let certificates = ca
            .as_ref()
            .map(|ca| fs::read(ca).map_err(|error| Usage::error(format!("certificates `{}`: {error}", ca.display()))));
        let certificates = certificates.transpose()?;
        if url.scheme() == "http" && !is_loopback(&url) {
            note("cloister: warning: without https, everyone on the way to the service can read the key");
        }
        let given = match self.given(arguments, variable)? {
            Some(given) => given,
            None => self.sign_in(&url, certificates.as_deref()).await?,
        };
        let Given { key, key_file, sign_in } = given;
        let connection = Connection { url: url.clone(), key: Some(key.clone()), certificates, renewal: None };
        let answer = Client::new(connection)?.get(&["v1", "whoami"], &[]).await?;
        let Whoami { account, role, via: _ } = read(&answer)?;
        let key = key_file.is_none().then_some(key);
        store(&name, StoredContext { url: url.to_string(), key, key_file, ca, sign_in })?;
        if context.format != Format::Table {
            return Ok(print_document(context.format, &answer)?);
        }
        note(&format!("logged in to {url} as {} ({})", shown(&account), shown(&role)));
        note(&format!("the current context is {name}, stored in {}", path.display()));
        Ok(())
    }

    /// The key that was given. None: the user has to sign in.
    fn given(
        &self,
        arguments: &ConnectionArguments,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Option<Given>> {
        let typed = arguments.key.as_deref();
        // Who names an issuer means to sign in, whatever the environment has.
        let environment = variable("CLOISTER_KEY").filter(|_| self.issuer.is_none());
        let key = match (typed, environment) {
            (Some(_), _) if self.issuer.is_some() => {
                return Err(Usage::error("--issuer is for signing in without a key: leave out --issuer or --key"));
            }
            (Some(file), _) if file == Path::new("-") => from_stdin()?,
            (Some(file), _) => read_key(file)?,
            (None, Some(key)) => checked_key("CLOISTER_KEY", &key)?,
            (None, None) if self.link => return Err(Usage::error("--link needs --key FILE")),
            (None, None) => return Ok(None),
        };
        let key_file = match typed.filter(|file| self.link && *file != Path::new("-")) {
            Some(file) => Some(absolute(file)?),
            None if self.link => return Err(Usage::error("--link needs --key FILE")),
            None => None,
        };
        Ok(Some(Given { key, key_file, sign_in: None }))
    }

    /// Signs in at the issuer that the service names.
    async fn sign_in(&self, url: &Url, certificates: Option<&[u8]>) -> anyhow::Result<Given> {
        let connection =
            Connection { url: url.clone(), key: None, certificates: certificates.map(<[u8]>::to_vec), renewal: None };
        let offered = sign_in::offered(&Client::new(connection)?).await?;
        let issuer = sign_in::choose(offered, self.issuer.as_deref())?;
        let SignedIn { key, sign_in } = sign_in::sign_in(issuer, certificates).await?;
        let key = checked_key("the answer of the issuer", key.expose())?;
        Ok(Given { key, key_file: None, sign_in: Some(sign_in) })
    }
}

/// The key from standard input.
fn from_stdin() -> anyhow::Result<Secret<String>> {
    if stdin().is_terminal() {
        note(&format!("Paste the key, then press Enter and {END_OF_INPUT}. It is shown as you type."));
    }
    let mut text = String::new();
    let read = stdin().lock().take(64 * 1024).read_to_string(&mut text);
    read.map_err(|error| Usage::error(format!("standard input: {error}")))?;
    checked_key("standard input", &text)
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).map_err(|error| Usage::error(format!("`{}`: {error}", path.display())))
}
