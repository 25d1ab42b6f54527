use strsim::levenshtein;

/// Characters of a name that are compared. Longer names are not settings.
const MOST: usize = 100;

/// The known name that was probably meant: the one with the fewest single-letter changes, at most a third of its length.
pub(super) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written: String = written.chars().take(MOST).collect();
    known
        .into_iter()
        .map(|name| (levenshtein(&written, name), name))
        .filter(|(changes, name)| *changes <= name.chars().count().div_ceil(3))
        .min_by_key(|(changes, _)| *changes)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_names_are_suggested() {
        let known = ["listen", "engine.max_jobs", "cache.bytes"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("engine.maxjobs", known), Some("engine.max_jobs"));
        assert_eq!(nearest("something.else", known), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
