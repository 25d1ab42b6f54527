//! A draft of the schema of a table, for its publisher to correct.

use crate::{
    context::Context,
    exit::Usage,
    output::{Format, note, print_document},
};
use cloister_model::ColumnType;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// Different values of a column that are listed. A column with more is a free text.
const MOST_VALUES: usize = 20;

/// A value is listed only if it is in at least this number of rows. A rarer one may identify a single person.
const LEAST_ROWS: u64 = 10;

/// What often stands where a value is missing.
const MISSING: [&str; 7] = ["", "NA", "N/A", "NaN", "nan", "null", "NULL"];

/// Which table.
#[derive(Debug, clap::Args)]
pub(crate) struct Describe {
    /// A CSV file with a header, on this machine. It is not sent anywhere
    file: PathBuf,
    /// List the values of columns with at most 20 different values, without those that are in fewer than 10 rows. Check the list:
    /// everyone who may see the dataset can read it
    #[arg(long)]
    values: bool,
}

impl Describe {
    pub(super) fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self { file, values } = self;
        let wrong = |problem: &dyn std::fmt::Display| Usage::error(format!("`{}`: {problem}", file.display()));
        let schema = draft(File::open(&file).map_err(|error| wrong(&error))?, values).map_err(|error| wrong(&error))?;
        let format = if context.format == Format::Table { Format::Yaml } else { context.format };
        print_document(format, &json!({"schema": schema}))?;
        note(&hint(&file));
        Ok(())
    }
}

fn hint(file: &Path) -> String {
    format!(
        "a draft from `{}`: correct it, add units and descriptions, and put it into `spec` of the manifest",
        file.display()
    )
}

/// What was seen of a column.
#[derive(Debug, Default)]
struct Seen {
    present: u64,
    /// The text that stands for missing values most often, and how often each does.
    missing: BTreeMap<&'static str, u64>,
    not_boolean: bool,
    not_integer: bool,
    not_number: bool,
    not_date: bool,
    /// How often each value stands there, as long as there are few.
    values: BTreeMap<String, u64>,
    has_many: bool,
}

impl Seen {
    fn add(&mut self, cell: &str) {
        if let Some(missing) = MISSING.into_iter().find(|missing| *missing == cell) {
            *self.missing.entry(missing).or_default() += 1;
            return;
        }
        self.present += 1;
        self.not_boolean |= !matches!(cell, "true" | "false");
        self.not_integer |= cell.parse::<i64>().is_err();
        self.not_number |= !cell.parse::<f64>().is_ok_and(f64::is_finite);
        self.not_date |= cell.len() != 10 || cell.parse::<jiff::civil::Date>().is_err();
        if let Some(count) = self.values.get_mut(cell) {
            *count += 1;
        } else if self.values.len() < MOST_VALUES && !self.has_many {
            self.values.insert(cell.to_owned(), 1);
        } else {
            self.has_many = true;
            self.values.clear();
        }
    }

    fn kind(&self) -> ColumnType {
        match self {
            Self { present: 0, .. } => ColumnType::Text,
            Self { not_boolean: false, .. } => ColumnType::Boolean,
            Self { not_integer: false, .. } => ColumnType::Integer,
            Self { not_number: false, .. } => ColumnType::Number,
            Self { not_date: false, .. } => ColumnType::Date,
            _ => ColumnType::Text,
        }
    }

    fn describe(&self, name: &str, with_values: bool) -> Value {
        let mut column = Map::new();
        column.insert("name".to_owned(), name.into());
        column.insert("type".to_owned(), self.kind().as_str().into());
        let common: Vec<&String> =
            self.values.iter().filter(|(_, rows)| **rows >= LEAST_ROWS).map(|(value, _)| value).collect();
        if with_values && self.kind() == ColumnType::Text && !common.is_empty() {
            column.insert("values".to_owned(), json!(common));
        }
        if let Some((missing, _)) = self.missing.iter().max_by_key(|(_, rows)| **rows) {
            column.insert("missing".to_owned(), (*missing).into());
        }
        column.into()
    }
}

/// The schema of a table. Without `with_values`, it holds the names of the columns and nothing else that stands in the table.
fn draft(from: impl Read, with_values: bool) -> Result<Value, csv::Error> {
    let mut reader = csv::Reader::from_reader(from);
    let names: Vec<String> =
        reader.headers()?.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
    let mut columns: Vec<Seen> = names.iter().map(|_| Seen::default()).collect();
    let mut row = csv::StringRecord::new();
    while reader.read_record(&mut row)? {
        for (seen, cell) in columns.iter_mut().zip(&row) {
            seen.add(cell);
        }
    }
    let described = names.iter().zip(&columns).map(|(name, seen)| seen.describe(name, with_values));
    Ok(json!({"columns": described.collect::<Vec<_>>()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> String {
        let mut text = "\u{feff}species,mass,year,adult,seen,note,empty\n".to_owned();
        for n in 0..40 {
            let species = if n % 2 == 0 { "Adelie" } else { "Gentoo" };
            let mass = if n % 10 == 0 { "NA".to_owned() } else { format!("{n}.5") };
            text.push_str(&format!(
                "{species},{mass},{},{},2026-01-{:02},note {n},\n",
                2000 + n,
                n % 3 == 0,
                n % 28 + 1
            ));
        }
        text + "Rare,1,2001,true,2026-01-01,x,\n"
    }

    #[test]
    fn types_and_missing_values_are_found_and_no_value_is_shown() {
        let schema = draft(table().as_bytes(), false).expect("a schema");
        let column = |name: &str, kind: &str| json!({"name": name, "type": kind});
        let mut expected = vec![
            column("species", "text"),
            column("mass", "number"),
            column("year", "integer"),
            column("adult", "boolean"),
            column("seen", "date"),
            column("note", "text"),
            column("empty", "text"),
        ];
        expected[1]["missing"] = "NA".into();
        expected[6]["missing"] = "".into();
        assert_eq!(schema, json!({"columns": expected}));
        for value in ["Adelie", "Rare", "2026"] {
            assert!(!schema.to_string().contains(value), "{value}");
        }
    }

    #[test]
    fn rare_values_are_left_out() {
        let schema = draft(table().as_bytes(), true).expect("a schema");
        assert_eq!(schema["columns"][0]["values"], json!(["Adelie", "Gentoo"]));
        let others = schema["columns"].as_array().expect("columns").iter().skip(1);
        assert!(others.clone().all(|column| column.get("values").is_none()), "{schema}");
        assert_eq!(others.count(), 6);
    }

    #[test]
    fn what_is_not_a_table_is_refused() {
        assert!(draft("a,b\n1\n".as_bytes(), false).is_err());
        assert!(draft([b'a', b'\n', 0xff, b'\n'].as_slice(), false).is_err());
    }
}
