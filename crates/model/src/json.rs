//! Reading JSON that a stranger wrote: every problem names its field, every text and list has a bound.
//!
//! A field that is absent and a field that is `null` mean the same everywhere, as they do to Ocean's clients.

use crate::escape;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::{collections::HashSet, fmt};

/// A field that is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct FieldError {
    /// Where it is, such as `services[0].compute.runtimes`. Holds no text of the document.
    pub field: String,
    /// What is wrong with it. Repeats nothing of the document but the name of an unknown field.
    pub problem: FieldProblem,
}

/// What can be wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldProblem {
    /// Absent or null.
    #[error("is missing")]
    Missing,
    /// Another type, form or value than the one expected.
    #[error("must be {0}")]
    Expected(&'static str),
    /// The text is longer than allowed.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// There are more entries than allowed.
    #[error("has more than {0} entries")]
    TooMany(usize),
    /// A field that does not belong here. Refused, because a misspelt field would be a rule that silently does not hold.
    #[error("has a field `{name}` that is not known; {}", advice(.meant.as_deref()))]
    Unknown {
        /// Its name, escaped.
        name: String,
        /// The known field that was probably meant.
        meant: Option<&'static str>,
    },
    /// A value of the right form that cannot be used, and why.
    #[error("{0}")]
    Unusable(&'static str),
}

fn advice(meant: Option<&str>) -> String {
    meant.map_or_else(|| "check its spelling".to_owned(), |name| format!("did you mean `{name}`?"))
}

/// Characters of an unknown name that are compared with known ones. Longer names are not misspelt.
const MOST_COMPARED: usize = 100;

/// The known name that was probably meant: the one with the fewest changes of a letter, at most a third of its length.
fn nearest(written: &str, known: &[&'static str]) -> Option<&'static str> {
    let written: String = written.chars().take(MOST_COMPARED).collect();
    let changes = |name: &'static str| (strsim::osa_distance(&written.to_lowercase(), &name.to_lowercase()), name);
    let near = |(changes, name): &(usize, &'static str)| *changes <= name.chars().count().div_ceil(3);
    known.iter().copied().map(changes).filter(near).min_by_key(|(changes, _)| *changes).map(|(_, name)| name)
}

/// A document in which no object names a field twice. Parsers differ in which of the two counts, so that a reader of a rule
/// may see another one than the one that is kept.
///
/// It reads a document and keeps nothing of it.
#[derive(Clone, Copy, Debug)]
pub struct WithoutDuplicates;

impl<'de> Deserialize<'de> for WithoutDuplicates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = WithoutDuplicates;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a document")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WithoutDuplicates, A::Error> {
                let mut seen = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    let text = escape(name.as_bytes(), 64).to_string();
                    if !seen.insert(name) {
                        return Err(A::Error::custom(format!(
                            "the field `{text}` stands twice in one object; keep one"
                        )));
                    }
                    map.next_value::<WithoutDuplicates>()?;
                }
                Ok(WithoutDuplicates)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<WithoutDuplicates, A::Error> {
                while list.next_element::<WithoutDuplicates>()?.is_some() {}
                Ok(WithoutDuplicates)
            }

            fn visit_bool<E>(self, _: bool) -> Result<WithoutDuplicates, E> {
                Ok(WithoutDuplicates)
            }

            fn visit_i64<E>(self, _: i64) -> Result<WithoutDuplicates, E> {
                Ok(WithoutDuplicates)
            }

            fn visit_u64<E>(self, _: u64) -> Result<WithoutDuplicates, E> {
                Ok(WithoutDuplicates)
            }

            fn visit_f64<E>(self, _: f64) -> Result<WithoutDuplicates, E> {
                Ok(WithoutDuplicates)
            }

            fn visit_str<E>(self, _: &str) -> Result<WithoutDuplicates, E> {
                Ok(WithoutDuplicates)
            }

            fn visit_unit<E>(self) -> Result<WithoutDuplicates, E> {
                Ok(WithoutDuplicates)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// One place in a document.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    /// The whole document. `path` is what fields are named below; empty for a document of its own.
    pub(crate) fn root(path: &str, value: &'a Value) -> Self {
        Self { path: path.to_owned(), value }
    }

    /// The same place with another value.
    pub(crate) fn with_value<'b>(&self, value: &'b Value) -> Node<'b> {
        Node { path: self.path.clone(), value }
    }

    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    /// Where it is, such as `services[0].compute`.
    pub(crate) fn path(&self) -> &str {
        if self.path.is_empty() { "document" } else { &self.path }
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.value.is_null()
    }

    pub(crate) fn error(&self, problem: FieldProblem) -> FieldError {
        FieldError { field: self.path().to_owned(), problem }
    }

    pub(crate) fn expected(&self, what: &'static str) -> FieldError {
        self.error(if self.is_absent() { FieldProblem::Missing } else { FieldProblem::Expected(what) })
    }

    /// A field of this object; absent if this is not an object.
    pub(crate) fn get(&self, name: &'static str) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { path, value: self.value.get(name).unwrap_or(&Value::Null) }
    }

    pub(crate) fn object(&self) -> Result<&'a Map<String, Value>, FieldError> {
        self.value.as_object().ok_or_else(|| self.expected("an object"))
    }

    /// Refuses an object with a field that is not known.
    pub(crate) fn refuse_unknown(&self, known: &[&'static str]) -> Result<(), FieldError> {
        match self.object()?.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(self.error(FieldProblem::Unknown {
                name: escape(name.as_bytes(), 64).to_string(),
                meant: nearest(name, known),
            })),
            None => Ok(()),
        }
    }

    pub(crate) fn text(&self, most_bytes: usize) -> Result<&'a str, FieldError> {
        // YAML takes words such as `n`, `yes` and `1.0` for something else.
        let what =
            if self.value.is_boolean() || self.value.is_number() { "a text; put it in quotes" } else { "a text" };
        let text = self.value.as_str().ok_or_else(|| self.expected(what))?;
        if text.len() > most_bytes { Err(self.error(FieldProblem::TooLong(most_bytes))) } else { Ok(text) }
    }

    /// A text that is not empty.
    pub(crate) fn needed(&self, most_bytes: usize) -> Result<&'a str, FieldError> {
        match self.text(most_bytes)? {
            "" => Err(self.error(FieldProblem::Missing)),
            text => Ok(text),
        }
    }

    pub(crate) fn text_or_absent(&self, most_bytes: usize) -> Result<Option<&'a str>, FieldError> {
        if self.is_absent() { Ok(None) } else { self.text(most_bytes).map(Some) }
    }

    /// A text that is parsed; the error says what was expected instead of repeating the text.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, what: &'static str) -> Result<T, FieldError> {
        self.text(MOST_PARSED_BYTES)?.parse().map_err(|_| self.expected(what))
    }

    pub(crate) fn flag(&self) -> Result<bool, FieldError> {
        match self.value {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(*flag),
            _ => Err(self.expected("true or false")),
        }
    }

    pub(crate) fn number_or_absent(&self) -> Result<Option<u64>, FieldError> {
        if self.is_absent() {
            return Ok(None);
        }
        self.value.as_u64().map(Some).ok_or_else(|| self.expected("a whole number, not negative"))
    }

    /// The entries of a list; none if it is absent.
    pub(crate) fn entries(&self, most: usize) -> Result<Vec<Self>, FieldError> {
        let entries = match self.value {
            Value::Null => return Ok(Vec::new()),
            Value::Array(entries) => entries,
            _ => return Err(self.expected("a list")),
        };
        if entries.len() > most {
            return Err(self.error(FieldProblem::TooMany(most)));
        }
        let at = |(i, value)| Self { path: format!("{}[{i}]", self.path), value };
        Ok(entries.iter().enumerate().map(at).collect())
    }
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", self.path)
    }
}

/// Enough for every text with a form of its own; the longest is a `filesChecksum` of 1000 files.
const MOST_PARSED_BYTES: usize = 64_000;

/// Whether the value, written as JSON without spaces, has at most this many bytes. Stops counting there.
pub(crate) fn fits(value: &Value, most_bytes: usize) -> bool {
    size(value, most_bytes).is_some()
}

/// The bytes that a value has as JSON; none if it has more than so many.
pub(crate) fn size(value: &Value, most_bytes: usize) -> Option<usize> {
    struct Left(usize);
    impl std::io::Write for Left {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::FileTooLarge)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut left = Left(most_bytes);
    serde_json::to_writer(&mut left, value).ok().map(|()| most_bytes - left.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn problems_name_their_field() {
        let document = json!({"a": [{"b": 1}], "c": null, "long": "abcdef"});
        let root = Node::root("", &document);
        let entries = root.get("a").entries(1).expect("a list");
        assert_eq!(
            entries[0].get("b").text(9).expect_err("a number").to_string(),
            "`a[0].b` must be a text; put it in quotes"
        );
        assert_eq!(root.get("c").text(9).expect_err("null").to_string(), "`c` is missing");
        assert_eq!(root.get("long").text(5).expect_err("long").to_string(), "`long` is longer than 5 bytes");
        assert_eq!(root.get("a").entries(0).expect_err("many").to_string(), "`a` has more than 0 entries");
        assert_eq!(root.expected("a list").to_string(), "`document` must be a list");
    }

    #[test]
    fn an_unknown_field_is_named_with_the_one_that_was_probably_meant() {
        for (name, expected) in [
            ("colum", "`a` has a field `colum` that is not known; did you mean `column`?"),
            ("COLUMN", "`a` has a field `COLUMN` that is not known; did you mean `column`?"),
            ("laest", "`a` has a field `laest` that is not known; did you mean `least`?"),
            ("rows", "`a` has a field `rows` that is not known; check its spelling"),
            ("\u{1b}[2J", "`a` has a field `\\u{1b}[2J` that is not known; check its spelling"),
        ] {
            let document = json!({"a": {name: 1}});
            let error = Node::root("", &document).get("a").refuse_unknown(&["column", "least"]).expect_err(name);
            assert_eq!(error.to_string(), expected);
        }
        assert_eq!(nearest(&"x".repeat(100_000), &["column"]), None);
    }

    #[test]
    fn a_field_stands_once_in_an_object_however_deep() {
        for (text, expected) in [
            (r#"{"a": 1, "b": [{"a": null}, {"a": -1.5e3}], "c": {"a": "a", "": true}}"#, None),
            (r#"{"a": 1, "a": 1}"#, Some("`a`")),
            (r#"{"a": [0, {"b": {"c": 1, "\u0063": 2}}]}"#, Some("`c`")),
            ("{\"\\u001b\": 1, \"\\u001b\": 2}", Some(r"`\u{1b}`")),
        ] {
            let read = serde_json::from_str::<WithoutDuplicates>(text).map_err(|error| error.to_string());
            match expected {
                None => assert!(read.is_ok(), "{text}: {read:?}"),
                Some(name) => assert!(read.as_ref().is_err_and(|error| error.contains(name)), "{text}: {read:?}"),
            }
        }
    }

    #[test]
    fn size_is_counted_as_written() {
        assert!(fits(&json!({"a": 1}), 7));
        assert!(!fits(&json!({"a": 1}), 6));
    }
}
