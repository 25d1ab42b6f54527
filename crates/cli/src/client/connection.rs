use super::{Client, ClientError};
use crate::exit::Usage;
use cloister_model::{Secret, escape};
use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};
use url::{Host, Url};

/// The service's folder, if nobody says where it is: below the current one.
pub(crate) const DEFAULT_HOME: &str = "cloister-data";

/// The operator's key in the service's folder.
pub(crate) const KEY_FILE: &str = "operator.key";

/// Where the service of this folder listens, while it runs.
pub(crate) const URL_FILE: &str = "service.url";

const DEFAULT_URL: &str = "http://127.0.0.1:8090";

/// How to reach the service, as typed.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArguments {
    /// The service [default: $CLOISTER_URL, else the one that runs in the service's folder,
    /// else http://127.0.0.1:8090]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// A file with your key [default: $CLOISTER_KEY, which is the key itself, else the operator's key
    /// in the service's folder, for a service on this machine]
    #[arg(long, global = true, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The service's folder [default: $CLOISTER_HOME_DIR, else ./cloister-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// A PEM file with certificates to trust, instead of those of this machine [default: $CLOISTER_CA]
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
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
}

impl Connection {
    /// Resolves what was typed, with what the environment and the service's folder say.
    ///
    /// # Errors
    /// If a file cannot be read, or something is not what it must be.
    pub(crate) fn resolve(
        arguments: &ConnectionArguments,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let home = arguments.home(&variable);
        let ConnectionArguments { url, key, home: _, ca } = arguments;
        let url = match url.clone().or_else(|| variable("CLOISTER_URL").filter(|url| !url.is_empty())) {
            Some(url) => parse_url(&url)?,
            None => find_url(&home).map_or_else(|| parse_url(DEFAULT_URL), Ok)?,
        };
        let key = match (key, variable("CLOISTER_KEY").filter(|key| !key.is_empty())) {
            (Some(file), _) => Some(read_key(file)?),
            (None, Some(key)) => Some(checked_key("CLOISTER_KEY", &key)?),
            // A key that was found, rather than given, goes nowhere but to this machine.
            (None, None) if is_loopback(&url) => find_key(&home)?,
            (None, None) => None,
        };
        let ca = ca.clone().or_else(|| variable("CLOISTER_CA").map(PathBuf::from));
        let read = |path: PathBuf| {
            fs::read(&path).map_err(|error| Usage::error(format!("certificates `{}`: {error}", path.display())))
        };
        Ok(Self { url, key, certificates: ca.map(read).transpose()? })
    }

    /// A client.
    ///
    /// # Errors
    /// If the certificates are none.
    pub(crate) fn open(self) -> Result<Client, ClientError> {
        Client::new(self)
    }
}

fn parse_url(text: &str) -> anyhow::Result<Url> {
    let wrong = |problem: &str| Usage::error(format!("--url `{}`: {problem}", escape(text.as_bytes(), 200)));
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong("give http://HOST:PORT or https://HOST"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(Usage::error("--url: give no user, password or query; the key is a file or CLOISTER_KEY"));
    }
    Ok(url)
}

/// Whether an address is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// Where the folder's service listens, if it says so; only ever on this machine.
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

fn read_key(path: &Path) -> anyhow::Result<Secret<String>> {
    let fault = |error: io::Error| Usage::error(format!("the key `{}`: {error}", path.display()));
    if fs::metadata(path).map_err(fault)?.len() > 64 * 1024 {
        return Err(Usage::error(format!("the key `{}`: too large for a key", path.display())));
    }
    checked_key(&format!("`{}`", path.display()), &fs::read_to_string(path).map_err(fault)?)
}

/// A key or a token: one line of visible characters. Never part of a message.
fn checked_key(place: &str, text: &str) -> anyhow::Result<Secret<String>> {
    let key = text.trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Usage::error(format!("{place} has no key in it: one line such as clk_...")));
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
    fn a_given_key_comes_before_a_found_one() {
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

    #[test]
    fn a_found_key_stays_on_this_machine() {
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
    fn a_running_service_is_found_in_its_folder_on_this_machine_only() {
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
    fn what_makes_no_sense_is_refused_and_no_key_is_shown() {
        for url in ["", "127.0.0.1:8090", "ftp://a", "http://user:SECRET@a", "http://a?key=SECRET"] {
            let arguments = ConnectionArguments { url: Some(url.to_owned()), ..Default::default() };
            let error = resolve(arguments, &[]).expect_err("no address").to_string();
            assert!(!error.contains("SECRET"), "{error}");
        }
        let error = resolve(ConnectionArguments::default(), &[("CLOISTER_KEY", "SEC RET")]).expect_err("no key");
        assert!(!format!("{error:#}").contains("RET"), "{error}");
    }
}
