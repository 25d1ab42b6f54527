use super::{ConfigError, table::is_setting};
use cloister_model::escape;
use serde_json::Value;
use std::{
    io::Read as _,
    path::{Path, PathBuf},
};
use toml::de::{DeTable, DeValue};

/// Maximum size of a configuration file, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// A value in the file, and its line.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) line: usize,
}

/// Reads the file. Keys are not checked here. Tables are flattened until a key is a setting.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let fault = |error| ConfigError::Unreadable { path: path.to_owned(), error };
    let file = std::fs::File::open(path).map_err(fault)?;
    let mut text = String::new();
    file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(fault)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(ConfigError::Syntax { path: path.to_owned(), problem: format!("larger than {MOST_BYTES} bytes") });
    }
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, ConfigError> {
    let syntax = |problem: String| ConfigError::Syntax { path: PathBuf::from(path), problem };
    // The text of the line is left out, because it may contain a secret.
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        syntax(format!("line {line}: {}", escape(error.message().as_bytes(), 200)))
    })?;
    let mut entries = Vec::new();
    flatten("", table.get_ref(), text, &mut entries);
    Ok(entries)
}

/// The line of a byte position, from 1.
fn line_of(text: &str, place: usize) -> usize {
    text.get(..place).unwrap_or(text).matches('\n').count() + 1
}

fn flatten(above: &str, table: &DeTable<'_>, text: &str, into: &mut Vec<Entry>) {
    for (name, value) in table {
        let key = if above.is_empty() { name.get_ref().to_string() } else { format!("{above}.{}", name.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) if !is_setting(&key) => flatten(&key, inner, text, into),
            value => {
                into.push(Entry { key, value: plain(value), line: line_of(text, name.span().start) });
            }
        }
    }
}

fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            i64::from_str_radix(&digits, number.radix()).map_or_else(|_| Value::from(number.as_str()), Value::from)
        }
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| plain(item.get_ref())).collect(),
        DeValue::Table(table) => Value::Object(
            table.iter().map(|(name, value)| (name.get_ref().to_string(), plain(value.get_ref()))).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_have_their_lines() {
        let text = "listen = \"[::1]:1\"\n\n[engine]\nmax_jobs = 3\n\n[results.options]\naws_region = \"x\"\n";
        let entries = parse(Path::new("f"), text).expect("entries");
        let mut found: Vec<_> = entries.iter().map(|e| (e.key.as_str(), e.value.clone(), e.line)).collect();
        found.sort_by_key(|(_, _, line)| *line);
        assert_eq!(found[0], ("listen", json!("[::1]:1"), 1));
        assert_eq!(found[1], ("engine.max_jobs", json!(3), 4));
        assert_eq!((found[2].0, &found[2].1), ("results.options", &json!({"aws_region": "x"})));
    }

    #[test]
    fn a_syntax_error_names_its_line_and_not_its_text() {
        let error = parse(Path::new("cloister.toml"), "a = 1\nkey = \"SECRET").expect_err("no TOML").to_string();
        assert!(error.contains("cloister.toml") && error.contains("line 2") && !error.contains("SECRET"), "{error}");
    }
}
