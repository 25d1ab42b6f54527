use crate::cache::Origin;
use cloister_model::{Location, Sha256, Source};
use serde_json::{Map, Value};
use sha2::Digest as _;

/// The cache key of a source: a digest over its address *and* its credentials, so that only a request with the same
/// credentials may reuse the cached file. What the file must be is not a part of it, except where the digest is the name.
pub(super) fn origin(source: &Source) -> Origin {
    let mut address = match serde_json::to_value(source) {
        Ok(Value::Object(fields)) => fields,
        // A source is written as an object of texts and numbers.
        _ => Map::new(),
    };
    address.remove("bytes");
    if !matches!(source.location(), Location::Upload(_)) {
        address.remove("sha256");
    }
    let mut hash = sha2::Sha256::new_with_prefix(b"file object\n");
    hash.update(Value::Object(sorted(address)).to_string());
    Sha256::from_bytes(hash.finalize().into())
}

/// Sorted even if another crate switches on `serde_json`'s order of insertion.
fn sorted(fields: Map<String, Value>) -> Map<String, Value> {
    let mut fields: Vec<(String, Value)> = fields
        .into_iter()
        .map(|(name, value)| match value {
            Value::Object(inner) => (name, Value::Object(sorted(inner))),
            other => (name, other),
        })
        .collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_source_has_the_same_origin_whatever_it_promises() {
        let origin = |value| origin(&serde_json::from_value(value).expect("a source"));
        let plain = origin(json!({"type": "url", "url": "https://a.example/"}));
        assert_eq!(
            plain,
            origin(json!({"bytes": 1, "sha256": "ab".repeat(32), "url": "https://a.example/", "type": "url"}))
        );
        assert_ne!(plain, origin(json!({"type": "url", "url": "https://a.example/", "headers": {"X": "other"}})));
        assert_ne!(plain, origin(json!({"type": "url", "url": "https://user@a.example/"})));
        let upload = |byte: &str| origin(json!({"type": "upload", "sha256": byte.repeat(32)}));
        assert_ne!(upload("ab"), upload("cd"));
    }
}
