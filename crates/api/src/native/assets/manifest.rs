//! Manifests, DDOs and permissions for readers of the documentation. `cloister_model::{Manifest, Ddo, Permissions}` read them,
//! and the tests compare the fields.

#![expect(dead_code, reason = "describes what another type reads")]

use crate::native::schemas::{ProfileSchema, RuntimeSchema};
use utoipa::ToSchema;

/// What is published: a manifest, or a DDO of Ocean's format 4.x with its files in the clear.
#[derive(ToSchema)]
#[schema(as = AssetDocument)]
#[serde(untagged)]
pub(crate) enum DocumentSchema {
    Manifest(Box<ManifestSchema>),
    Ddo(DdoSchema),
}

/// A DDO. Everything else of Ocean's format is kept as it is.
#[derive(ToSchema)]
#[schema(as = Ddo)]
pub(crate) struct DdoSchema {
    #[schema(pattern = "^did:op:[A-Za-z0-9_-]{1,64}$")]
    id: String,
    #[schema(value_type = Object)]
    metadata: (),
    #[schema(value_type = Vec<Object>, min_items = 1, max_items = 100)]
    services: (),
}

/// An asset as its publisher writes it.
#[derive(ToSchema)]
#[schema(as = Manifest)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ManifestSchema {
    #[schema(pattern = "^cloister\\.dev/v1alpha1$")]
    api_version: String,
    kind: ManifestKind,
    metadata: ManifestMetadata,
    spec: ManifestSpec,
}

#[derive(ToSchema)]
enum ManifestKind {
    Dataset,
    Algorithm,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct ManifestMetadata {
    /// What you call it: unique among your assets of this kind.
    #[schema(pattern = "^[a-z0-9-]{1,63}$")]
    name: String,
}

/// What it is. `files`, `compute` and `consumerParameters` stand for `services` with one service of type `compute`.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ManifestSpec {
    /// The name if absent.
    #[schema(max_length = 1000)]
    title: Option<String>,
    #[schema(max_length = 1000)]
    author: Option<String>,
    #[schema(max_length = 20_000)]
    description: Option<String>,
    #[schema(max_length = 1000)]
    license: Option<String>,
    #[schema(max_items = 100)]
    tags: Option<Vec<String>>,
    /// What the table of a dataset looks like: `rows`, and `columns` with `name`, `type` and more.
    #[schema(value_type = Option<Object>)]
    schema: (),
    #[schema(min_items = 1, max_items = 100)]
    services: Option<Vec<ManifestService>>,
    /// Where the files are: objects with `type` `url`, `ipfs`, `s3`, `local`, `inline`, `upload` or `result`.
    #[schema(value_type = Option<Vec<Object>>, min_items = 1, max_items = 1000)]
    files: (),
    /// Which algorithms may run on it, and how. Absent: none.
    compute: Option<PermissionsSchema>,
    /// What consumers may set.
    #[schema(value_type = Option<Vec<Object>>, max_items = 200)]
    consumer_parameters: (),
    /// Who may use it at all: `allow` and `deny`, as in a DDO.
    #[schema(value_type = Option<Object>)]
    credentials: (),
    /// The Ocean Providers that may use it for their consumers, by their accounts; `*`: any. Absent: none.
    #[schema(max_items = 100)]
    ocean_providers: Option<Vec<String>>,
    /// For an algorithm: what it is.
    algorithm: Option<ManifestAlgorithm>,
}

/// What an algorithm is.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ManifestAlgorithm {
    language: Option<String>,
    version: Option<String>,
    /// What it runs in; absent: it is a WebAssembly program.
    container: Option<ManifestContainer>,
    /// What consumers may set.
    #[schema(value_type = Option<Vec<Object>>, max_items = 200)]
    consumer_parameters: (),
    /// The accounts that may read its files although it cannot be downloaded: publishers whom you ask to trust it.
    #[schema(max_items = 100)]
    inspectors: Option<Vec<String>>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct ManifestContainer {
    /// `wasm`, or an image that the operator maps to an interpreter, such as `python`; `wasm` if absent.
    image: Option<String>,
    tag: Option<String>,
    /// The command, with `$ALGO` for the program's file; `$ALGO` if absent.
    entrypoint: Option<String>,
    checksum: Option<String>,
}

/// Which algorithms may run on a dataset, and how. What is absent is not allowed.
#[derive(ToSchema)]
#[schema(as = Permissions)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PermissionsSchema {
    /// Whether a program that is not a published algorithm may run.
    allow_raw_algorithm: Option<bool>,
    /// `false`: no algorithm has a network, not even in a container. `true` is refused. In a DDO it may stand, as a field of
    /// Ocean's, and has no effect.
    allow_network_access: Option<bool>,
    /// Algorithms that may run.
    #[schema(max_items = 10_000)]
    publisher_trusted_algorithms: Option<Vec<TrustedAlgorithmSchema>>,
    /// Accounts whose algorithms may run; `*`: any.
    #[schema(max_items = 10_000)]
    publisher_trusted_algorithm_publishers: Option<Vec<String>>,
    /// Whether every algorithm that is published here may run, whatever its files become.
    allow_algorithms_published_here: Option<bool>,
    /// What may leave: the fields of `schemas/output-contract.v1.json` and `schemas/release-rules.v1.json` in one object.
    #[schema(value_type = Option<Object>)]
    output_contract: (),
    /// What algorithms may run in. Absent: `wasm` only.
    #[schema(max_items = 16)]
    runtimes: Option<Vec<RuntimeSchema>>,
    /// Which clock and randomness algorithms may get. Absent: `deterministic` only.
    #[schema(max_items = 16)]
    profiles: Option<Vec<ProfileSchema>>,
}

/// An algorithm that may run.
#[derive(ToSchema)]
#[schema(as = TrustedAlgorithm)]
#[serde(rename_all = "camelCase")]
struct TrustedAlgorithmSchema {
    /// Its DID; `*`: any.
    did: String,
    /// What its files must be; `*`: anything. Absent: it matches no algorithm.
    files_checksum: Option<String>,
    /// What its container section must be; `*`: anything. Absent: it matches no algorithm.
    container_section_checksum: Option<String>,
    /// The service that is meant; absent: any.
    service_id: Option<String>,
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ManifestService {
    /// Its type if absent.
    #[schema(min_length = 1, max_length = 128)]
    id: Option<String>,
    r#type: ManifestServiceType,
    #[schema(value_type = Vec<Object>, min_items = 1, max_items = 1000)]
    files: (),
    compute: Option<PermissionsSchema>,
    #[schema(value_type = Option<Vec<Object>>, max_items = 200)]
    consumer_parameters: (),
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum ManifestServiceType {
    /// May be downloaded.
    Access,
    /// May only be computed on.
    Compute,
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Manifest, Permissions};
    use std::collections::BTreeSet;
    use utoipa::PartialSchema;

    fn fields<T: PartialSchema>() -> BTreeSet<String> {
        let schema = serde_json::to_value(T::schema()).expect("json");
        assert_eq!(schema["additionalProperties"], false, "unknown fields are refused");
        schema["properties"].as_object().expect("properties").keys().cloned().collect()
    }

    fn of(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_described_is_what_is_read() {
        assert_eq!(fields::<ManifestSchema>(), of(&Manifest::FIELDS));
        assert_eq!(fields::<ManifestSpec>(), of(&Manifest::SPEC_FIELDS));
        assert_eq!(fields::<ManifestService>(), of(&Manifest::SERVICE_FIELDS));
        assert_eq!(fields::<ManifestAlgorithm>(), of(&Manifest::ALGORITHM_FIELDS));
        assert_eq!(fields::<ManifestContainer>(), of(&Manifest::CONTAINER_FIELDS));
        assert_eq!(fields::<PermissionsSchema>(), of(&Permissions::FIELDS));
    }
}
