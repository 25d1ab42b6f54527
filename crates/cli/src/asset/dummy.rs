//! Rows that are made up from the schema of a dataset: to try a program without the data.

use super::name::{Named, find};
use crate::{context::Context, exit::Usage, output::note};
use anyhow::Context as _;
use cloister_model::{AssetKind, Column, ColumnType, TableSchema};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use std::io::{self, BufWriter, Write};

/// One value in so many is missing, in a column that may miss values.
const MISSING: u64 = 20;

/// Days after the first of January 2000 that dates are taken from.
const DAYS: u64 = 10_000;

/// Which dataset.
#[derive(Debug, clap::Args)]
pub(crate) struct Dummy {
    /// Its name, OWNER/NAME, or DID. Its publisher must have described it with `spec.schema`
    dataset: Named,
    /// Number of rows
    #[arg(long, default_value_t = 100)]
    rows: u64,
    /// The same seed makes the same rows
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Dummy {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self { dataset, rows, seed } = self;
        let client = context.client()?;
        let did = find(&client, AssetKind::Dataset, &dataset).await?;
        let answer = client.get(&["v1", "datasets", &did], &[]).await?;
        let schema = TableSchema::of_ddo(&answer["ddo"]).ok_or_else(|| {
            Usage::error(format!(
                "the publisher of {dataset} has not described its columns (`spec.schema`); ask for it"
            ))
        })?;
        note(&format!("made up from the schema of {dataset}: no value comes from its data"));
        let mut stdout = BufWriter::new(io::stdout().lock());
        write_rows(&schema, rows, seed, &mut stdout).context("writing the rows")?;
        stdout.flush().context("writing the rows")
    }
}

/// Writes a table with a header.
fn write_rows(schema: &TableSchema, rows: u64, seed: u64, to: &mut dyn Write) -> Result<(), csv::Error> {
    let mut random = Random(ChaCha8Rng::seed_from_u64(seed));
    let mut writer = csv::Writer::from_writer(to);
    writer.write_record(schema.columns.iter().map(|column| column.name.as_str()))?;
    for _ in 0..rows {
        writer.write_record(schema.columns.iter().map(|column| random.value(column)))?;
    }
    Ok(writer.flush()?)
}

struct Random(ChaCha8Rng);

impl Random {
    fn value(&mut self, column: &Column) -> String {
        let Column { r#type, values, minimum, maximum, missing, .. } = column;
        if let Some(missing) = missing
            && self.below(MISSING) == 0
        {
            return missing.clone();
        }
        let count = u64::try_from(values.len()).unwrap_or(u64::MAX);
        if count > 0 {
            let chosen = usize::try_from(self.below(count)).unwrap_or_default();
            return values.get(chosen).cloned().unwrap_or_default();
        }
        let least = minimum.unwrap_or_else(|| maximum.map_or(0.0, |most| most.min(0.0)));
        let most = maximum.unwrap_or_else(|| (least + 100.0).max(least));
        match r#type {
            ColumnType::Text => format!("text {}", self.below(100) + 1),
            ColumnType::Boolean => (self.below(2) == 1).to_string(),
            ColumnType::Date => date(self.below(DAYS)),
            ColumnType::Number => format!("{:.2}", self.between(least, most).clamp(least, most)),
            ColumnType::Integer => {
                let (first, last) = (least.ceil(), most.floor());
                format!("{:.0}", self.between(first, (last + 1.0).max(first)).floor().clamp(first, last.max(first)))
            }
        }
    }

    /// A number below another one, which is not 0.
    fn below(&mut self, end: u64) -> u64 {
        // Not exactly uniform, but the difference is too small to matter.
        self.0.next_u64() % end
    }

    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a float holds")]
    fn between(&mut self, least: f64, most: f64) -> f64 {
        let share = (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        // So that bounds far apart do not overflow.
        least * (1.0 - share) + most * share
    }
}

/// A day so many days after the first of January 2000.
fn date(days: u64) -> String {
    let first = jiff::civil::date(2000, 1, 1);
    let days = i64::try_from(days).unwrap_or_default();
    first.checked_add(jiff::Span::new().days(days)).unwrap_or(first).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn schema(columns: &Value) -> TableSchema {
        let ddo = json!({"metadata": {"additionalInformation": {"schema": {"columns": columns}}}});
        TableSchema::of_ddo(&ddo).expect("a schema")
    }

    fn rows(columns: &Value, seed: u64) -> Vec<Vec<String>> {
        let mut text = Vec::new();
        write_rows(&schema(columns), 200, seed, &mut text).expect("rows");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_slice());
        reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn rows_have_the_form_of_the_schema_and_the_same_seed_makes_the_same_rows() {
        let columns = json!([
            {"name": "species, or kind", "type": "text", "values": ["Adelie", "Gentoo"]},
            {"name": "mass", "type": "number", "minimum": 2700, "maximum": 6300.5, "missing": "NA"},
            {"name": "year", "type": "integer", "minimum": 2007, "maximum": 2009},
            {"name": "adult", "type": "boolean"}, {"name": "seen", "type": "date"}, {"name": "note", "type": "text"}
        ]);
        let made = rows(&columns, 7);
        assert_eq!(made, rows(&columns, 7));
        assert_ne!(made, rows(&columns, 8));
        assert_eq!(made.len(), 201);
        assert_eq!(made[0], ["species, or kind", "mass", "year", "adult", "seen", "note"]);
        for row in &made[1..] {
            assert!(["Adelie", "Gentoo"].contains(&row[0].as_str()), "{row:?}");
            let in_bounds = |mass: f64| (2700.0..=6300.5).contains(&mass);
            assert!(row[1] == "NA" || row[1].parse().is_ok_and(in_bounds), "{row:?}");
            assert!(["2007", "2008", "2009"].contains(&row[2].as_str()), "{row:?}");
            assert!(["true", "false"].contains(&row[3].as_str()), "{row:?}");
            assert!(row[4].parse::<jiff::civil::Date>().is_ok(), "{row:?}");
        }
        for value in ["NA", "2007", "2009", "true", "false"] {
            assert!(made.iter().flatten().any(|cell| cell == value), "{value} comes up");
        }
        assert!(made.iter().all(|row| row[2] != "NA"), "nothing is missing where nothing may be");
    }

    proptest! {
        #[test]
        fn bounds_hold(least in -1e300_f64..1e300, width in 0.0_f64..1e300, seed: u64) {
            let columns = json!([{"name": "n", "type": "number", "minimum": least, "maximum": least + width}]);
            let Column { minimum, maximum, .. } = schema(&columns).columns[0].clone();
            let value: f64 = Random(ChaCha8Rng::seed_from_u64(seed)).value(&schema(&columns).columns[0]).parse().expect("a number");
            // Two digits are written.
            prop_assert!(value >= minimum.expect("a bound") - 0.01 && value <= maximum.expect("a bound") + 0.01);
        }
    }
}
