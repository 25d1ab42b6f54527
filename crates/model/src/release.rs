use crate::{Account, Sha256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// The media type that [`CsvRules`] are about.
const CSV: &str = "text/csv";

/// The media type that [`JsonRules`] are about.
const JSON: &str = "application/json";

/// Programs that check the outputs of one job.
pub const MOST_CHECKS: usize = 8;

/// Accounts that one dataset may name as reviewers.
pub const MOST_REVIEWERS: usize = 4;

/// What outputs must be to leave, beyond the budgets of the [`OutputContract`](crate::OutputContract): asked by filtering, once the
/// algorithm has ended. A publisher writes these fields into `outputContract` beside the budgets. All absent: whatever
/// keeps the budgets may leave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ReleaseRules {
    /// The media types that may leave, told by content and not by name. None: those that the rules `csv` and `json` are about,
    /// or any if there is no such rule ([`ReleaseRules::allowed_types`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_types: Option<BTreeSet<MediaPattern>>,
    /// What every CSV file must keep. A table has two columns at least: text with one column is `text/plain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvRules>,
    /// What every JSON file must keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonRules>,
    /// Programs that must agree: each runs in the sandbox, with the outputs as its dataset, and refuses by exiting with
    /// another code than 0. At most [`MOST_CHECKS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Whether a person must agree, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub review: bool,
    /// Accounts that may review in addition to the publisher. If there are any, two different accounts have to approve. At most
    /// [`MOST_REVIEWERS`], and only with `review`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeSet<String>"))]
    pub reviewers: BTreeSet<Account>,
}

/// The rules for a CSV file. An absent field is no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct CsvRules {
    /// Rows, the header not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
    /// Columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_columns: Option<u64>,
    /// Bytes of one cell, the header's included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cell_bytes: Option<u64>,
    /// The only columns that there may be, by their names in the header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<BTreeSet<String>>,
    /// Columns whose every value must be a number and at least so large: the smallest group that a statistic may be
    /// about. A file without the column is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub minimum: Vec<ColumnMinimum>,
    /// What every number of the table must be, in whatever column, the header included. Cells that are no numbers may be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_number: Option<NumberMinimum>,
}

/// The least value of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ColumnMinimum {
    /// Its name in the header.
    pub column: String,
    /// The least that every row must have in it.
    pub least: u64,
    /// Whether a row may have 0 in it, too.
    #[serde(default, skip_serializing_if = "Zero::is_refused")]
    pub zero: Zero,
}

/// The least value of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NumberMinimum {
    /// The least that every number must be.
    pub least: u64,
    /// Whether a number may be 0, too.
    #[serde(default, skip_serializing_if = "Zero::is_refused")]
    pub zero: Zero,
}

/// Whether 0 is allowed where a least value is required. Allow it only if a group can be empty for reasons that are known anyway: then
/// the 0 tells nothing about a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Zero {
    /// 0 is refused, because it is less than the least value.
    #[default]
    Refused,
    /// 0 is allowed.
    Allowed,
}

impl Zero {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    fn is_refused(&self) -> bool {
        *self == Self::Refused
    }
}

impl NumberMinimum {
    /// Whether every number that keeps this minimum keeps the other one, too.
    fn is_within(&self, other: &Self) -> bool {
        self.least >= other.least && (self.zero == Zero::Refused || other.zero == Zero::Allowed || other.least == 0)
    }

    /// The minimum that keeps both.
    fn and(self, other: Self) -> Self {
        Self { least: self.least.max(other.least), zero: self.zero.min(other.zero) }
    }
}

impl ColumnMinimum {
    fn of_number(&self) -> NumberMinimum {
        NumberMinimum { least: self.least, zero: self.zero }
    }
}

/// The rules for a JSON file. An absent field is no rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct JsonRules {
    /// How deep values may lie in each other; 1 for a text or a number alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_depth: Option<u64>,
    /// Texts, numbers, booleans and nulls, all together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_values: Option<u64>,
    /// Bytes of one text, names of fields included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_text_bytes: Option<u64>,
    /// Fields whose every value must be a number and at least so large, also in lists and objects within them: the smallest
    /// group that a statistic may be about. A document without a value in such a field is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub minimum: Vec<FieldMinimum>,
    /// What every number must be. Texts and names of fields are not checked, even if they look like numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_number: Option<NumberMinimum>,
}

/// The least value of the fields of one name, wherever in a document they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FieldMinimum {
    /// The name of the fields.
    pub field: String,
    /// The least that every value in them must be.
    pub least: u64,
    /// Whether a value may be 0, too.
    #[serde(default, skip_serializing_if = "Zero::is_refused")]
    pub zero: Zero,
}

impl FieldMinimum {
    fn of_number(&self) -> NumberMinimum {
        NumberMinimum { least: self.least, zero: self.zero }
    }
}

/// A program that must agree before outputs leave.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Check {
    /// What it is called in a refusal. The publisher's text: escape it before showing.
    pub name: String,
    /// The WebAssembly program, uploaded before.
    pub sha256: Sha256,
}

/// A media type (`text/csv`), or all of one kind (`image/*`). Lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MediaPattern(String);

/// The text is not a media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a media type is `type/subtype` in lower case, such as `text/csv`, or `type/*`")]
pub struct MediaPatternError;

impl MediaPattern {
    /// Whether the media type is one of these.
    #[must_use]
    pub fn matches(&self, media_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(kind) => media_type.starts_with(kind),
            None => media_type == self.0,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        self == other || (self.0.ends_with('*') && self.matches(&other.0))
    }
}

impl FromStr for MediaPattern {
    type Err = MediaPatternError;

    fn from_str(text: &str) -> Result<Self, MediaPatternError> {
        let token = |part: &str| {
            (1..=100).contains(&part.len())
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-+._".contains(&byte))
        };
        match text.split_once('/') {
            Some((kind, subtype)) if token(kind) && (subtype == "*" || token(subtype)) => Ok(Self(text.to_owned())),
            _ => Err(MediaPatternError),
        }
    }
}

impl fmt::Display for MediaPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for MediaPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MediaPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for MediaPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "MediaPattern".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "A media type such as `text/csv`, or `image/*`."})
    }
}

impl ReleaseRules {
    /// The fields of these rules, as a publisher writes them: what is not one of them is a budget's.
    pub const FIELDS: [&str; 6] = ["mediaTypes", "csv", "json", "checks", "review", "reviewers"];

    /// Whether a person or a program has to see the outputs first. The log then waits with them.
    #[must_use]
    pub fn holds_log(&self) -> bool {
        self.review || !self.checks.is_empty()
    }

    /// Whether two different accounts have to approve.
    #[must_use]
    pub fn needs_two(&self) -> bool {
        self.review && !self.reviewers.is_empty()
    }

    /// The media types that may leave; none: any. Rules about one type mean that no other type leaves, because no rule would
    /// look at it: another type has to be listed.
    #[must_use]
    pub fn allowed_types(&self) -> Option<BTreeSet<MediaPattern>> {
        let Self { media_types, csv, json, checks: _, review: _, reviewers: _ } = self;
        let ruled = [csv.as_ref().map(|_| CSV), json.as_ref().map(|_| JSON)];
        let ruled: BTreeSet<_> = ruled.into_iter().flatten().map(|name| MediaPattern(name.to_owned())).collect();
        media_types.clone().or((!ruled.is_empty()).then_some(ruled))
    }

    /// Rules that keep all of these; none if they allow no media type in common. The order does not matter.
    #[must_use]
    pub fn strictest<'a>(all: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut strictest = Self::default();
        for rules in all {
            let Self { media_types: _, csv, json, checks, review, reviewers } = rules;
            strictest.media_types = both(strictest.media_types, rules.allowed_types(), |ours, theirs| {
                let narrow = |one: &BTreeSet<MediaPattern>, other: &BTreeSet<MediaPattern>| {
                    one.iter().filter(|a| other.iter().any(|b| b.covers(a))).cloned().collect::<BTreeSet<_>>()
                };
                narrow(&ours, &theirs).union(&narrow(&theirs, &ours)).cloned().collect()
            });
            strictest.csv = both(strictest.csv, csv.clone(), CsvRules::and);
            strictest.json = both(strictest.json, json.clone(), JsonRules::and);
            strictest.checks.extend(checks.iter().cloned());
            strictest.review |= review;
            strictest.reviewers.extend(reviewers.iter().cloned());
        }
        strictest.checks.sort();
        strictest.checks.dedup();
        strictest.media_types.as_ref().is_none_or(|types| !types.is_empty()).then_some(strictest)
    }

    /// Whether everything that keeps these rules keeps the other ones, too: true only if that is certain.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let Self { media_types: _, csv, json, checks, review, reviewers: _ } = other;
        within(self.allowed_types().as_ref(), other.allowed_types().as_ref(), |own, other| {
            own.iter().all(|own| other.iter().any(|pattern| pattern.covers(own)))
        }) && within(self.csv.as_ref(), csv.as_ref(), CsvRules::is_within)
            && within(self.json.as_ref(), json.as_ref(), JsonRules::is_within)
            && checks.iter().all(|check| self.checks.contains(check))
            && (self.review || !review)
            // The list of reviewers is read whenever a reviewer looks at outputs, and when one decides.
            && (self.needs_two() || !other.needs_two())
    }

    /// What types cannot say: a field that cannot be kept, and why.
    pub(crate) fn unusable(&self) -> Option<(&'static str, &'static str)> {
        let Self { media_types, csv: _, json: _, checks, review, reviewers } = self;
        if media_types.as_ref().is_some_and(|types| types.len() > 100) {
            return Some(("mediaTypes", "has more than 100 entries"));
        }
        if reviewers.len() > MOST_REVIEWERS {
            return Some(("reviewers", "has more than 4 entries"));
        }
        if !reviewers.is_empty() && !review {
            return Some(("reviewers", "needs `review: true`"));
        }
        (checks.len() > MOST_CHECKS).then_some(("checks", "has more than 8 entries"))
    }
}

impl CsvRules {
    fn is_within(&self, other: &Self) -> bool {
        let Self { max_rows, max_columns, max_cell_bytes, columns, minimum, every_number } = other;
        no_more(self.max_rows, *max_rows)
            && no_more(self.max_columns, *max_columns)
            && no_more(self.max_cell_bytes, *max_cell_bytes)
            && within(self.columns.as_ref(), columns.as_ref(), BTreeSet::is_subset)
            && within(self.every_number.as_ref(), every_number.as_ref(), NumberMinimum::is_within)
            && minimum.iter().all(|other| {
                let keeps =
                    |own: &ColumnMinimum| own.column == other.column && own.of_number().is_within(&other.of_number());
                self.minimum.iter().any(keeps)
            })
    }

    fn and(self, other: Self) -> Self {
        let Self { max_rows, max_columns, max_cell_bytes, columns, minimum, every_number } = other;
        Self {
            max_rows: least(self.max_rows, max_rows),
            max_columns: least(self.max_columns, max_columns),
            max_cell_bytes: least(self.max_cell_bytes, max_cell_bytes),
            columns: both(self.columns, columns, |ours, theirs| ours.intersection(&theirs).cloned().collect()),
            minimum: all_of(self.minimum, minimum),
            every_number: both(self.every_number, every_number, NumberMinimum::and),
        }
    }
}

impl JsonRules {
    fn is_within(&self, other: &Self) -> bool {
        let Self { max_depth, max_values, max_text_bytes, minimum, every_number } = other;
        no_more(self.max_depth, *max_depth)
            && no_more(self.max_values, *max_values)
            && no_more(self.max_text_bytes, *max_text_bytes)
            && within(self.every_number.as_ref(), every_number.as_ref(), NumberMinimum::is_within)
            && minimum.iter().all(|other| {
                let keeps =
                    |own: &FieldMinimum| own.field == other.field && own.of_number().is_within(&other.of_number());
                self.minimum.iter().any(keeps)
            })
    }

    fn and(self, other: Self) -> Self {
        let Self { max_depth, max_values, max_text_bytes, minimum, every_number } = other;
        Self {
            max_depth: least(self.max_depth, max_depth),
            max_values: least(self.max_values, max_values),
            max_text_bytes: least(self.max_text_bytes, max_text_bytes),
            minimum: all_of(self.minimum, minimum),
            every_number: both(self.every_number, every_number, NumberMinimum::and),
        }
    }
}

fn both<T>(one: Option<T>, other: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(join(one, other)),
        (one, other) => one.or(other),
    }
}

/// All rules of two lists, each once.
fn all_of<T: Ord>(one: Vec<T>, other: Vec<T>) -> Vec<T> {
    let all: BTreeSet<T> = one.into_iter().chain(other).collect();
    all.into_iter().collect()
}

/// Whether an own rule keeps another one. A rule that is none asks for nothing.
fn within<T>(own: Option<&T>, other: Option<&T>, is_within: impl FnOnce(&T, &T) -> bool) -> bool {
    other.is_none_or(|other| own.is_some_and(|own| is_within(own, other)))
}

fn no_more(own: Option<u64>, other: Option<u64>) -> bool {
    within(own.as_ref(), other.as_ref(), u64::le)
}

fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    both(one, other, u64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(value: serde_json::Value) -> ReleaseRules {
        serde_json::from_value(value).expect("rules")
    }

    #[test]
    fn media_types_are_matched_whole_or_by_kind() {
        let pattern = |text: &str| text.parse::<MediaPattern>().expect("a media type");
        assert!(pattern("text/csv").matches("text/csv"));
        assert!(!pattern("text/csv").matches("text/csv2"));
        assert!(pattern("image/*").matches("image/png"));
        assert!(!pattern("image/*").matches("imagex/png"));
        for text in ["", "text", "*/*", "Text/csv", "text/", "text/a b", "a/b/c"] {
            assert_eq!(text.parse::<MediaPattern>(), Err(MediaPatternError), "{text}");
        }
    }

    #[test]
    fn the_strictest_rules_keep_all() {
        let one = rules(json!({"mediaTypes": ["image/*", "text/csv"], "csv": {"maxRows": 9, "columns": ["a", "b"]},
            "json": {"minimum": [{"field": "n", "least": 10}]}}));
        let other = rules(json!({"mediaTypes": ["image/png", "text/csv", "text/plain"], "review": true,
            "csv": {"maxRows": 20, "maxColumns": 3, "columns": ["b", "c"]},
            "json": {"maxDepth": 2, "minimum": [{"field": "m", "least": 5}, {"field": "n", "least": 10}]}}));
        let both = rules(json!({"mediaTypes": ["image/png", "text/csv"], "review": true,
            "csv": {"maxRows": 9, "maxColumns": 3, "columns": ["b"]},
            "json": {"maxDepth": 2, "minimum": [{"field": "m", "least": 5}, {"field": "n", "least": 10}]}}));
        assert_eq!(ReleaseRules::strictest([&one, &other]), Some(both.clone()));
        assert_eq!(ReleaseRules::strictest([&other, &one]), Some(both));
        assert_eq!(ReleaseRules::strictest([&one, &rules(json!({"mediaTypes": ["text/html"]}))]), None);
        assert_eq!(ReleaseRules::strictest([]), Some(ReleaseRules::default()));
    }

    #[test]
    fn rules_about_one_type_let_no_other_type_out() {
        let types =
            |value| rules(value).allowed_types().map(|types| Vec::from_iter(types.iter().map(ToString::to_string)));
        let some = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(types(json!({})), None);
        assert_eq!(types(json!({"review": true})), None);
        assert_eq!(types(json!({"csv": {}})), some(&["text/csv"]));
        assert_eq!(types(json!({"json": {"maxDepth": 1}})), some(&["application/json"]));
        assert_eq!(types(json!({"csv": {}, "json": {}})), some(&["application/json", "text/csv"]));
        assert_eq!(types(json!({"csv": {}, "mediaTypes": ["image/*"]})), some(&["image/*"]));
        // Each of two datasets counts for itself.
        let (csv, json) = (rules(json!({"csv": {}})), rules(json!({"json": {}})));
        assert_eq!(ReleaseRules::strictest([&csv, &json]), None);
        let both = ReleaseRules::strictest([&csv, &rules(json!({"csv": {}, "json": {}}))]).expect("tables may leave");
        assert_eq!(both.allowed_types(), csv.allowed_types());
    }

    #[test]
    fn rules_are_within_others_only_if_they_keep_them() {
        let all = rules(json!({"mediaTypes": ["image/*", "text/csv"], "review": true,
            "csv": {"maxRows": 9, "columns": ["a", "b"], "minimum": [{"column": "n", "least": 10}]},
            "json": {"maxDepth": 2, "minimum": [{"field": "n", "least": 10}]},
            "checks": [{"name": "c", "sha256": "ab".repeat(32)}]}));
        assert!(all.is_within(&all) && all.is_within(&ReleaseRules::default()));
        for (other, expected) in [
            (json!({"mediaTypes": ["image/*", "image/png", "text/*"]}), true),
            (json!({"mediaTypes": ["image/png", "text/csv"]}), false),
            (json!({"csv": {"maxRows": 10, "columns": ["a", "b", "c"]}}), true),
            (json!({"csv": {"maxRows": 8}}), false),
            (json!({"csv": {"maxColumns": 8}}), false),
            (json!({"csv": {"maxCellBytes": 8}}), false),
            (json!({"csv": {"columns": ["a"]}}), false),
            (json!({"csv": {"minimum": [{"column": "n", "least": 5}]}}), true),
            (json!({"csv": {"minimum": [{"column": "n", "least": 11}]}}), false),
            (json!({"csv": {"minimum": [{"column": "m", "least": 1}]}}), false),
            (json!({"json": {"maxDepth": 3}}), true),
            (json!({"json": {"maxDepth": 1}}), false),
            (json!({"json": {"maxValues": 1}}), false),
            (json!({"json": {"maxTextBytes": 1}}), false),
            (json!({"json": {"minimum": [{"field": "n", "least": 5}]}}), true),
            (json!({"json": {"minimum": [{"field": "n", "least": 10, "zero": "allowed"}]}}), true),
            (json!({"json": {"minimum": [{"field": "n", "least": 11}]}}), false),
            (json!({"json": {"minimum": [{"field": "m", "least": 1}]}}), false),
            (json!({"checks": [{"name": "d", "sha256": "ab".repeat(32)}]}), false),
        ] {
            let mut other = other;
            // Without a list, rules about one type would let no other type out.
            if other.get("mediaTypes").is_none() {
                other["mediaTypes"] = json!(["image/*", "text/*"]);
            }
            assert_eq!(all.is_within(&rules(other.clone())), expected, "{other}");
        }
        assert!(!all.is_within(&rules(json!({"csv": {"maxRows": 10}}))), "only tables");
        assert!(!ReleaseRules::default().is_within(&rules(json!({"review": true}))));
        assert!(!ReleaseRules::default().is_within(&rules(json!({"csv": {}}))), "a table could be anything before");
    }

    #[test]
    fn two_have_to_approve_if_one_of_the_datasets_wants_it() {
        let (one, two) = (rules(json!({"review": true})), rules(json!({"review": true, "reviewers": ["dora"]})));
        let other = rules(json!({"review": true, "reviewers": ["emil"]}));
        let both = ReleaseRules::strictest([&one, &two, &other]).expect("rules");
        assert_eq!((both.needs_two(), one.needs_two(), both.reviewers.len()), (true, false, 2));
        assert!(both.is_within(&two) && two.is_within(&other) && two.is_within(&one) && !one.is_within(&two));
        assert_eq!(serde_json::to_value(&one).expect("JSON"), json!({"review": true}), "as earlier versions wrote it");
    }

    #[test]
    fn least_values_are_compared_with_what_they_say_of_zero() {
        let rules = |least: u64, zero: &str| {
            let minimum = json!({"least": least, "zero": zero});
            rules(json!({"csv": {"everyNumber": minimum, "minimum": [{"column": "n", "least": least, "zero": zero}]},
                "json": {"everyNumber": minimum}}))
        };
        for (own, other, expected) in [
            ((10, "refused"), (10, "refused"), true),
            ((10, "refused"), (10, "allowed"), true),
            ((10, "allowed"), (10, "refused"), false),
            ((10, "allowed"), (5, "allowed"), true),
            ((5, "refused"), (10, "refused"), false),
            ((5, "allowed"), (0, "refused"), true),
        ] {
            let (own, other) = (rules(own.0, own.1), rules(other.0, other.1));
            assert_eq!(own.is_within(&other), expected, "{own:?} {other:?}");
        }
        let both = ReleaseRules::strictest([&rules(10, "allowed"), &rules(5, "refused")]).expect("both");
        let ten = Some(NumberMinimum { least: 10, zero: Zero::Refused });
        assert_eq!(both.csv.as_ref().and_then(|csv| csv.every_number), ten);
        assert_eq!(both.json.as_ref().and_then(|json| json.every_number), ten);
        assert!(both.is_within(&rules(10, "allowed")) && both.is_within(&rules(5, "refused")));
        assert!(!super::ReleaseRules::default().is_within(&rules(1, "allowed")));
        // What is the default is not written: earlier versions wrote it so.
        let written = serde_json::to_value(rules(10, "refused")).expect("JSON");
        assert_eq!(written["csv"]["minimum"][0], json!({"column": "n", "least": 10}));
    }

    #[test]
    fn fields_are_the_ones_that_are_written() {
        let all = rules(json!({"mediaTypes": ["a/b"], "csv": {}, "json": {}, "review": true, "reviewers": ["dora"],
            "checks": [{"name": "c", "sha256": "ab".repeat(32)}]}));
        let written = serde_json::to_value(all).expect("json");
        let mut names: Vec<&str> = written.as_object().expect("an object").keys().map(String::as_str).collect();
        names.sort_unstable();
        let mut fields = ReleaseRules::FIELDS;
        fields.sort_unstable();
        assert_eq!(names, fields);
    }
}
