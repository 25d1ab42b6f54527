//! The types are compared with the description of the API, so that a change there fails here and not at run time.

use super::*;
use serde::{Deserializer, de, forward_to_deserialize_any};
use std::fmt;

/// A deserializer that only learns which fields a type asks for.
struct Fields<'a>(&'a mut Vec<&'static str>);

#[derive(Debug)]
struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stop")
    }
}

impl std::error::Error for Stop {}

impl de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = Stop;

    fn deserialize_any<V: de::Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop)
    }

    fn deserialize_struct<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Stop> {
        self.0.extend(fields);
        Err(Stop)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields<T: DeserializeOwned>() -> Vec<&'static str> {
    let mut found = Vec::new();
    assert!(T::deserialize(Fields(&mut found)).is_err());
    assert!(!found.is_empty());
    found
}

#[test]
fn every_field_that_is_read_is_in_the_description_of_the_api() {
    let description: Value = serde_json::from_str(&crate::serve::openapi().expect("a description")).expect("JSON");
    let schemas = &description["components"]["schemas"];
    for (schema, fields) in [
        ("Whoami", fields::<Whoami>()),
        ("Job", fields::<Job>()),
        ("JobAlgorithm", fields::<JobAlgorithm>()),
        ("Progress", fields::<Progress>()),
        ("Step", fields::<Step>()),
        ("Reason", fields::<Reason>()),
        ("JobExplanation", fields::<JobExplanation>()),
        ("Result", fields::<ResultFile>()),
        ("List_Result", fields::<List<ResultFile>>()),
        ("Asset", fields::<Asset>()),
        ("Service", fields::<Service>()),
        ("Key", fields::<Key>()),
        ("Environment", fields::<Environment>()),
        ("Upload", fields::<Upload>()),
        ("AuditRecord", fields::<Record>()),
    ] {
        for field in fields {
            assert!(schemas[schema]["properties"].get(field).is_some(), "`{schema}` has no field `{field}`");
        }
    }
}

#[test]
fn a_missing_field_is_named_and_hostile_text_is_escaped() {
    let missing = read::<Whoami>(&serde_json::json!({"account": "a"})).expect_err("no role").to_string();
    assert!(missing.contains("`role`"), "{missing}");
    let hostile = read::<Upload>(&serde_json::json!({"sha256": "\u{1b}[2J"})).expect_err("no digest").to_string();
    assert!(!hostile.contains('\u{1b}'), "{hostile}");
}
