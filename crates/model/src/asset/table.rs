use crate::{
    escape,
    json::{FieldError, FieldProblem, Node},
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// Columns of a table.
const MOST_COLUMNS: usize = 1000;

/// Values that a column may be said to have.
const MOST_VALUES: usize = 1000;

/// What the table of a dataset looks like, in the words of its publisher, for people who may compute on it and not see it. It is a
/// description: nothing checks that the data have this form.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableSchema {
    /// About how many rows there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The columns, in their order.
    pub columns: Vec<Column>,
}

/// A column of a table. Its texts hold no control characters.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    /// As it stands in the header.
    pub name: String,
    /// What its values are.
    pub r#type: ColumnType,
    /// In which unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// What it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The only values that it may have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// The least value of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// The largest value of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// What stands where a value is missing; none: no value is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// Texts.
    Text,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Number,
    /// `true` and `false`.
    Boolean,
    /// Days, as `2026-01-31`.
    Date,
}

impl ColumnType {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
        }
    }

    fn is_numeric(self) -> bool {
        matches!(self, Self::Integer | Self::Number)
    }
}

impl TableSchema {
    /// The schema in a DDO, where a manifest's `spec.schema` stands in `metadata.additionalInformation.schema`; none if there is
    /// none of this form.
    #[must_use]
    pub fn of_ddo(ddo: &Value) -> Option<Self> {
        let schema = ddo.pointer("/metadata/additionalInformation/schema")?;
        Self::read(&Node::root("schema", schema)).ok()
    }

    pub(crate) fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        node.refuse_unknown(&["rows", "columns"])?;
        let entries = node.get("columns");
        let columns: Vec<Column> = entries.entries(MOST_COLUMNS)?.iter().map(Column::read).collect::<Result<_, _>>()?;
        if columns.is_empty() {
            return Err(entries.expected("a list with at least one column"));
        }
        let mut names = BTreeSet::new();
        if !columns.iter().all(|column| names.insert(column.name.as_str())) {
            return Err(entries.error(FieldProblem::Unusable("has two columns of one name")));
        }
        Ok(Self { rows: node.get("rows").number_or_absent()?, columns })
    }
}

impl Column {
    fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        node.refuse_unknown(&["name", "type", "unit", "description", "values", "minimum", "maximum", "missing"])?;
        let kind = node.get("type");
        let r#type = match kind.text(64)? {
            "text" => ColumnType::Text,
            "integer" => ColumnType::Integer,
            "number" => ColumnType::Number,
            "boolean" => ColumnType::Boolean,
            "date" => ColumnType::Date,
            _ => return Err(kind.expected("`text`, `integer`, `number`, `boolean` or `date`")),
        };
        let name = node.get("name");
        name.needed(200)?;
        let values = node.get("values").entries(MOST_VALUES)?.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        let (minimum, maximum) = (bound(&node.get("minimum"), r#type)?, bound(&node.get("maximum"), r#type)?);
        if let (Some(least), Some(most)) = (minimum, maximum)
            && least > most
        {
            return Err(node.get("maximum").error(FieldProblem::Unusable("is less than `minimum`")));
        }
        Ok(Self {
            name: plain(&name, 200)?.unwrap_or_default(),
            r#type,
            unit: plain(&node.get("unit"), 100)?,
            description: plain(&node.get("description"), 2000)?,
            values,
            minimum,
            maximum,
            missing: plain(&node.get("missing"), 100)?,
        })
    }
}

/// A value that a column may have: a text, or a number or a boolean as it is written.
fn value(node: &Node<'_>) -> Result<String, FieldError> {
    match node.value() {
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(value) => Ok(value.to_string()),
        _ => plain(node, 500)?.ok_or_else(|| node.error(FieldProblem::Missing)),
    }
}

/// A text without control characters: it is shown on terminals, and stands in tables.
fn plain(node: &Node<'_>, most: usize) -> Result<Option<String>, FieldError> {
    let Some(text) = node.text_or_absent(most)? else { return Ok(None) };
    if text.chars().any(escape::is_unsafe) {
        return Err(node.expected("a text without control characters"));
    }
    Ok(Some(text.to_owned()))
}

fn bound(node: &Node<'_>, kind: ColumnType) -> Result<Option<f64>, FieldError> {
    if node.is_absent() {
        return Ok(None);
    }
    if !kind.is_numeric() {
        return Err(node.expected("absent: only numbers have bounds"));
    }
    node.value().as_f64().filter(|bound| bound.is_finite()).map(Some).ok_or_else(|| node.expected("a number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> Result<TableSchema, FieldError> {
        TableSchema::read(&Node::root("schema", value))
    }

    #[test]
    fn is_read_as_it_is_written() {
        let written = json!({"rows": 344, "columns": [
            {"name": "species", "type": "text", "values": ["Adelie", "Gentoo"], "description": "of penguins"},
            {"name": "mass", "type": "number", "unit": "g", "minimum": 2700.0, "maximum": 6300.5, "missing": "NA"},
            {"name": "year", "type": "integer", "missing": ""},
            {"name": "adult", "type": "boolean"}, {"name": "seen", "type": "date"}
        ]});
        let schema = read(&written).expect("a schema");
        assert_eq!(serde_json::to_value(&schema).expect("JSON"), written);
        let ddo = json!({"metadata": {"additionalInformation": {"schema": written}}});
        assert_eq!(TableSchema::of_ddo(&ddo), Some(schema));
        for none in [json!({}), json!({"metadata": {"additionalInformation": {"schema": "x"}}})] {
            assert_eq!(TableSchema::of_ddo(&none), None);
        }
        let years = read(&json!({"columns": [{"name": "year", "type": "integer", "values": [2007, 2008]}]}));
        assert_eq!(years.expect("a schema").columns[0].values, ["2007", "2008"]);
    }

    #[test]
    fn mistakes_are_named_by_their_place() {
        let column = |value: Value| json!({"columns": [value]});
        for (value, expected) in [
            (json!([]), "`schema` must be an object"),
            (json!({}), "`schema.columns` is missing"),
            (json!({"columns": []}), "`schema.columns` must be a list with at least one column"),
            (json!({"column": []}), "`schema` has a field `column` that is not known; did you mean `columns`?"),
            (column(json!({"type": "text"})), "`schema.columns[0].name`"),
            (column(json!({"name": "", "type": "text"})), "`schema.columns[0].name` is missing"),
            (column(json!({"name": "a", "type": "float"})), "`schema.columns[0].type` must be"),
            (column(json!({"name": "a\u{1b}", "type": "text"})), "`schema.columns[0].name` must be a text without"),
            (column(json!({"name": "a", "type": "text", "minimum": 1})), "`schema.columns[0].minimum` must be absent"),
            (
                column(json!({"name": "a", "type": "number", "minimum": "1"})),
                "`schema.columns[0].minimum` must be a number",
            ),
            (
                column(json!({"name": "a", "type": "number", "minimum": 2, "maximum": 1})),
                "`schema.columns[0].maximum` is less than",
            ),
            (
                column(json!({"name": "a", "type": "text", "values": [null]})),
                "`schema.columns[0].values[0]` is missing",
            ),
            (
                json!({"columns": [{"name": "a", "type": "text"}, {"name": "a", "type": "date"}]}),
                "`schema.columns` has two columns of one name",
            ),
        ] {
            let error = read(&value).expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{expected}\n{error}");
        }
    }
}
