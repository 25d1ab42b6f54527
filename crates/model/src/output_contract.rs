use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// What may leave a run: the budgets that are charged while the guest writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct OutputContract {
    /// Bytes over all output files, charged on logical size: a hole costs what data would.
    pub max_bytes: u64,
    /// Files.
    pub max_files: u64,
    /// Directories, beside `/data/outputs` itself.
    pub max_directories: u64,
    /// Length of a path below `/data/outputs`, in bytes.
    pub max_path_bytes: u32,
    /// Segments of a path below `/data/outputs`.
    pub max_depth: u32,
    /// The paths that may be written, below `/data/outputs`. A path must match at least one pattern.
    pub names: Vec<NamePattern>,
    /// Bytes kept of stdout and stderr together. The rest is dropped and counted.
    pub max_log_bytes: u64,
}

impl Default for OutputContract {
    fn default() -> Self {
        Self {
            max_bytes: 100 * 1024 * 1024,
            max_files: 1000,
            max_directories: 100,
            max_path_bytes: 512,
            max_depth: 8,
            names: vec![NamePattern("**".to_owned())],
            max_log_bytes: 1024 * 1024,
        }
    }
}

/// A contract that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("output contract: `{field}` {problem}")]
pub struct OutputContractError {
    /// The field, as written in JSON.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl OutputContract {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// The first field that could never be kept: paths longer than the kernel takes, or no name at all while files
    /// are allowed.
    pub fn check(&self) -> Result<(), OutputContractError> {
        let Self { max_bytes, max_files, max_directories: _, max_path_bytes, max_depth, names, max_log_bytes: _ } =
            self;
        let wrong = |field, problem| Err(OutputContractError { field, problem });
        if i64::try_from(*max_bytes).is_err() {
            return wrong("maxBytes", "is beyond what a file system can hold");
        }
        if !(1..=3072).contains(max_path_bytes) {
            return wrong("maxPathBytes", "must be 1 to 3072");
        }
        if !(1..=64).contains(max_depth) {
            return wrong("maxDepth", "must be 1 to 64");
        }
        if names.is_empty() && *max_files > 0 {
            return wrong("names", "is empty, so no file could ever be written; give patterns, or set maxFiles to 0");
        }
        Ok(())
    }

    /// Whether a file may have this path, given below `/data/outputs` without a leading `/`.
    #[must_use]
    pub fn allows_file(&self, path: &str) -> bool {
        self.within_bounds(path) && self.names.iter().any(|pattern| pattern.matches(path))
    }

    /// Whether a directory may have this path: within the bounds, and only where a pattern can match a file below it. A name is
    /// as good as content to carry data out, so a directory is no way around the patterns.
    #[must_use]
    pub fn allows_directory(&self, path: &str) -> bool {
        self.within_bounds(path) && self.names.iter().any(|pattern| pattern.matches_below(path))
    }

    /// One contract that keeps all of these: the least of every number, and names that each of them allows.
    ///
    /// A pattern stays if every contract has one that covers it ([`NamePattern::covers`]). So the result never allows
    /// what one of them forbids; where patterns only overlap (`*.csv` and `result*`) it forbids more than all of them
    /// together would. None for no contract, or if no name is left while each alone would let files out. The order of
    /// the contracts does not matter.
    #[must_use]
    pub fn strictest(contracts: &[Self]) -> Option<Self> {
        let mut strictest = contracts.first()?.clone();
        for contract in contracts {
            let Self { max_bytes, max_files, max_directories, max_path_bytes, max_depth, names: _, max_log_bytes } =
                contract;
            strictest.max_bytes = strictest.max_bytes.min(*max_bytes);
            strictest.max_files = strictest.max_files.min(*max_files);
            strictest.max_directories = strictest.max_directories.min(*max_directories);
            strictest.max_path_bytes = strictest.max_path_bytes.min(*max_path_bytes);
            strictest.max_depth = strictest.max_depth.min(*max_depth);
            strictest.max_log_bytes = strictest.max_log_bytes.min(*max_log_bytes);
        }
        let kept_by_all = |pattern: &&NamePattern| {
            contracts.iter().all(|contract| contract.names.iter().any(|other| other.covers(pattern)))
        };
        strictest.names = contracts.iter().flat_map(|contract| &contract.names).filter(kept_by_all).cloned().collect();
        strictest.names.sort();
        strictest.names.dedup();
        (strictest.max_files == 0 || !strictest.names.is_empty()).then_some(strictest)
    }

    /// Whether everything that keeps this contract keeps the other one, too: true only if that is certain.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let Self { max_bytes, max_files, max_directories, max_path_bytes, max_depth, names, max_log_bytes } = other;
        self.max_bytes <= *max_bytes
            && self.max_files <= *max_files
            && self.max_directories <= *max_directories
            && self.max_path_bytes <= *max_path_bytes
            && self.max_depth <= *max_depth
            && self.names.iter().all(|own| names.iter().any(|pattern| pattern.covers(own)))
            && self.max_log_bytes <= *max_log_bytes
    }

    /// Whether a path keeps the bounds on paths, whatever its names.
    #[must_use]
    pub fn within_bounds(&self, path: &str) -> bool {
        u32::try_from(path.len()).is_ok_and(|length| length <= self.max_path_bytes)
            && u32::try_from(path.split('/').count()).is_ok_and(|depth| depth <= self.max_depth)
            && path.split('/').all(|segment| {
                !segment.is_empty()
                    && segment.len() <= 255
                    && segment != "."
                    && segment != ".."
                    && !segment.chars().any(crate::escape::is_unsafe)
            })
    }
}

/// A pattern over output paths: `*` stands for any characters within a segment, `?` for one, `**` as a whole segment
/// for any number of segments. Everything else stands for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamePattern(String);

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name pattern is a relative path of at most 255 bytes with `*`, `?` and `**` (as a whole segment), without empty, `.` or `..` segments"
)]
pub struct NamePatternError;

impl NamePattern {
    /// Whether the path (relative, `/` between segments) is one the pattern means.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let pattern: Vec<&str> = self.0.split('/').collect();
        let segments: Vec<&str> = path.split('/').collect();
        matches_with(&pattern, &segments, |segment| *segment == ANY_SEGMENTS, |p, s| segment_matches(p, s))
    }

    /// Whether there can be a path below this one (relative, `/` between segments) that the pattern means.
    #[must_use]
    pub fn matches_below(&self, path: &str) -> bool {
        let pattern: Vec<&str> = self.0.split('/').collect();
        // The places in the pattern that the segments so far may have led to.
        let mut places = vec![false; pattern.len() + 1];
        places[0] = true;
        for segment in path.split('/') {
            let mut next = vec![false; pattern.len() + 1];
            for (place, wanted) in pattern.iter().enumerate() {
                // `**` may also stand for nothing.
                if *wanted == ANY_SEGMENTS && places[place] {
                    places[place + 1] = true;
                    next[place] = true;
                }
                next[place + 1] |= places[place] && *wanted != ANY_SEGMENTS && segment_matches(wanted, segment);
            }
            places = next;
        }
        places[..pattern.len()].contains(&true)
    }

    /// Whether every path that the other pattern matches, this one matches too: true only if that is certain.
    ///
    /// The other's text is matched like a path; its `**` and `*` can stand for nothing or for much, so only a wildcard
    /// of the same kind takes them.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let ours: Vec<&str> = self.0.split('/').collect();
        let theirs: Vec<&str> = other.0.split('/').collect();
        matches_with(
            &ours,
            &theirs,
            |segment| *segment == ANY_SEGMENTS,
            |p, s| {
                let (ours, theirs): (Vec<char>, Vec<char>) = (p.chars().collect(), s.chars().collect());
                *s != ANY_SEGMENTS
                    && matches_with(&ours, &theirs, |c| *c == '*', |p, s| *s != '*' && (*p == '?' || p == s))
            },
        )
    }
}

/// A segment of a pattern that stands for any number of segments.
const ANY_SEGMENTS: &str = "**";

fn segment_matches(pattern: &str, segment: &str) -> bool {
    let (pattern, segment): (Vec<char>, Vec<char>) = (pattern.chars().collect(), segment.chars().collect());
    matches_with(&pattern, &segment, |c| *c == '*', |p, s| *p == '?' || p == s)
}

/// Matches with wildcards that stand for any number of items, in time proportional to the product of the lengths.
fn matches_with<T>(pattern: &[T], items: &[T], any: impl Fn(&T) -> bool, one: impl Fn(&T, &T) -> bool) -> bool {
    let (mut p, mut i, mut retry) = (0, 0, None);
    while i < items.len() {
        if p < pattern.len() && any(&pattern[p]) {
            retry = Some((p, i));
            p += 1;
        } else if p < pattern.len() && one(&pattern[p], &items[i]) {
            p += 1;
            i += 1;
        } else if let Some((star, start)) = retry {
            retry = Some((star, start + 1));
            p = star + 1;
            i = start + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(any)
}

impl FromStr for NamePattern {
    type Err = NamePatternError;

    fn from_str(text: &str) -> Result<Self, NamePatternError> {
        let good = text.len() <= 255
            && !text.chars().any(char::is_control)
            && text.split('/').all(|segment| {
                !segment.is_empty() && segment != "." && segment != ".." && (segment == "**" || !segment.contains("**"))
            });
        if good { Ok(Self(text.to_owned())) } else { Err(NamePatternError) }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for NamePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for NamePattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NamePattern".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "maxLength": 255,
            "description": "A relative path; `*` and `?` within a segment, `**` as a whole segment."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        pattern.parse::<NamePattern>().expect("a pattern").matches(path)
    }

    #[test]
    fn a_contract_is_within_another_only_if_it_keeps_it() {
        let with = |change: fn(&mut OutputContract)| {
            let mut contract = OutputContract::default();
            change(&mut contract);
            contract
        };
        let own = with(|contract| contract.names = vec![NamePattern("*.csv".to_owned())]);
        assert!(own.is_within(&own) && own.is_within(&OutputContract::default()));
        assert!(!OutputContract::default().is_within(&own));
        let changes: [fn(&mut OutputContract); 6] = [
            |contract| contract.max_bytes -= 1,
            |contract| contract.max_files -= 1,
            |contract| contract.max_directories -= 1,
            |contract| contract.max_path_bytes -= 1,
            |contract| contract.max_depth -= 1,
            |contract| contract.max_log_bytes -= 1,
        ];
        for change in changes {
            assert!(!own.is_within(&with(change)) && with(change).is_within(&OutputContract::default()));
        }
    }

    #[test]
    fn a_directory_is_allowed_where_a_file_below_it_can_be() {
        for (pattern, path, expected) in [
            ("**", "anything/at/all", true),
            ("summary.json", "summary.json", false),
            ("summary.json", "a-row-of-the-data", false),
            ("*", "a", false),
            ("plots/*.svg", "plots", true),
            ("plots/*.svg", "plots/a", false),
            ("plots/*.svg", "other", false),
            ("*/x.csv", "a", true),
            ("*/x.csv", "a/b", false),
            ("**/x.csv", "a/b/c", true),
            ("a/**/x.csv", "a", true),
            ("a/**/x.csv", "a/b/c", true),
            ("a/**/x.csv", "b", false),
            ("a/**/b/x", "a/q/b", true),
            ("a/**", "a/b", true),
            ("a/?", "a", true),
        ] {
            let contract = OutputContract { names: vec![NamePattern(pattern.to_owned())], ..OutputContract::default() };
            assert_eq!(contract.allows_directory(path), expected, "{pattern} {path}");
        }
    }

    proptest! {
        /// Every directory above a file that is allowed is allowed.
        #[test]
        fn what_a_file_needs_above_it_is_allowed(pattern in "([ab*?]|\\*\\*)(/([ab*?]|\\*\\*)){0,3}", path in "[ab](/[ab]){1,4}") {
            let Ok(pattern) = pattern.parse::<NamePattern>() else { return Ok(()) };
            let mut above = path.as_str();
            while let Some((parent, _)) = above.rsplit_once('/') {
                prop_assert!(!pattern.matches(&path) || pattern.matches_below(parent), "{} {} {}", pattern, path, parent);
                above = parent;
            }
        }
    }

    #[test]
    fn patterns_mean_what_they_say() {
        for (pattern, path, expected) in [
            ("*.csv", "a.csv", true),
            ("*.csv", "a.csv.exe", false),
            ("*.csv", "dir/a.csv", false),
            ("**", "dir/a.csv", true),
            ("**/*.csv", "a.csv", true),
            ("**/*.csv", "x/y/a.csv", true),
            ("plots/*/p?.svg", "plots/a/p1.svg", true),
            ("plots/*/p?.svg", "plots/a/p12.svg", false),
            ("a*b*c", "aXbYbZc", true),
            ("result.json", "Result.json", false),
            ("ü?", "üé", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn a_pattern_is_a_relative_path() {
        for text in ["", "/a", "a/", "a//b", "../a", "a/./b", "a**", "a\nb"] {
            assert_eq!(text.parse::<NamePattern>(), Err(NamePatternError), "{text:?}");
        }
    }

    #[test]
    fn paths_are_bounded_and_plain() {
        let contract = OutputContract { max_depth: 2, max_path_bytes: 10, ..OutputContract::default() };
        for (path, allowed) in [
            ("a", true),
            ("a/b", true),
            ("a/b/c", false),
            ("0123456789", true),
            ("01234567890", false),
            ("", false),
            ("a/../b", false),
            ("a\x1bb", false),
            ("a\u{202e}b", false),
        ] {
            assert_eq!(contract.allows_file(path), allowed, "{path:?}");
        }
    }

    #[test]
    fn a_contract_that_cannot_be_kept_is_refused() {
        assert_eq!(OutputContract::default().check(), Ok(()));
        let nameless = OutputContract { names: vec![], ..OutputContract::default() };
        assert_eq!(nameless.check().expect_err("no names").field, "names");
        assert_eq!(OutputContract { max_files: 0, ..nameless }.check(), Ok(()));
    }

    #[test]
    fn covering_is_certain() {
        let covers = |a: &str, b: &str| a.parse::<NamePattern>().expect("a").covers(&b.parse().expect("b"));
        for (wide, narrow) in
            [("**", "a/*.csv"), ("*.csv", "res*.csv"), ("*.csv", "*.csv"), ("a?", "ab"), ("**/*.csv", "x/**/a?.csv")]
        {
            assert!(covers(wide, narrow), "{wide} covers {narrow}");
        }
        for (narrow, wide) in [("?", "*"), ("*", "**"), ("a/*", "**"), ("*.csv", "result*"), ("ab", "a?"), ("*/b", "b")]
        {
            assert!(!covers(narrow, wide), "{narrow} does not cover {wide}");
        }
    }

    #[test]
    fn the_strictest_contract_keeps_all() {
        let contract = |max_bytes, names: &[&str]| OutputContract {
            max_bytes,
            names: names.iter().map(|name| name.parse().expect("a pattern")).collect(),
            ..OutputContract::default()
        };
        let (wide, narrow) = (contract(10, &["**"]), contract(20, &["*.csv", "plots/*.svg"]));
        let both = OutputContract::strictest(&[wide.clone(), narrow.clone()]).expect("names in common");
        assert_eq!(both, contract(10, &["*.csv", "plots/*.svg"]));
        assert_eq!(OutputContract::strictest(&[narrow.clone(), wide]), Some(both));
        assert_eq!(OutputContract::strictest(&[narrow, contract(1, &["*.json"])]), None);
        assert_eq!(OutputContract::strictest(&[]), None);
    }

    fn pattern() -> impl Strategy<Value = String> {
        proptest::collection::vec("[ab?*]{1,3}|\\*\\*", 1..4).prop_map(|segments| segments.join("/"))
    }

    proptest! {
        #[test]
        fn what_is_covered_is_matched(ours in pattern(), theirs in pattern(), path in "[ab]{1,3}(/[ab]{1,3}){0,3}") {
            if let (Ok(ours), Ok(theirs)) = (ours.parse::<NamePattern>(), theirs.parse::<NamePattern>()) {
                prop_assert!(ours.covers(&ours));
                prop_assert!(!(ours.covers(&theirs) && theirs.matches(&path)) || ours.matches(&path));
            }
        }

        #[test]
        fn matching_ends_and_a_literal_matches_itself(path in "[a-c]{1,4}(/[a-c]{1,4}){0,3}", stars in "[a-c*]{1,40}") {
            prop_assert!(matches(&path, &path));
            if let Ok(pattern) = stars.parse::<NamePattern>() {
                let _ = pattern.matches(&path);
            }
        }
    }
}
