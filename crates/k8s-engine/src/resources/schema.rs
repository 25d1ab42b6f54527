//! The schemas of texts and lists whose type is a plain one in Rust.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A DID with or without its method.
pub(super) const DID: &str = "^(did:op:)?[A-Za-z0-9_-]{1,64}$";

/// 64 lower-case hexadecimal digits.
pub(super) const SHA256: &str = "^[0-9a-f]{64}$";

/// Printable ASCII without a space.
pub(super) const GRAPHIC: &str = "^[!-~]+$";

/// An object that the Kubernetes API knows by this name.
pub(super) const OBJECT_NAME: &str = "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$";

/// A number of bytes, processors or the like: what JSON numbers of the API server can hold.
pub(super) fn amount(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": 0})
}

/// As [`amount`], or none.
pub(super) fn amount_or_none(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": 0, "nullable": true})
}

/// A digest.
pub(super) fn sha256(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 64, "pattern": SHA256})
}

/// An account: printable ASCII, and not `*`.
pub(super) fn account(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": GRAPHIC})
}

/// The role of a key.
pub(super) fn role(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["consumer", "author", "publisher", "operator"]})
}

/// A phase of a job, by its name.
pub(super) fn phase(_: &mut SchemaGenerator) -> Schema {
    let names = cloister_model::Phase::ALL.map(cloister_model::Phase::as_str);
    json_schema!({"type": "string", "enum": names})
}

/// Whose doing it was.
pub(super) fn fault(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["nobody", "algorithm", "publisher", "system"]})
}

/// What algorithms can run in.
pub(super) fn runtimes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 2, "x-kubernetes-list-type": "set",
        "items": {"type": "string", "enum": ["wasm", "container"]}})
}

/// What algorithms can learn of time and chance.
pub(super) fn profiles(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 2, "x-kubernetes-list-type": "set",
        "items": {"type": "string", "enum": ["deterministic", "standard"]}})
}

/// Labels that nodes must have.
pub(super) fn node_labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 32, "additionalProperties": {"type": "string", "maxLength": 63}})
}

/// The conditions of a status, one for each type.
pub(super) fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let one = generator.subschema_for::<super::Condition>();
    json_schema!({"type": "array", "maxItems": 16, "items": one,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]})
}
