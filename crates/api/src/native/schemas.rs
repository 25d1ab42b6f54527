//! Descriptions of types of the model, for readers of the documentation, and of what several routes have in common.

use cloister_model::{AuditAction, DenialRule, Did, Fault, Phase, Profile, ResultKind, Role, RuntimeKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type},
    },
};

/// A DID, with its description.
#[derive(Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct DidText(pub(super) Did);

impl PartialSchema for DidText {
    fn schema() -> RefOr<Schema> {
        let description = "The DID of an asset: `did:op:` and its identifier, or the identifier alone.";
        text().description(Some(description)).pattern(Some("^(did:op:)?[A-Za-z0-9_-]{1,64}$")).into()
    }
}

impl ToSchema for DidText {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Did")
    }
}

/// Describes the bytes of a file.
pub(super) enum BytesSchema {}

impl PartialSchema for BytesSchema {
    fn schema() -> RefOr<Schema> {
        text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))).into()
    }
}

impl ToSchema for BytesSchema {}

/// Which part of a file is asked for (RFC 9110, sections 13 and 14).
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes the headers that `Download::answer` reads")]
pub(super) struct PartSchema {
    /// One range of bytes, such as `bytes=0-1023`.
    #[param(rename = "Range")]
    range: Option<String>,
    /// The part only if the file is still the one with this `ETag`; otherwise all of it.
    #[param(rename = "If-Range")]
    if_range: Option<String>,
    /// Nothing if the file is still the one with this `ETag`.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// The names of an enumeration, as it reads and writes them itself.
fn names_of<T: JsonSchema>() -> Vec<String> {
    fn collect(schema: &Value, names: &mut Vec<String>) {
        let found = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
        names.extend(found.filter_map(Value::as_str).map(str::to_owned));
        schema["oneOf"].as_array().into_iter().flatten().for_each(|schema| collect(schema, names));
    }
    let mut names = Vec::new();
    collect(schemars::schema_for!(T).as_value(), &mut names);
    names
}

/// Describes enumerations of the model.
macro_rules! enumerations {
    ($($schema:ident describes $model:ident as $name:literal, $description:literal;)+) => {
        $(
            #[doc = concat!("Describes [`", stringify!($model), "`].")]
            pub(super) enum $schema {}

            impl PartialSchema for $schema {
                fn schema() -> RefOr<Schema> {
                    text().enum_values(Some(names_of::<$model>())).description(Some($description)).into()
                }
            }

            impl ToSchema for $schema {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed($name)
                }
            }
        )+

        #[cfg(test)]
        fn all() -> Vec<(&'static str, Vec<String>)> {
            vec![$(($name, names_of::<$model>())),+]
        }
    };
}

enumerations! {
    ActionSchema describes AuditAction as "AuditAction", "What was done.";
    FaultSchema describes Fault as "Fault", "Who caused the end of a job.";
    PhaseSchema describes Phase as "Phase", "The phase of a job.";
    ProfileSchema describes Profile as "Profile",
        "What an algorithm may learn of time and chance. `deterministic`: a virtual clock and seeded randomness. `standard`: \
         the real clock and entropy.";
    ResultKindSchema describes ResultKind as "ResultKind", "What a file of a job is, in Ocean's words.";
    RoleSchema describes Role as "Role", "What an account may do.";
    RuleSchema describes DenialRule as "DenialRule", "A rule that can keep a job from running.";
    RuntimeSchema describes RuntimeKind as "Runtime", "What an algorithm runs in.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enumerations_have_the_names_of_the_model() {
        let all = all();
        let of = |name: &str| all.iter().find(|(found, _)| *found == name).expect("described").1.clone();
        assert!(all.iter().all(|(_, names)| names.len() > 1), "{all:?}");
        assert_eq!(of("Phase"), Phase::ALL.map(|phase| phase.as_str().to_owned()));
        assert_eq!(
            of("Role"),
            [Role::Consumer, Role::Author, Role::Publisher, Role::Operator].map(|role| role.to_string())
        );
        assert!(of("ResultKind").contains(&"configrationLog".to_owned()), "a name that is not made by the rule");
        assert!(of("AuditAction").contains(&AuditAction::KeyRevoked.as_str().to_owned()));
    }
}
