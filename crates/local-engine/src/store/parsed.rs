//! The assets that were parsed last. Most jobs name the same few, and parsing one takes longer than reading its row.
//!
//! An asset is found here by the text of its row, read just before. One that has changed has another text, so that nothing has to
//! be invalidated and nothing old can be answered.

use cloister_model::{Asset, Did};
use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

/// Bytes of texts that are kept. An asset in memory takes a few times its text.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of the longest text that is kept: large descriptions are rare, and a few of them would take the room of all others.
const LONGEST: usize = 64 * 1024;

/// Assets by name, each with the text that it was parsed from.
#[derive(Default)]
pub(crate) struct ParsedAssets(Mutex<Parsed>);

#[derive(Default)]
struct Parsed {
    assets: HashMap<Did, (String, Asset)>,
    bytes: usize,
}

impl ParsedAssets {
    /// The asset that was parsed from this text before, if it is still here.
    pub(crate) fn get(&self, did: &Did, text: &str) -> Option<Asset> {
        let parsed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parsed.assets.get(did).filter(|(known, _)| known == text).map(|(_, asset)| asset.clone())
    }

    /// Keeps an asset and the text that it was parsed from. If there is no room, all others go.
    pub(crate) fn put(&self, text: String, asset: &Asset) {
        if text.len() > LONGEST {
            return;
        }
        let mut parsed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if parsed.bytes.saturating_add(text.len()) > MOST_BYTES {
            *parsed = Parsed::default();
        }
        parsed.bytes += text.len();
        if let Some((before, _)) = parsed.assets.insert(asset.ddo.id().clone(), (text, asset.clone())) {
            parsed.bytes -= before.len();
        }
    }
}

impl fmt::Debug for ParsedAssets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The texts have the credentials of sources.
        f.debug_struct("ParsedAssets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_testkit::dataset;

    #[test]
    fn an_asset_is_found_by_the_text_that_it_was_parsed_from() {
        let parsed = ParsedAssets::default();
        let (first, second) = (dataset("one", "alice", "first"), dataset("one", "alice", "second"));
        let did = first.ddo.id();
        assert!(parsed.get(did, "text").is_none());
        parsed.put("text".to_owned(), &first);
        assert_eq!(parsed.get(did, "text").as_ref(), Some(&first));
        assert!(parsed.get(did, "changed text").is_none(), "it has changed since");
        parsed.put("changed text".to_owned(), &second);
        assert!(parsed.get(did, "text").is_none(), "the old one is gone");
        assert_eq!(parsed.get(did, "changed text"), Some(second));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let parsed = ParsedAssets::default();
        let asset = |number: usize| dataset(&number.to_string(), "alice", "asset");
        parsed.put("x".repeat(LONGEST + 1), &asset(0));
        assert_eq!(parsed.0.lock().expect("no panic").assets.len(), 0, "it is too long");
        for number in 0..1000 {
            parsed.put("x".repeat(LONGEST), &asset(number));
            // The same one again takes its own place.
            parsed.put("y".repeat(LONGEST), &asset(number));
            let parsed = parsed.0.lock().expect("no panic");
            let bytes: usize = parsed.assets.values().map(|(text, _)| text.len()).sum();
            assert!(bytes <= MOST_BYTES && bytes == parsed.bytes, "{bytes} of {}", parsed.bytes);
        }
        assert!(parsed.get(asset(999).ddo.id(), &"y".repeat(LONGEST)).is_some());
    }
}
