use super::{
    file,
    nearest::nearest,
    shape::Shape,
    table::{Setting, TABLE, is_setting},
};
use cloister_model::escape;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

/// Variables with our prefix that are not settings: those of the client and of the sandbox program.
const OTHER_VARIABLES: [&str; 5] = ["CLOISTER_HOME", "CLOISTER_KEY", "CLOISTER_URL", "CLOISTER_CA", "CLOISTER_CONFIG"];

const PREFIX: &str = "CLOISTER_";

/// Which layer gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// None: it is the default.
    Default,
    /// In the file, on this line.
    File(PathBuf, usize),
    /// In the environment, under this name.
    Environment(String),
    /// On the command line, by this flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "file {}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Why the settings cannot be used. Messages never contain values, which may be secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("configuration file `{path}`: {error}; give another with --config, or make it readable")]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("configuration file `{path}`: {problem}")]
    Syntax { path: PathBuf, problem: String },
    #[error("{origin}: unknown setting `{key}`{}; `cloister serve --print-config` lists all settings", meant(.nearest.as_deref()))]
    Unknown { origin: Origin, key: String, nearest: Option<String> },
    #[error("{origin}: the setting `{key}` must be {expected}")]
    Value { origin: Origin, key: &'static str, expected: &'static str },
    #[error("`--set {0}`: write it as KEY=VALUE, such as --set engine.max_jobs=2")]
    NoPair(String),
    #[error("settings contradict each other: {0}")]
    Contradiction(String),
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

/// The values that were given. For each setting, the last layer that gave one.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    given: BTreeMap<String, (Value, Origin)>,
}

impl Layers {
    /// Adds the values of a configuration file.
    pub(crate) fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        for file::Entry { key, value, line } in file::read(path)? {
            self.put(&key, value, Origin::File(path.to_owned(), line))?;
        }
        Ok(())
    }

    /// Adds the values of environment variables.
    pub(crate) fn environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            if OTHER_VARIABLES.contains(&name.as_str()) || !name.starts_with(PREFIX) {
                continue;
            }
            let origin = Origin::Environment(name.clone());
            match TABLE.iter().find(|setting| variable(setting.key) == name) {
                Some(setting) => self.put(setting.key, Value::String(value), origin)?,
                None => {
                    let known: Vec<String> = TABLE.iter().map(|setting| variable(setting.key)).collect();
                    let nearest = nearest(&name, known.iter().map(String::as_str)).map(str::to_owned);
                    return Err(ConfigError::Unknown { origin, key: shown(&name), nearest });
                }
            }
        }
        Ok(())
    }

    /// Adds the value of a flag, if it was given.
    pub(crate) fn flag(&mut self, flag: &str, key: &str, value: Option<String>) -> Result<(), ConfigError> {
        value.map_or(Ok(()), |value| self.put(key, Value::String(value), Origin::Flag(flag.to_owned())))
    }

    /// Adds `--set KEY=VALUE`.
    pub(crate) fn set(&mut self, pair: &str) -> Result<(), ConfigError> {
        let Some((key, value)) = pair.split_once('=') else { return Err(ConfigError::NoPair(shown(pair))) };
        self.put(key.trim(), Value::from(value), Origin::Flag("--set".to_owned()))
    }

    fn put(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), ConfigError> {
        if !is_setting(key) {
            let nearest = nearest(key, TABLE.iter().map(|setting| setting.key)).map(str::to_owned);
            return Err(ConfigError::Unknown { origin, key: shown(key), nearest });
        }
        self.given.insert(key.to_owned(), (value, origin));
        Ok(())
    }

    /// Reads one setting.
    pub(super) fn read<T: Shape>(&self, setting: &Setting) -> Result<T, ConfigError> {
        let given = self.given.get(setting.key);
        let read = given.map_or_else(|| T::read(&Value::from(setting.default)), |(value, _)| T::read(value));
        read.ok_or_else(|| ConfigError::Value {
            origin: self.origin(setting.key),
            key: setting.key,
            expected: setting.expected,
        })
    }

    /// Which layer gave a setting.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        self.given.get(key).map_or(Origin::Default, |(_, origin)| origin.clone())
    }
}

/// The name of a setting in the environment.
pub(super) fn variable(key: &str) -> String {
    if key == "home" {
        "CLOISTER_HOME_DIR".to_owned()
    } else {
        format!("{PREFIX}{}", key.to_uppercase().replace('.', "_"))
    }
}

fn shown(text: &str) -> String {
    escape(text.as_bytes(), 100).to_string()
}

#[cfg(test)]
mod tests;
