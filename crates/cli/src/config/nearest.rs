/// The known name that was probably meant: fewest single-letter changes, at most a third of the name.
pub(super) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (distance(written, name), name))
        .filter(|(changes, name)| *changes <= name.chars().count().div_ceil(3))
        .min_by_key(|(changes, _)| *changes)
        .map(|(_, name)| name)
}

/// Levenshtein's: insertions, removals and replacements of letters.
fn distance(one: &str, other: &str) -> usize {
    // Names of settings are short; what a stranger sends never comes here. Bounded all the same.
    let other: Vec<char> = other.chars().take(100).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().take(100).enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for column in 1..row.len() {
            let replaced = diagonal + usize::from(letter != other[column - 1]);
            diagonal = row[column];
            row[column] = replaced.min(row[column] + 1).min(row[column - 1] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_changes() {
        for (one, other, changes) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("listen", "lisetn", 2)] {
            assert_eq!((distance(one, other), distance(other, one)), (changes, changes), "{one} {other}");
        }
    }

    #[test]
    fn guesses_only_what_is_near() {
        let known = ["listen", "engine.max_jobs", "cache.bytes"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("engine.maxjobs", known), Some("engine.max_jobs"));
        assert_eq!(nearest("something.else", known), None);
    }
}
