//! Descriptions of types of the model, for readers of the documentation. Their values come from those types.

use cloister_model::{Phase, Profile, Role};
use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

/// Describes [`cloister_model::Did`].
pub(super) enum DidSchema {}

/// Describes [`Phase`].
pub(super) enum PhaseSchema {}

/// Describes [`Profile`].
pub(super) enum ProfileSchema {}

/// Describes [`Role`].
pub(super) enum RoleSchema {}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn one_of(names: impl IntoIterator<Item = String>) -> ObjectBuilder {
    text().enum_values(Some(names))
}

impl PartialSchema for DidSchema {
    fn schema() -> RefOr<Schema> {
        let description = "The DID of an asset: `did:op:` and its identifier, or the identifier alone.";
        text().description(Some(description)).pattern(Some("^(did:op:)?[A-Za-z0-9_-]{1,64}$")).into()
    }
}

impl ToSchema for DidSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Did")
    }
}

impl PartialSchema for PhaseSchema {
    fn schema() -> RefOr<Schema> {
        one_of(Phase::ALL.map(|phase| phase.as_str().to_owned())).description(Some("Where a job is.")).into()
    }
}

impl ToSchema for PhaseSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Phase")
    }
}

impl PartialSchema for ProfileSchema {
    fn schema() -> RefOr<Schema> {
        let description = "What an algorithm may learn of time and chance. `deterministic`: a virtual clock and seeded \
            randomness. `standard`: the real clock and entropy.";
        let names = [Profile::Deterministic, Profile::Standard].map(|profile| profile.as_str().to_owned());
        one_of(names).description(Some(description)).into()
    }
}

impl ToSchema for ProfileSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Profile")
    }
}

impl PartialSchema for RoleSchema {
    fn schema() -> RefOr<Schema> {
        let names = [Role::Consumer, Role::Publisher, Role::Operator].map(|role| role.to_string());
        one_of(names).description(Some("What an account may do.")).into()
    }
}

impl ToSchema for RoleSchema {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Role")
    }
}
