use crate::{
    ByteSize, Check, ColumnMinimum, CsvRules, FieldMinimum, JsonRules, NamePattern, NumberMinimum, OutputContract,
    ReleaseRules, Sha256, Zero,
    json::{FieldError, FieldProblem, Node},
};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeSet, str::FromStr};

/// Entries of a list of rules.
const MOST_ENTRIES: usize = 10_000;

/// Bytes of the name of a column or of a check.
const MOST_NAME_BYTES: usize = 4096;

/// A whole number of bytes, in an error.
const BYTES: &str = "a whole number of bytes, or a size such as `10MB`";

/// What may leave a dataset: budgets that are charged while the guest writes, and rules that are asked before the release. One
/// object in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutputPolicy {
    /// How much.
    #[serde(flatten)]
    pub budgets: OutputContract,
    /// Of what kind.
    #[serde(flatten)]
    pub release: ReleaseRules,
}

impl Default for OutputPolicy {
    /// What may leave a dataset whose publisher has said nothing: a few tables and figures, and no log. Aggregates are
    /// kilobytes and a report with figures a few megabytes, while what an algorithm prints may be rows. It is stricter than
    /// [`OutputContract::default`], which is for runs on a machine of one's own.
    fn default() -> Self {
        let budgets = OutputContract {
            max_bytes: 10_000_000,
            max_files: 20,
            max_directories: 10,
            max_log_bytes: 0,
            ..OutputContract::default()
        };
        Self { budgets, release: ReleaseRules::default() }
    }
}

impl OutputPolicy {
    /// The fields of the budgets. The others are [`ReleaseRules::FIELDS`].
    const BUDGETS: [&str; 7] =
        ["maxBytes", "maxFiles", "maxDirectories", "maxPathBytes", "maxDepth", "names", "maxLogBytes"];

    /// One policy that keeps all of these; none for no policy, or if nothing could leave while each alone would let files
    /// out.
    #[must_use]
    pub fn strictest(policies: &[&Self]) -> Option<Self> {
        let budgets: Vec<OutputContract> = policies.iter().map(|policy| policy.budgets.clone()).collect();
        Some(Self {
            budgets: OutputContract::strictest(&budgets)?,
            release: ReleaseRules::strictest(policies.iter().map(|policy| &policy.release))?,
        })
    }

    /// How many bytes of the algorithm log it lets out unseen.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        if self.release.holds_log() { 0 } else { self.budgets.max_log_bytes }
    }

    /// Reads a contract as a publisher writes it. A misspelt field is refused, because it would be a rule that silently does
    /// not hold.
    pub(super) fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        let absent = Self::default();
        if node.is_absent() {
            return Ok(absent);
        }
        let known: Vec<&'static str> = Self::BUDGETS.into_iter().chain(ReleaseRules::FIELDS).collect();
        node.refuse_unknown(&known)?;
        let names = node.get("names");
        let absent = absent.budgets;
        let budgets = OutputContract {
            max_bytes: bytes(&node.get("maxBytes"))?.unwrap_or(absent.max_bytes),
            max_files: node.get("maxFiles").number_or_absent()?.unwrap_or(absent.max_files),
            max_directories: node.get("maxDirectories").number_or_absent()?.unwrap_or(absent.max_directories),
            max_path_bytes: small(&node.get("maxPathBytes"), bytes)?.unwrap_or(absent.max_path_bytes),
            max_depth: small(&node.get("maxDepth"), Node::number_or_absent)?.unwrap_or(absent.max_depth),
            names: match names.is_absent() {
                true => absent.names,
                false => list::<NamePattern>(&names, "a path below /data/outputs, such as `plots/*.svg`")?,
            },
            max_log_bytes: bytes(&node.get("maxLogBytes"))?.unwrap_or(absent.max_log_bytes),
        };
        if let Err(error) = budgets.check() {
            return Err(node.get(error.field).error(FieldProblem::Unusable(error.problem)));
        }
        let media_types = node.get("mediaTypes");
        let release = ReleaseRules {
            media_types: match media_types.is_absent() {
                true => None,
                false => Some(set(&media_types, "a media type such as `text/csv`, or `image/*`")?),
            },
            csv: read_csv(&node.get("csv"))?,
            json: read_json(&node.get("json"))?,
            checks: node.get("checks").entries(MOST_ENTRIES)?.iter().map(read_check).collect::<Result<_, _>>()?,
            review: node.get("review").flag()?,
            reviewers: set(&node.get("reviewers"), "an account")?,
        };
        match release.unusable() {
            Some((field, problem)) => Err(node.get(field).error(FieldProblem::Unusable(problem))),
            None => Ok(Self { budgets, release }),
        }
    }
}

fn read_csv(node: &Node<'_>) -> Result<Option<CsvRules>, FieldError> {
    if node.is_absent() {
        return Ok(None);
    }
    node.refuse_unknown(&["maxRows", "maxColumns", "maxCellBytes", "columns", "minimum", "everyNumber"])?;
    let columns = node.get("columns");
    let columns = match columns.is_absent() {
        true => None,
        false => {
            let name = |entry: &Node<'_>| entry.text(MOST_NAME_BYTES).map(str::to_owned);
            Some(columns.entries(MOST_ENTRIES)?.iter().map(name).collect::<Result<_, _>>()?)
        }
    };
    Ok(Some(CsvRules {
        max_rows: node.get("maxRows").number_or_absent()?,
        max_columns: node.get("maxColumns").number_or_absent()?,
        max_cell_bytes: bytes(&node.get("maxCellBytes"))?,
        columns,
        minimum: node.get("minimum").entries(MOST_ENTRIES)?.iter().map(read_minimum).collect::<Result<_, _>>()?,
        every_number: read_every_number(&node.get("everyNumber"))?,
    }))
}

fn read_minimum(node: &Node<'_>) -> Result<ColumnMinimum, FieldError> {
    node.refuse_unknown(&["column", "least", "zero"])?;
    let column = node.get("column").text(MOST_NAME_BYTES)?.to_owned();
    Ok(ColumnMinimum { column, least: read_least(node)?, zero: read_zero(node)? })
}

fn read_every_number(node: &Node<'_>) -> Result<Option<NumberMinimum>, FieldError> {
    if node.is_absent() {
        return Ok(None);
    }
    node.refuse_unknown(&["least", "zero"])?;
    Ok(Some(NumberMinimum { least: read_least(node)?, zero: read_zero(node)? }))
}

fn read_least(node: &Node<'_>) -> Result<u64, FieldError> {
    let least = node.get("least");
    least.number_or_absent()?.ok_or_else(|| least.error(FieldProblem::Missing))
}

fn read_zero(node: &Node<'_>) -> Result<Zero, FieldError> {
    let zero = node.get("zero");
    match zero.text_or_absent(64)? {
        None | Some("refused") => Ok(Zero::Refused),
        Some("allowed") => Ok(Zero::Allowed),
        Some(_) => Err(zero.expected("`refused` or `allowed`")),
    }
}

fn read_json(node: &Node<'_>) -> Result<Option<JsonRules>, FieldError> {
    if node.is_absent() {
        return Ok(None);
    }
    node.refuse_unknown(&["maxDepth", "maxValues", "maxTextBytes", "minimum", "everyNumber"])?;
    Ok(Some(JsonRules {
        max_depth: node.get("maxDepth").number_or_absent()?,
        max_values: node.get("maxValues").number_or_absent()?,
        max_text_bytes: bytes(&node.get("maxTextBytes"))?,
        minimum: node.get("minimum").entries(MOST_ENTRIES)?.iter().map(read_field_minimum).collect::<Result<_, _>>()?,
        every_number: read_every_number(&node.get("everyNumber"))?,
    }))
}

fn read_field_minimum(node: &Node<'_>) -> Result<FieldMinimum, FieldError> {
    node.refuse_unknown(&["field", "least", "zero"])?;
    let field = node.get("field").text(MOST_NAME_BYTES)?.to_owned();
    Ok(FieldMinimum { field, least: read_least(node)?, zero: read_zero(node)? })
}

fn read_check(node: &Node<'_>) -> Result<Check, FieldError> {
    node.refuse_unknown(&["name", "sha256"])?;
    Ok(Check {
        name: node.get("name").needed(100)?.to_owned(),
        sha256: node.get("sha256").parsed::<Sha256>("64 hexadecimal digits")?,
    })
}

/// A number of bytes. Manifests may say it with a unit, and [`plain_sizes`] has then replaced it.
fn bytes(node: &Node<'_>) -> Result<Option<u64>, FieldError> {
    node.number_or_absent().map_err(|_| node.expected(BYTES))
}

fn small<'a>(
    node: &Node<'a>,
    read: impl Fn(&Node<'a>) -> Result<Option<u64>, FieldError>,
) -> Result<Option<u32>, FieldError> {
    let number = read(node)?;
    number.map(|number| u32::try_from(number).map_err(|_| node.expected("a smaller number"))).transpose()
}

fn list<T: FromStr>(node: &Node<'_>, what: &'static str) -> Result<Vec<T>, FieldError> {
    node.entries(MOST_ENTRIES)?.iter().map(|entry| entry.parsed(what)).collect()
}

fn set<T: FromStr + Ord>(node: &Node<'_>, what: &'static str) -> Result<BTreeSet<T>, FieldError> {
    Ok(list(node, what)?.into_iter().collect())
}

/// The places of numbers of bytes in permissions, as JSON pointers.
const SIZES: [&str; 5] = [
    "/outputContract/maxBytes",
    "/outputContract/maxPathBytes",
    "/outputContract/maxLogBytes",
    "/outputContract/csv/maxCellBytes",
    "/outputContract/json/maxTextBytes",
];

/// Replaces the sizes with units (`10MB`) in permissions by numbers of bytes, as documents that are stored have them. A text
/// that is not a size stays, and is refused when the permissions are read.
pub fn plain_sizes(permissions: &mut Value) {
    for place in SIZES {
        if let Some(value) = permissions.pointer_mut(place)
            && let Some(Ok(ByteSize(bytes))) = value.as_str().map(str::parse)
        {
            *value = bytes.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(mut value: Value) -> Result<OutputPolicy, FieldError> {
        value = json!({"outputContract": value});
        plain_sizes(&mut value);
        OutputPolicy::read(&Node::root("", &value).get("outputContract"))
    }

    #[test]
    fn a_dataset_whose_contract_says_nothing_lets_out_little_and_no_log() {
        let absent = OutputPolicy::default();
        assert_eq!(absent.log_bytes(), 0);
        assert!(absent.budgets.max_bytes <= 10_000_000 && absent.budgets.max_files <= 20);
        assert!(absent.budgets.is_within(&OutputContract::default()));
        for value in [Value::Null, json!({}), json!({"maxLogBytes": null, "names": null, "csv": null})] {
            assert_eq!(read(value), Ok(absent.clone()));
        }
        // What a contract does not say is not what another contract says.
        let named = read(json!({"names": ["*.csv"], "maxFiles": 3})).expect("a contract");
        assert_eq!((named.log_bytes(), named.budgets.max_bytes, named.budgets.max_files), (0, 10_000_000, 3));
        assert_eq!(read(json!({"maxLogBytes": 5})).expect("a contract").log_bytes(), 5);
    }

    #[test]
    fn what_was_written_in_full_keeps_its_meaning() {
        // As earlier versions stored it.
        let before = json!({"maxBytes": 104_857_600, "maxFiles": 1000, "maxDirectories": 100, "maxPathBytes": 512,
            "maxDepth": 8, "names": ["**"], "maxLogBytes": 1_048_576});
        let policy = read(before.clone()).expect("a contract");
        assert_eq!(policy.budgets, OutputContract::default());
        assert_eq!(serde_json::to_value(&policy).expect("JSON"), before);
    }

    #[test]
    fn least_values_are_read_as_they_are_written() {
        let value = json!({"csv": {"minimum": [{"column": "n", "least": 10, "zero": "allowed"}],
            "everyNumber": {"least": 10}}, "json": {"everyNumber": {"least": 5, "zero": "allowed"},
            "minimum": [{"field": "n", "least": 10}, {"field": "m", "least": 5, "zero": "allowed"}]}});
        let written = serde_json::to_value(read(value.clone()).expect("a contract")).expect("JSON");
        assert_eq!((&written["csv"], &written["json"]), (&value["csv"], &value["json"]));
    }

    #[test]
    fn every_mistake_is_named_by_its_place() {
        for (value, expected) in [
            (json!([]), "`outputContract` must be an object"),
            (
                json!({"maxByte": 1}),
                "`outputContract` has a field `maxByte` that is not known; did you mean `maxBytes`?",
            ),
            (json!({"maxBytes": "much"}), "`outputContract.maxBytes` must be a whole number of bytes, or a size"),
            (json!({"maxBytes": -1}), "`outputContract.maxBytes` must be a whole number of bytes"),
            (json!({"maxBytes": u64::MAX}), "`outputContract.maxBytes` is beyond"),
            (json!({"maxFiles": "3"}), "`outputContract.maxFiles` must be a whole number"),
            (json!({"maxDepth": 65}), "`outputContract.maxDepth` must be 1 to 64"),
            (json!({"maxDepth": 1_u64 << 40}), "`outputContract.maxDepth` must be a smaller number"),
            (json!({"names": []}), "`outputContract.names` is empty"),
            (json!({"names": ["a", "/b"]}), "`outputContract.names[1]` must be a path"),
            (json!({"mediaTypes": ["text"]}), "`outputContract.mediaTypes[0]` must be a media type"),
            (json!({"csv": {"maxRow": 1}}), "`outputContract.csv` has a field `maxRow`"),
            (json!({"csv": {"columns": "a"}}), "`outputContract.csv.columns` must be a list"),
            (
                json!({"csv": {"minimum": [{"colum": "n", "least": 10}]}}),
                "`outputContract.csv.minimum[0]` has a field `colum` that is not known; did you mean `column`?",
            ),
            (json!({"csv": {"minimum": [{"column": "n"}]}}), "`outputContract.csv.minimum[0].least` is missing"),
            (
                json!({"csv": {"minimum": [{"column": "n", "least": 1, "zero": true}]}}),
                "`outputContract.csv.minimum[0].zero` must be a text",
            ),
            (
                json!({"csv": {"everyNumber": {"least": 1, "zero": "yes"}}}),
                "`outputContract.csv.everyNumber.zero` must be `refused` or `allowed`",
            ),
            (
                json!({"json": {"minimum": [{"column": "n", "least": 10}]}}),
                "`outputContract.json.minimum[0]` has a field `column`",
            ),
            (json!({"json": {"minimum": [{"least": 10}]}}), "`outputContract.json.minimum[0].field` is missing"),
            (json!({"json": {"everyNumber": {}}}), "`outputContract.json.everyNumber.least` is missing"),
            (json!({"json": {"maxTextBytes": "1 XB"}}), "`outputContract.json.maxTextBytes` must be a whole number"),
            (json!({"checks": [{"name": "a", "sha256": "77c1"}]}), "`outputContract.checks[0].sha256` must be 64"),
            (
                json!({"checks": vec![json!({"name": "a", "sha256": "ab".repeat(32)}); 9]}),
                "`outputContract.checks` has",
            ),
            (json!({"review": "yes"}), "`outputContract.review` must be true or false"),
            (json!({"reviewers": ["dora"]}), "`outputContract.reviewers` needs `review: true`"),
            (json!({"review": true, "reviewers": ["a b"]}), "`outputContract.reviewers[0]` must be an account"),
            (json!({"review": true, "reviewers": ["a", "b", "c", "d", "e"]}), "`outputContract.reviewers` has"),
        ] {
            let error = read(value).expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{expected}\n{error}");
        }
    }

    #[test]
    fn sizes_may_have_units() {
        let policy = read(json!({"maxBytes": "10MB", "maxLogBytes": "1 KiB", "maxPathBytes": "100B",
            "csv": {"maxCellBytes": "1k"}, "json": {"maxTextBytes": "2kB"}}));
        let OutputPolicy { budgets, release } = policy.expect("a contract");
        assert_eq!((budgets.max_bytes, budgets.max_log_bytes, budgets.max_path_bytes), (10_000_000, 1024, 100));
        assert_eq!(release.csv.expect("rules").max_cell_bytes, Some(1024));
        assert_eq!(release.json.expect("rules").max_text_bytes, Some(2000));
    }

    #[test]
    fn fields_are_the_ones_that_are_written() {
        let written = serde_json::to_value(OutputContract::default()).expect("JSON");
        let written: BTreeSet<&str> = written.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(written, BTreeSet::from(OutputPolicy::BUDGETS));
    }
}
