//! Manifests and DDOs for readers of the documentation. `cloister_model::Manifest` reads them.

#![expect(dead_code, reason = "describes what another type reads")]

use utoipa::ToSchema;

/// What is published: a manifest, or a DDO of Ocean's format 4.x with its files in the clear.
#[derive(ToSchema)]
#[schema(as = AssetDocument)]
#[serde(untagged)]
pub(crate) enum DocumentSchema {
    Manifest(ManifestSchema),
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
    #[schema(min_items = 1, max_items = 100)]
    services: Option<Vec<ManifestService>>,
    /// Where the files are: objects with `type` `url`, `ipfs`, `s3`, `local`, `inline`, `upload` or `result`.
    #[schema(value_type = Option<Vec<Object>>, min_items = 1, max_items = 1000)]
    files: (),
    /// Which algorithms may run on it, and how. Absent: none.
    #[schema(value_type = Option<Object>)]
    compute: (),
    /// What consumers may set.
    #[schema(value_type = Option<Vec<Object>>, max_items = 200)]
    consumer_parameters: (),
    /// Who may use it at all: `allow` and `deny`, as in a DDO.
    #[schema(value_type = Option<Object>)]
    credentials: (),
    /// For an algorithm: `language`, `version`, `container` (`image`, `tag`, `entrypoint`, `checksum`; WebAssembly if
    /// absent), `consumerParameters`.
    #[schema(value_type = Option<Object>)]
    algorithm: (),
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
    #[schema(value_type = Option<Object>)]
    compute: (),
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
