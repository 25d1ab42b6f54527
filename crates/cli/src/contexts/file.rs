//! The client's configuration: one file with the services that an account of this machine uses.

use super::ContextName;
use crate::{
    exit::Usage,
    output::note,
    private_file::{self, others_can_read},
};
use cloister_model::{Secret, escape};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
};

/// Maximum size of the file, in bytes.
const MOST: u64 = 1024 * 1024;

/// The variable that names a user's own folder.
pub(super) const HOME: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };

/// How a token was obtained, and how it is renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StoredSignIn {
    /// The issuer that the user signed in at.
    pub(crate) issuer: String,
    /// The public client of command lines there.
    pub(crate) client_id: String,
    /// What tokens for the service name in `aud`.
    pub(crate) audience: String,
    /// The refresh token; none: the user has to sign in again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<Secret<String>>,
    /// When the token expires, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<u64>,
}

/// A service, and the credentials of the user there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StoredContext {
    /// The address of the service.
    pub(crate) url: String,
    /// The key itself, or the token of `sign_in`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<Secret<String>>,
    /// The file that holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<PathBuf>,
    /// PEM file with the certificates to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
    /// How `key` was obtained, if it is a token of an issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sign_in: Option<StoredSignIn>,
}

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Contexts {
    /// The context that is used if none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<ContextName>,
    pub(crate) contexts: BTreeMap<ContextName, StoredContext>,
}

impl Contexts {
    /// Where the file is: `$XDG_CONFIG_HOME/cloister/config.yaml`, else `$HOME/.config/cloister/config.yaml`, on Windows
    /// `%USERPROFILE%\.config\cloister\config.yaml`, where the client for Python has it, too. None if no variable is an absolute
    /// path.
    pub(crate) fn path(variable: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute(HOME)?.join(".config")))?;
        Some(folder.join("cloister").join("config.yaml"))
    }

    /// Reads the file. Without one there are no contexts.
    ///
    /// # Errors
    /// If it cannot be read or is not understood. A key in it does not become part of the message.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let fault = |problem: &str| Usage::error(format!("`{}`: {problem}", path.display()));
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            Err(error) => return Err(fault(&error.to_string())),
        };
        if !metadata.is_file() || metadata.len() > MOST {
            return Err(fault("not a configuration file"));
        }
        warn_if_readable(path, &metadata);
        let text = fs::read_to_string(path).map_err(|error| fault(&error.to_string()))?;
        Self::parse(&text).map_err(|problem| fault(&problem))
    }

    fn parse(text: &str) -> Result<Self, String> {
        // What the parser says can quote the text.
        let document: Value = serde_saphyr::from_str(text).map_err(|_| "is not YAML".to_owned())?;
        let fields = match document {
            Value::Null => Map::new(),
            Value::Object(fields) => fields,
            _ => return Err("expected the fields `current` and `contexts`".to_owned()),
        };
        let mut read = Self::default();
        for (field, value) in fields {
            match (field.as_str(), value) {
                ("current", Value::Null) | ("contexts", Value::Null) => {}
                ("current", Value::String(name)) => {
                    read.current = Some(name.parse().map_err(|problem| format!("`current`: {problem}"))?);
                }
                ("contexts", Value::Object(contexts)) => {
                    for (name, value) in contexts {
                        let shown = escape(name.as_bytes(), 100).to_string();
                        let name = name.parse().map_err(|problem| format!("context `{shown}`: {problem}"))?;
                        let context = StoredContext::deserialize(value).map_err(|_| {
                            format!(
                                "context `{shown}`: expected `url`, `key` or `keyFile`, `ca`, `signIn`, and nothing else"
                            )
                        })?;
                        read.contexts.insert(name, context);
                    }
                }
                (other, _) => {
                    let shown = escape(other.as_bytes(), 100).to_string();
                    return Err(format!("`{shown}`: expected the fields `current` and `contexts`"));
                }
            }
        }
        Ok(read)
    }

    /// Replaces the file, in one step. Only its owner can read it.
    ///
    /// # Errors
    /// If it cannot be written.
    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let fault = |error: io::Error| Usage::error(format!("`{}`: {error}", path.display()));
        // A token on one line, which the client for Python reads, too.
        let plain = serde_saphyr::ser_options! { prefer_block_scalars: false };
        let text = serde_saphyr::to_string_with_options(self, plain).map_err(|error| fault(io::Error::other(error)))?;
        if let Some(folder) = path.parent() {
            private_file::create_folder(folder).map_err(fault)?;
        }
        private_file::write(path, text.as_bytes()).map_err(fault)
    }
}

/// The file, while no other program changes it.
#[derive(Debug)]
pub(crate) struct Locked {
    path: PathBuf,
    _lock: File,
}

/// Waits until no other program changes the file.
///
/// # Errors
/// If the folder cannot be written to.
pub(crate) fn lock(path: &Path) -> anyhow::Result<Locked> {
    let fault = |error: io::Error| Usage::error(format!("`{}`: {error}", path.display()));
    if let Some(folder) = path.parent() {
        private_file::create_folder(folder).map_err(fault)?;
    }
    // Beside it, because the file itself is replaced.
    let beside = path.with_extension("lock");
    let lock = private_file::options().write(true).create(true).truncate(false).open(beside).map_err(fault)?;
    lock.lock().map_err(fault)?;
    Ok(Locked { path: path.to_owned(), _lock: lock })
}

impl Locked {
    /// As [`Contexts::read`].
    ///
    /// # Errors
    /// As there.
    pub(crate) fn read(&self) -> anyhow::Result<Contexts> {
        Contexts::read(&self.path)
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write(&self, contexts: &Contexts) -> anyhow::Result<()> {
        contexts.write(&self.path)
    }
}

/// Warns about a file with a key in it that other accounts of this machine can read.
pub(crate) fn warn_if_readable(path: &Path, metadata: &Metadata) {
    if others_can_read(metadata) {
        let path = path.display();
        note(&format!("cloister: warning: other users of this machine can read the key in `{path}`: chmod 600 {path}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn what_is_written_is_read_again_and_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/cloister/config.yaml");
        assert_eq!(Contexts::read(&path).expect("none yet"), Contexts::default());
        let stored = StoredContext {
            url: "https://cloister.example.org/".to_owned(),
            key: Some(Secret::new(format!("clk_1: #\"{}", "x".repeat(2000)))),
            key_file: None,
            ca: Some(PathBuf::from("/etc/ca.pem")),
            sign_in: Some(StoredSignIn {
                issuer: "https://login.example".to_owned(),
                client_id: "cli".to_owned(),
                audience: "cloister".to_owned(),
                refresh_token: Some(Secret::new("a: #b".to_owned())),
                expires: Some(1_795_363_289),
            }),
        };
        let linked =
            StoredContext { key: None, key_file: Some("/k".into()), ca: None, sign_in: None, ..stored.clone() };
        let name = |text: &str| text.parse::<ContextName>().expect("a name");
        let written =
            Contexts { current: Some(name("lab")), contexts: [(name("lab"), stored), (name("8"), linked)].into() };
        written.write(&path).expect("written");
        written.write(&path).expect("replaced");
        assert_eq!(Contexts::read(&path).expect("read"), written);
        let mode = |path: &Path| fs::metadata(path).expect("made").mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("a folder"))), (0o600, 0o700));
        let left = fs::read_dir(path.parent().expect("a folder")).expect("read").count();
        assert_eq!(left, 1, "nothing else is left there");
    }

    #[test]
    fn a_file_that_is_not_understood_is_refused_without_its_keys() {
        for text in [
            "contexts: {a: {url: x, key: clk_SECRET, other: 1}}",
            "contexts: {a: {key: clk_SECRET}}",
            "contexts: {a: {url: x, key: [clk_SECRET]}}",
            "contexts: {a: {url: x, signIn: {issuer: x, clientId: x, audience: x, refreshToken: [clk_SECRET]}}}",
            "contexts: {a: {url: x, key: clk_SECRET}",
            "contexts: clk_SECRET",
            "key: clk_SECRET",
            "clk_SECRET",
            "contexts: {'a b': {url: x, key: clk_SECRET}}",
            "current: [clk_SECRET]",
        ] {
            let problem = Contexts::parse(text).expect_err(text);
            assert!(!problem.contains("SECRET"), "{problem}");
        }
        assert_eq!(Contexts::parse("current:\ncontexts:\n").expect("empty"), Contexts::default());
    }

    #[test]
    fn the_file_is_where_the_desktop_keeps_such_files() {
        let path = |variables: &[(&str, &str)]| {
            Contexts::path(|name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let expected = |text: &str| Some(PathBuf::from(text));
        assert_eq!(path(&[("HOME", "/h")]), expected("/h/.config/cloister/config.yaml"));
        assert_eq!(path(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), expected("/x/cloister/config.yaml"));
        assert_eq!(path(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "")]), expected("/h/.config/cloister/config.yaml"));
        assert_eq!(path(&[]), None);
    }
}
