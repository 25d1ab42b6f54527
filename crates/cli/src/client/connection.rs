use crate::exit::Usage;
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
    /// Address of the service [default: $CLOISTER_URL, else the service that runs in --home,
    /// else http://127.0.0.1:8090]
    #[arg(long, global = true, hide_short_help = true, value_name = "URL")]
    url: Option<String>,
    /// File that holds your key [default: the key in $CLOISTER_KEY, else the operator's key in --home,
    /// for a service on this machine]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Folder of the service on this machine [default: $CLOISTER_HOME_DIR, else ./cloister-data]
    #[arg(long, global = true, hide_short_help = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// PEM file with the certificates to trust instead of this machine's [default: $CLOISTER_CA]
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
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
    /// Combines the arguments with the environment and the service's folder.
    ///
    /// # Errors
    /// If a file cannot be read, or the address or the key is invalid.
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
            // The operator's key was found, not given: it is sent to this machine only.
            (None, None) if is_loopback(&url) => find_key(&home)?,
            (None, None) => None,
        };
        let ca = ca.clone().or_else(|| variable("CLOISTER_CA").map(PathBuf::from));
        let read = |path: PathBuf| {
            fs::read(&path).map_err(|error| Usage::error(format!("certificates `{}`: {error}", path.display())))
        };
        Ok(Self { url, key, certificates: ca.map(read).transpose()? })
    }
}

fn parse_url(text: &str) -> anyhow::Result<Url> {
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

fn read_key(path: &Path) -> anyhow::Result<Secret<String>> {
    let fault = |error: io::Error| Usage::error(format!("the key `{}`: {error}", path.display()));
    if fs::metadata(path).map_err(fault)?.len() > 64 * 1024 {
        return Err(Usage::error(format!("the key `{}`: the file is too large", path.display())));
    }
    checked_key(&format!("`{}`", path.display()), &fs::read_to_string(path).map_err(fault)?)
}

/// A key or a token: one line of visible ASCII characters. It never becomes part of a message.
fn checked_key(place: &str, text: &str) -> anyhow::Result<Secret<String>> {
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
