use super::unit::{Size, Span};
use cloister_model::WithoutDuplicates;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, str::FromStr};

/// A type that a setting can have: how its values are read and shown. Files contain numbers, lists and tables; the
/// environment and flags contain text.
pub(crate) trait Shape: Sized {
    /// The expected value, for messages: "a size such as `512MiB`".
    const EXPECTED: &'static str;

    /// Reads a value. None if it has another type.
    fn read(value: &Value) -> Option<Self>;

    /// The value as the configuration file would contain it.
    fn show(&self) -> String;
}

/// Text as a TOML string.
fn quoted(text: &str) -> String {
    // A JSON string is a basic string of TOML.
    Value::from(text).to_string()
}

fn parsed<T: FromStr>(value: &Value) -> Option<T> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

macro_rules! shape_by_text {
    ($($type:ty: $expected:literal, $show:expr;)*) => {$(
        impl Shape for $type {
            const EXPECTED: &'static str = $expected;
            fn read(value: &Value) -> Option<Self> {
                parsed(value)
            }
            fn show(&self) -> String {
                let show: fn(&Self) -> String = $show;
                show(self)
            }
        }
    )*};
}

shape_by_text! {
    u64: "a whole number", u64::to_string;
    u32: "a whole number up to 4294967295", u32::to_string;
    SocketAddr: "an address and a port such as `127.0.0.1:8090`", |address| quoted(&address.to_string());
    ipnet::IpNet: "a network such as `10.1.0.0/16`", |network| quoted(&network.to_string());
    Size: "a size such as `512MiB`", |size| quoted(&size.to_string());
    Span: "a duration such as `30m` or `1h30m`", |span| quoted(&span.to_string());
    EngineKind: "`local` or `k8s`", |kind| quoted(kind.as_str());
    LogFormat: "`auto`, `text` or `json`", |format| quoted(format.as_str());
    LogLevel: "`error`, `warn`, `info`, `debug` or `trace`", |level| quoted(level.as_str());
}

impl Shape for bool {
    const EXPECTED: &'static str = "`true` or `false`";

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(*value),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Shape for String {
    const EXPECTED: &'static str = "text";

    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }

    fn show(&self) -> String {
        quoted(self)
    }
}

impl Shape for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn read(value: &Value) -> Option<Self> {
        value.as_str().filter(|path| !path.is_empty()).map(Self::from)
    }

    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

/// Empty text means none.
impl<T: Shape> Shape for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(value: &Value) -> Option<Self> {
        if value.as_str() == Some("") { Some(None) } else { T::read(value).map(Some) }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "\"\"".to_owned(), T::show)
    }
}

/// A list. As text: JSON, or separated by commas.
impl<T: Shape> Shape for Vec<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Array(items) => items.iter().map(T::read).collect(),
            Value::String(text) if text.trim().is_empty() => Some(Self::new()),
            Value::String(text) => match serde_json::from_str(text) {
                Ok(list @ Value::Array(_)) => Self::read(&list).filter(|_| names_once(text)),
                _ => text.split(',').map(|item| T::read(&Value::from(item.trim()))).collect(),
            },
            _ => None,
        }
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(T::show).collect::<Vec<_>>().join(", "))
    }
}

/// Whether no object of this JSON text names a field twice.
fn names_once(text: &str) -> bool {
    serde_json::from_str::<WithoutDuplicates>(text).is_ok()
}

/// A table. As text: JSON, or `name=text` separated by commas.
impl Shape for BTreeMap<String, String> {
    const EXPECTED: &'static str = "a table of strings, or `name=text,...`";

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Object(entries) => {
                entries.iter().map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect()
            }
            Value::String(text) if text.trim().is_empty() => Some(Self::new()),
            Value::String(text) => match serde_json::from_str(text) {
                Ok(table @ Value::Object(_)) => Self::read(&table).filter(|_| names_once(text)),
                _ => {
                    let mut table = Self::new();
                    for pair in text.split(',') {
                        let (name, text) = pair.split_once('=')?;
                        // A name that stands twice has no meaning that everyone would guess.
                        if table.insert(name.trim().to_owned(), text.to_owned()).is_some() {
                            return None;
                        }
                    }
                    Some(table)
                }
            },
            _ => None,
        }
    }

    fn show(&self) -> String {
        let entries: Vec<_> = self.iter().map(|(name, text)| format!("{} = {}", quoted(name), quoted(text))).collect();
        if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
    }
}

/// A table whose fields its reader checks. As text: JSON.
impl Shape for Map<String, Value> {
    const EXPECTED: &'static str = "a table, or a JSON object";

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Object(table) => Some(table.clone()),
            Value::String(text) => serde_json::from_str(text).ok().filter(|_| names_once(text)),
            _ => None,
        }
    }

    fn show(&self) -> String {
        quoted(&Value::Object(self.clone()).to_string())
    }
}

/// Whom `/metrics` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetricsFor(pub(crate) cloister_api::MetricsFor);

impl Shape for MetricsFor {
    const EXPECTED: &'static str = "`operators`, `everyone` or `no-one`";

    fn read(value: &Value) -> Option<Self> {
        use cloister_api::MetricsFor::{Everyone, NoOne, Operators};
        // Until 0.1, a switch.
        let text = value.as_bool().map(|on| on.to_string()).or_else(|| value.as_str().map(str::to_owned))?;
        match text.trim() {
            "operators" | "true" => Some(Self(Operators)),
            "everyone" => Some(Self(Everyone)),
            "no-one" | "false" => Some(Self(NoOne)),
            _ => None,
        }
    }

    fn show(&self) -> String {
        quoted(match self.0 {
            cloister_api::MetricsFor::NoOne => "no-one",
            cloister_api::MetricsFor::Operators => "operators",
            cloister_api::MetricsFor::Everyone => "everyone",
        })
    }
}

/// Where jobs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineKind {
    /// On this machine.
    Local,
    /// On a Kubernetes cluster.
    K8s,
}

impl EngineKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::K8s => "k8s",
        }
    }
}

impl FromStr for EngineKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Local, Self::K8s].into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

impl LogFormat {
    fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Auto, Self::Text, Self::Json].into_iter().find(|format| format.as_str() == text).ok_or(())
    }
}

/// The lowest level of log lines that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogLevel(pub(crate) tracing::Level);

impl LogLevel {
    fn as_str(&self) -> &'static str {
        match self.0 {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warn",
            tracing::Level::INFO => "info",
            tracing::Level::DEBUG => "debug",
            tracing::Level::TRACE => "trace",
        }
    }
}

impl FromStr for LogLevel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        use tracing::Level;
        [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE]
            .map(LogLevel)
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn lists_and_tables_are_read_from_text_and_from_files() {
        let expected = vec!["a".to_owned(), "b".to_owned()];
        for value in [json!(["a", "b"]), json!("a, b"), json!("[\"a\",\"b\"]")] {
            assert_eq!(Vec::<String>::read(&value), Some(expected.clone()), "{value}");
        }
        assert_eq!(Vec::<String>::read(&json!("")), Some(vec![]));
        assert_eq!(Vec::<u64>::read(&json!("1,x")), None);
        let table: BTreeMap<String, String> = [("python".to_owned(), "python".to_owned())].into();
        for value in [json!({"python": "python"}), json!("python=python"), json!("{\"python\":\"python\"}")] {
            assert_eq!(BTreeMap::read(&value), Some(table.clone()), "{value}");
        }
        for wrong in ["python", "a=1,a=2", "{\"a\": \"1\", \"a\": \"2\"}"] {
            assert_eq!(BTreeMap::<String, String>::read(&json!(wrong)), None, "{wrong}");
        }
        let issuers = r#"[{"default_role": "consumer", "default_role": "operator"}]"#;
        assert_eq!(Vec::<Map<String, Value>>::read(&json!(issuers)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_accepted(text: String) {
            let _ = Vec::<String>::read(&Value::from(text.as_str()));
        }
    }
}
