use serde_json::{Map, Value};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

/// The kinds of value that a setting can have: how each is read and shown. Files give numbers, lists and tables as they
/// are; the environment and flags give texts.
pub(crate) trait Shape: Sized {
    /// What is expected, for a message: "a size such as `512MiB`".
    const EXPECTED: &'static str;

    /// Reads it; none if it is something else.
    fn read(value: &Value) -> Option<Self>;

    /// How it is shown, as it could be written into the file.
    fn show(&self) -> String;
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    // JSON's text is TOML's basic string.
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
    const EXPECTED: &'static str = "a text";

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

/// Empty text: none.
impl<T: Shape> Shape for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(value: &Value) -> Option<Self> {
        if value.as_str() == Some("") { Some(None) } else { T::read(value).map(Some) }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| "\"\"".to_owned(), T::show)
    }
}

/// A list; as a text, with commas between.
impl<T: Shape> Shape for Vec<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Array(items) => items.iter().map(T::read).collect(),
            Value::String(text) if text.trim().is_empty() => Some(Self::new()),
            Value::String(text) => match serde_json::from_str(text) {
                Ok(list @ Value::Array(_)) => Self::read(&list),
                _ => text.split(',').map(|item| T::read(&Value::from(item.trim()))).collect(),
            },
            _ => None,
        }
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(T::show).collect::<Vec<_>>().join(", "))
    }
}

/// Names and texts; as a text, `name=text` with commas between, or JSON.
impl Shape for BTreeMap<String, String> {
    const EXPECTED: &'static str = "a table of texts, or `name=text,...`";

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Object(entries) => {
                entries.iter().map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect()
            }
            Value::String(text) if text.trim().is_empty() => Some(Self::new()),
            Value::String(text) => match serde_json::from_str(text) {
                Ok(table @ Value::Object(_)) => Self::read(&table),
                _ => text
                    .split(',')
                    .map(|pair| pair.split_once('=').map(|(name, text)| (name.trim().to_owned(), text.to_owned())))
                    .collect(),
            },
            _ => None,
        }
    }

    fn show(&self) -> String {
        let entries: Vec<_> = self.iter().map(|(name, text)| format!("{} = {}", quoted(name), quoted(text))).collect();
        if entries.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", entries.join(", ")) }
    }
}

/// A table of whatever its reader knows; as a text, JSON.
impl Shape for Map<String, Value> {
    const EXPECTED: &'static str = "a table, or a JSON object";

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Object(table) => Some(table.clone()),
            Value::String(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    fn show(&self) -> String {
        quoted(&Value::Object(self.clone()).to_string())
    }
}

/// Bytes, written with a unit: B, KiB, MiB, GiB, TiB, or kB, MB, GB, TB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

const UNITS: [(&str, u64); 11] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("KB", 1000),
    ("B", 1),
    ("", 1),
];

impl FromStr for Size {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: u64 = number.parse().map_err(|_| ())?;
        let (_, factor) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim())).ok_or(())?;
        number.checked_mul(*factor).map(Self).ok_or(())
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = UNITS[..4].iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match whole {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// A time span, written as numbers with the units ms, s, m, h, d.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

const SPANS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Span {
    /// In milliseconds; the largest number for more than that.
    pub(crate) fn ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (mut rest, mut ms) = (text.trim(), 0_u64);
        if rest.is_empty() {
            return Err(());
        }
        while !rest.is_empty() {
            let end = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or(())?;
            let (number, after) = rest.split_at(end);
            let end = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            let (_, factor) = SPANS.iter().find(|(name, _)| *name == unit).ok_or(())?;
            let part = number.parse::<u64>().map_err(|_| ())?.checked_mul(*factor).ok_or(())?;
            ms = ms.checked_add(part).ok_or(())?;
            rest = after.trim_start();
        }
        Ok(Self(Duration::from_millis(ms)))
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut left = self.ms();
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in SPANS {
            if left >= factor {
                write!(f, "{}{unit}", left / factor)?;
                left %= factor;
            }
        }
        Ok(())
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

/// The least important log line that is written.
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
    fn sizes_have_units() {
        for (text, bytes) in [("0", 0), ("17", 17), ("1KiB", 1024), ("512 MiB", 512 << 20), ("2GB", 2_000_000_000)] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "1 XB", "99999999TiB"] {
            assert_eq!(text.parse::<Size>(), Err(()), "{text}");
        }
        assert_eq!(Size::read(&json!(4096)), Some(Size(4096)));
    }

    #[test]
    fn durations_have_units() {
        for (text, ms) in [("0s", 0), ("30m", 1_800_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("5ms", 5)] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(ms))), "{text}");
        }
        for text in ["", "30", "m", "1w", "1h30", "-1s", "999999999999999999d"] {
            assert_eq!(text.parse::<Span>(), Err(()), "{text}");
        }
    }

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
        assert_eq!(BTreeMap::<String, String>::read(&json!("python")), None);
    }

    proptest! {
        #[test]
        fn reads_what_it_shows(bytes: u64, ms: u64) {
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
            let span = Span(Duration::from_millis(ms));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn takes_any_text(text: String) {
            let _ = (text.parse::<Size>(), text.parse::<Span>(), Vec::<String>::read(&Value::from(text.as_str())));
        }
    }
}
