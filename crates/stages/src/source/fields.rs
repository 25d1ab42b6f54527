use cloister_model::escape;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The fields of one object, read one by one. What nobody reads is refused: a misspelt field must not be a rule that
/// silently does not hold.
pub(super) struct Fields<'a> {
    fields: &'a Map<String, Value>,
    /// Where the object is, for messages: empty, or `s3Access.`.
    prefix: &'static str,
    read: BTreeSet<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value, prefix: &'static str) -> Result<Self, String> {
        let fields = value.as_object().ok_or_else(|| match prefix.trim_end_matches('.') {
            "" => "it must be an object".to_owned(),
            name => format!("`{name}` must be an object"),
        })?;
        Ok(Self { fields, prefix, read: BTreeSet::new() })
    }

    pub(super) fn wrong(&self, name: &str, expected: &str) -> String {
        format!("`{}{name}` must be {expected}", self.prefix)
    }

    pub(super) fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.read.insert(name);
        self.fields.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &'static str, most_bytes: usize) -> Result<Option<&'a str>, String> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let text = value.as_str().filter(|text| text.len() <= most_bytes);
        text.map(Some).ok_or_else(|| self.wrong(name, &format!("a text of at most {most_bytes} bytes")))
    }

    pub(super) fn needed(&mut self, name: &'static str, most_bytes: usize) -> Result<&'a str, String> {
        let text = self.text(name, most_bytes)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| format!("`{}{name}` is missing", self.prefix))
    }

    pub(super) fn number(&mut self, name: &'static str) -> Result<Option<u64>, String> {
        let Some(value) = self.value(name) else { return Ok(None) };
        value.as_u64().map(Some).ok_or_else(|| self.wrong(name, "a whole number, not negative"))
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, String> {
        let Some(value) = self.value(name) else { return Ok(false) };
        value.as_bool().ok_or_else(|| self.wrong(name, "true or false"))
    }

    /// All has been read.
    pub(super) fn end(self) -> Result<(), String> {
        match self.fields.keys().find(|name| !self.read.contains(name.as_str())) {
            None => Ok(()),
            Some(name) => Err(format!("`{}{}` is no field of it", self.prefix, escape(name.as_bytes(), 40))),
        }
    }
}
