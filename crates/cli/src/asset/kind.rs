use cloister_model::AssetKind;

/// The name of the kind's collection in paths of the API.
pub(super) fn collection(kind: AssetKind) -> &'static str {
    match kind {
        AssetKind::Dataset => "datasets",
        AssetKind::Algorithm => "algorithms",
    }
}

/// The kind in a message.
pub(super) fn noun(kind: AssetKind) -> &'static str {
    match kind {
        AssetKind::Dataset => "dataset",
        AssetKind::Algorithm => "algorithm",
    }
}
