use crate::{
    contexts::{ContextName, Contexts, StoredContext, warn_if_readable},
    exit::Usage,
    sign_in::Renewal,
};
use cloister_model::{Secret, escape};
use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};
use url::{Host, Url};

/// The default folder of the service, relative to the current one.
pub(crate) const DEFAULT_HOME: &str = "cloister-data";

/// The file in the service's folder that holds the operator's key.
pub(crate) const KEY_FILE: &str = "operator.key";

/// The file in the service's folder that holds its address while it runs.
pub(crate) const URL_FILE: &str = "service.url";

const DEFAULT_URL: &str = "http://127.0.0.1:8090";

/// How to reach the service, as typed.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArguments {
    /// Use this context of `cloister login` [default: what the environment says, else the current context]
    #[arg(long, global = true, hide_short_help = true, value_name = "NAME")]
    pub(crate) context: Option<ContextName>,
    /// Address of the service [default: $CLOISTER_URL, else that of the context, else the service that runs in
    /// --home, else http://127.0.0.1:8090]
    #[arg(long, global = true, hide_short_help = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// File that holds your key [default: the key in $CLOISTER_KEY, else that of the context, else the operator's
    /// key in --home, for a service on this machine]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Folder of the service on this machine [default: $CLOISTER_HOME_DIR, else ./cloister-data]
    #[arg(long, global = true, hide_short_help = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// PEM file with the certificates to trust instead of this machine's [default: $CLOISTER_CA,
    /// else those of the context]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

impl ConnectionArguments {
    /// The folder of the service on this machine.
    pub(crate) fn home(&self, variable: impl Fn(&str) -> Option<String>) -> PathBuf {
        let home = self.home.clone().or_else(|| variable("CLOISTER_HOME_DIR").map(PathBuf::from));
        home.unwrap_or_else(|| PathBuf::from(DEFAULT_HOME))
    }
}

/// How to reach the service.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) url: Url,
    pub(crate) key: Option<Secret<String>>,
    pub(crate) certificates: Option<Vec<u8>>,
    /// How the key is renewed, if it is a token that can be.
    pub(crate) renewal: Option<Renewal>,
}

impl Connection {
    /// Combines the arguments with the environment, the context and the service's folder, in this order. A key that is
    /// found in one of them is sent only to the service that it belongs to there.
    ///
    /// # Errors
    /// If a file cannot be read, or the address or the key is invalid.
    pub(crate) fn resolve(
        arguments: &ConnectionArguments,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let home = arguments.home(&variable);
        let ConnectionArguments { context: name, url, key, home: _, ca } = arguments;
        let environment = &variable;
        let named = name.as_ref().map(|name| Ok::<_, anyhow::Error>((name.clone(), find_context(name, environment)?)));
        let named = named.transpose()?;
        // A context that is named on the command line takes precedence over the environment.
        let variable = |name: &str| environment(name).filter(|text| !text.is_empty() && named.is_none());
        let typed = url.clone().or_else(|| variable("CLOISTER_URL")).map(|url| parse_url(&url)).transpose()?;
        let gives_key = key.is_some() || variable("CLOISTER_KEY").is_some();
        let chooses_home = arguments.home.is_some() || variable("CLOISTER_HOME_DIR").is_some();
        let context = match (&named, &typed) {
            (Some((_, context)), Some(url)) if context.url()? != *url => {
                let text = format!("--url: the context is one of {}; leave out --url or --context", context.url()?);
                return Err(Usage::error(text));
            }
            (Some(context), _) => Some(context.clone()),
            (None, Some(url)) => {
                let found = current_context(variable);
                // Address and key may be given because the file is broken.
                let found = if gives_key { found.unwrap_or_default() } else { found? };
                found.filter(|(_, context)| context.url().is_ok_and(|of| of == *url))
            }
            (None, None) if chooses_home => None,
            (None, None) => current_context(variable)?,
        };
        let url = match (typed, &context) {
            (Some(url), _) => url,
            (None, Some((_, context))) => context.url()?,
            (None, None) => find_url(&home).map_or_else(|| parse_url(DEFAULT_URL), Ok)?,
        };
        let mut signed_in = None;
        let key = match (key, variable("CLOISTER_KEY")) {
            (Some(file), _) => Some(read_key(file)?),
            (None, Some(key)) => Some(checked_key("CLOISTER_KEY", &key)?),
            (None, None) => match context.as_ref().map(|(_, context)| context.read_key()).transpose()?.flatten() {
                // The operator's key was found, not given: it is sent to this machine only.
                None if is_loopback(&url) && named.is_none() => find_key(&home)?,
                key => {
                    signed_in = context.clone().and_then(|(name, context)| Some((name, context.sign_in?)));
                    key
                }
            },
        };
        let ca = ca.clone().or_else(|| variable("CLOISTER_CA").map(PathBuf::from));
        let ca = ca.or_else(|| context.and_then(|(_, context)| context.ca));
        let read = |path: PathBuf| {
            fs::read(&path).map_err(|error| Usage::error(format!("certificates `{}`: {error}", path.display())))
        };
        let certificates = ca.map(read).transpose()?;
        let renewal = signed_in.and_then(|(name, sign_in)| {
            Some(Renewal { name, path: Contexts::path(environment)?, sign_in, authorities: certificates.clone() })
        });
        Ok(Self { url, key, certificates, renewal })
    }
}

impl StoredContext {
    pub(crate) fn url(&self) -> anyhow::Result<Url> {
        parse_url(&self.url)
    }

    fn read_key(&self) -> anyhow::Result<Option<Secret<String>>> {
        match (&self.key, &self.key_file) {
            (Some(key), _) => checked_key("the context", key.expose()).map(Some),
            (None, Some(file)) => read_key(file).map(Some),
            (None, None) => Ok(None),
        }
    }
}

pub(crate) fn find_context(
    name: &ContextName,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<StoredContext> {
    let mut contexts = match Contexts::path(variable) {
        Some(path) => Contexts::read(&path)?,
        None => Contexts::default(),
    };
    contexts.contexts.remove(name).ok_or_else(|| {
        Usage::error(format!("there is no context `{name}`: `cloister context list` shows those that there are"))
    })
}

fn current_context(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<(ContextName, StoredContext)>> {
    let Some(path) = Contexts::path(variable) else { return Ok(None) };
    let mut contexts = Contexts::read(&path)?;
    let Some(current) = contexts.current else { return Ok(None) };
    match contexts.contexts.remove(&current) {
        Some(context) => Ok(Some((current, context))),
        None => Err(Usage::error(format!(
            "`{}`: the current context `{current}` does not exist; choose one with `cloister context use`",
            path.display()
        ))),
    }
}

pub(crate) fn parse_url(text: &str) -> anyhow::Result<Url> {
    let wrong = |problem: &str| Usage::error(format!("--url `{}`: {problem}", escape(text.as_bytes(), 200)));
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or_else(|| wrong("must begin with http:// or https://, such as http://127.0.0.1:8090"))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(Usage::error("--url: must not contain a user, a password or a query; use --key or CLOISTER_KEY"));
    }
    Ok(url)
}

/// Whether an address is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// The address of the service that runs in the folder, if there is one. Addresses of other machines are ignored.
fn find_url(home: &Path) -> Option<Url> {
    let path = home.join(URL_FILE);
    let is_short = fs::metadata(&path).is_ok_and(|metadata| metadata.is_file() && metadata.len() < 1000);
    let text = is_short.then(|| fs::read_to_string(&path).ok()).flatten()?;
    parse_url(text.trim()).ok().filter(is_loopback)
}

fn find_key(home: &Path) -> anyhow::Result<Option<Secret<String>>> {
    let path = home.join(KEY_FILE);
    match fs::metadata(&path) {
        Ok(_) => read_key(&path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Usage::error(format!("the key `{}`: {error}", path.display()))),
    }
}

pub(crate) fn read_key(path: &Path) -> anyhow::Result<Secret<String>> {
    let fault = |error: io::Error| Usage::error(format!("the key `{}`: {error}", path.display()));
    let metadata = fs::metadata(path).map_err(fault)?;
    warn_if_readable(path, &metadata);
    if metadata.len() > 64 * 1024 {
        return Err(Usage::error(format!("the key `{}`: the file is too large", path.display())));
    }
    checked_key(&format!("`{}`", path.display()), &fs::read_to_string(path).map_err(fault)?)
}

/// A key or a token: one line of visible ASCII characters. It never becomes part of a message.
pub(crate) fn checked_key(place: &str, text: &str) -> anyhow::Result<Secret<String>> {
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Usage::error(format!("{place} does not contain a key; expected one line such as clk_...")));
    }
    Ok(Secret::new(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(arguments: ConnectionArguments, variables: &[(&str, &str)]) -> anyhow::Result<Connection> {
        Connection::resolve(&arguments, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn key(connection: &Connection) -> Option<&str> {
        connection.key.as_ref().map(|key| key.expose().as_str())
    }

    #[test]
    fn a_given_key_takes_precedence_over_the_operators() {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join(KEY_FILE), "clk_found\n").expect("written");
        let file = home.path().join("mine");
        fs::write(&file, "clk_file").expect("written");
        let found = ConnectionArguments { home: Some(home.path().to_owned()), ..Default::default() };
        assert_eq!(key(&resolve(found.clone(), &[]).expect("a connection")), Some("clk_found"));
        assert_eq!(key(&resolve(found.clone(), &[("CLOISTER_KEY", "clk_env")]).expect("one")), Some("clk_env"));
        let given = ConnectionArguments { key: Some(file), ..found };
        assert_eq!(key(&resolve(given, &[("CLOISTER_KEY", "clk_env")]).expect("one")), Some("clk_file"));
        let variables = [("CLOISTER_HOME_DIR", home.path().to_str().expect("a path"))];
        assert_eq!(key(&resolve(ConnectionArguments::default(), &variables).expect("one")), Some("clk_found"));
    }

    /// Variables that lead to a file with the context `lab`, which is the current one, and `ward`.
    fn configured(folder: &Path) -> Vec<(&'static str, String)> {
        let path = folder.join("cloister/config.yaml");
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let text = "current: lab\ncontexts:\n  lab: {url: 'https://lab.example', key: clk_lab}\n  \
                    ward: {url: 'https://ward.example', key: clk_ward}\n";
        fs::write(&path, text).expect("written");
        vec![("XDG_CONFIG_HOME", folder.to_str().expect("text").to_owned())]
    }

    #[test]
    fn flags_come_before_the_environment_and_that_before_the_context_and_that_before_the_folder() {
        let (folder, home) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        fs::write(home.path().join(KEY_FILE), "clk_found\n").expect("written");
        fs::write(home.path().join(URL_FILE), "http://127.0.0.1:1\n").expect("written");
        let file = folder.path().join("mine");
        fs::write(&file, "clk_file").expect("written");
        let configured = configured(folder.path());
        let (url, lab, ward) = ("https://other.example/", "https://lab.example/", "https://ward.example/");
        let home = home.path().to_str().expect("text");
        // What is typed, what the environment says, and what comes of it.
        type Pairs<'a> = &'a [(&'a str, &'a str)];
        let cases: [(Pairs<'_>, Pairs<'_>, &str, Option<&str>); 12] = [
            (&[], &[], lab, Some("clk_lab")),
            (&[("context", "ward")], &[], ward, Some("clk_ward")),
            (&[("context", "ward")], &[("CLOISTER_URL", url), ("CLOISTER_KEY", "clk_env")], ward, Some("clk_ward")),
            (&[("context", "ward"), ("key", "")], &[], ward, Some("clk_file")),
            (&[("key", "")], &[("CLOISTER_KEY", "clk_env")], lab, Some("clk_file")),
            (&[], &[("CLOISTER_KEY", "clk_env")], lab, Some("clk_env")),
            // The key of a context goes to its own service only.
            (&[("url", url)], &[], url, None),
            (&[], &[("CLOISTER_URL", url)], url, None),
            (&[("url", "http://127.0.0.1:9")], &[], "http://127.0.0.1:9/", None),
            (&[("url", lab)], &[("CLOISTER_URL", url)], lab, Some("clk_lab")),
            // A folder that is named comes before the current context.
            (&[("home", home)], &[], "http://127.0.0.1:1/", Some("clk_found")),
            (&[], &[("CLOISTER_HOME_DIR", home)], "http://127.0.0.1:1/", Some("clk_found")),
        ];
        for (typed, variables, expected, expected_key) in cases {
            let given =
                |name: &str| typed.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            let arguments = ConnectionArguments {
                context: given("context").map(|name| name.parse().expect("a name")),
                url: given("url"),
                key: given("key").map(|_| file.clone()),
                home: given("home").map(PathBuf::from),
                ca: None,
            };
            let variables: Vec<_> = configured
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .chain(variables.iter().copied())
                .collect();
            let connection = resolve(arguments, &variables).expect("a connection");
            assert_eq!(
                (connection.url.as_str(), key(&connection)),
                (expected, expected_key),
                "{typed:?} {variables:?}"
            );
        }
    }

    #[test]
    fn a_context_that_does_not_exist_or_is_of_another_service_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let configured = configured(folder.path());
        let variables: Vec<_> = configured.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let named = |name: &str| Some(name.parse().expect("a name"));
        let arguments = ConnectionArguments { context: named("none"), ..Default::default() };
        assert!(resolve(arguments.clone(), &variables).is_err() && resolve(arguments, &[]).is_err());
        let url = Some("https://lab.example".to_owned());
        let arguments = ConnectionArguments { context: named("ward"), url, ..Default::default() };
        assert!(resolve(arguments, &variables).is_err());
        fs::write(folder.path().join("cloister/config.yaml"), "current: gone\n").expect("written");
        assert!(resolve(ConnectionArguments::default(), &variables).is_err());
        // Where it is not needed, a broken file is no error.
        let given = [&variables[..], &[("CLOISTER_URL", "https://lab.example"), ("CLOISTER_KEY", "clk_env")]].concat();
        assert_eq!(key(&resolve(ConnectionArguments::default(), &given).expect("a connection")), Some("clk_env"));
    }

    #[test]
    fn a_token_is_renewed_for_its_own_service_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let configured = configured(folder.path());
        let text = "current: lab\ncontexts:\n  lab: {url: 'https://lab.example', key: token, signIn: {issuer: \
                    'https://login.example', clientId: cli, audience: cloister, refreshToken: r, expires: 1}}\n";
        fs::write(folder.path().join("cloister/config.yaml"), text).expect("written");
        let variables: Vec<_> = configured.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let renewed = |url: Option<&str>, variables: &[(&str, &str)]| {
            let arguments = ConnectionArguments { url: url.map(str::to_owned), ..Default::default() };
            resolve(arguments, variables).expect("a connection").renewal.map(|renewal| renewal.name.to_string())
        };
        assert_eq!(renewed(None, &variables).as_deref(), Some("lab"));
        assert_eq!(renewed(Some("https://lab.example"), &variables).as_deref(), Some("lab"));
        assert_eq!(renewed(Some("https://other.example"), &variables), None);
        let given = [&variables[..], &[("CLOISTER_KEY", "clk_env")]].concat();
        assert_eq!(renewed(None, &given), None, "the key that was given is sent");
    }

    #[test]
    fn the_operators_key_is_sent_to_this_machine_only() {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join(KEY_FILE), "clk_found\n").expect("written");
        for (url, expected) in [
            ("https://cloister.example", None),
            ("http://127.0.0.1.example:8090", None),
            ("http://192.168.0.1:8090", None),
            ("http://127.0.0.1:1", Some("clk_found")),
            ("http://[::1]:1", Some("clk_found")),
            ("http://localhost:1", Some("clk_found")),
        ] {
            let home = Some(home.path().to_owned());
            let arguments = ConnectionArguments { url: Some(url.to_owned()), home, ..Default::default() };
            assert_eq!(key(&resolve(arguments, &[]).expect("a connection")), expected, "{url}");
        }
    }

    #[test]
    fn a_running_service_is_found_through_its_folder_on_this_machine_only() {
        let home = tempfile::tempdir().expect("a folder");
        let url = |text: &str| {
            fs::write(home.path().join(URL_FILE), text).expect("written");
            let arguments = ConnectionArguments { home: Some(home.path().to_owned()), ..Default::default() };
            resolve(arguments, &[]).expect("a connection").url.to_string()
        };
        assert_eq!(url("http://127.0.0.1:1234\n"), "http://127.0.0.1:1234/");
        for other in ["http://example.org:1234", "nonsense", ""] {
            assert_eq!(url(other), format!("{DEFAULT_URL}/"), "{other}");
        }
    }

    #[test]
    fn invalid_addresses_are_refused_and_no_key_is_shown() {
        for url in ["", "127.0.0.1:8090", "ftp://a", "http://user:SECRET@a", "http://a?key=SECRET"] {
            let arguments = ConnectionArguments { url: Some(url.to_owned()), ..Default::default() };
            let error = resolve(arguments, &[]).expect_err("no address").to_string();
            assert!(!error.contains("SECRET"), "{error}");
        }
        let error = resolve(ConnectionArguments::default(), &[("CLOISTER_KEY", "SEC RET")]).expect_err("no key");
        assert!(!format!("{error:#}").contains("RET"), "{error}");
    }
}
