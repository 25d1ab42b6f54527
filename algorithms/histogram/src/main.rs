//! A histogram of one column, as an SVG picture.
//!
//! Reads   every file of every dataset of the job, put together: CSV with a header line, UTF-8, comma separated. Rows
//!         without a number in the column are skipped.
//! Writes  `histogram.svg`: one panel per group, all with the same axes
//! Params  `column`        the numeric column
//!         `groupBy`       the column whose values make the groups (12 at most); without it there is one panel
//!         `bins`          the approximate number of bins; their borders are round numbers [default: 20]
//!         `minimumCount`  bars of fewer rows are not drawn; at least 3 [default: 5]
//!
//! A bin that is not drawn may be empty or small, and the axis ends at the last bar, so the picture does not reveal the
//! values of single rows.

mod bins;
mod svg;

use job::{Job, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::process::ExitCode;

const SMALLEST_BAR: u64 = 3;
const MOST_GROUPS: usize = 12;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Parameters {
    column: String,
    group_by: Option<String>,
    #[serde(default = "default_bins")]
    bins: u32,
    #[serde(default = "default_count")]
    minimum_count: u64,
}

fn default_bins() -> u32 {
    20
}

fn default_count() -> u64 {
    5
}

/// The values of each group. Without groupBy there is one, with an empty name.
type Groups = BTreeMap<String, Vec<f64>>;

fn read(file: impl Read, parameters: &Parameters, groups: &mut Groups) -> Result<()> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let header = reader.headers().map_err(|e| e.to_string())?.clone();
    let position = |name: &String| {
        let missing =
            || format!("no column '{name}'; the columns are: {}", header.iter().collect::<Vec<_>>().join(", "));
        header.iter().position(|column| column == name).ok_or_else(missing)
    };
    let column = position(&parameters.column)?;
    let group_by = parameters.group_by.as_ref().map(position).transpose()?;
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(|e| e.to_string())? {
        let Some(value) = record.get(column).and_then(|cell| job::number(cell.as_bytes())) else { continue };
        let group = match group_by.map(|column| record.get(column).unwrap_or_default().trim()) {
            None => "",
            Some(group) if job::is_missing(group.as_bytes()) => "(missing)",
            Some(group) => group,
        };
        if let Some(values) = groups.get_mut(group) {
            values.push(value);
        } else if groups.len() < MOST_GROUPS {
            groups.insert(group.to_owned(), vec![value]);
        } else {
            return Err(format!("more than {MOST_GROUPS} groups; groupBy must be a column with few values"));
        }
    }
    Ok(())
}

fn picture(groups: &Groups, parameters: &Parameters) -> Result<String> {
    if !(1..=200).contains(&parameters.bins) {
        return Err(format!("bins must be between 1 and 200, not {}", parameters.bins));
    }
    if parameters.minimum_count < SMALLEST_BAR {
        return Err(format!("minimumCount must be {SMALLEST_BAR} or more, not {}", parameters.minimum_count));
    }
    let histogram = bins::Histogram::new(groups, parameters.bins, parameters.minimum_count)?;
    let title = match &parameters.group_by {
        Some(group_by) => format!("{} by {group_by}", parameters.column),
        None => parameters.column.clone(),
    };
    Ok(svg::draw(&histogram, &title, &parameters.column, parameters.minimum_count))
}

fn run() -> Result<()> {
    let job = Job::from_environment();
    let parameters: Parameters = job.parameters()?;
    let mut groups = Groups::new();
    for file in job.files()? {
        read(file.open()?, &parameters, &mut groups).map_err(|e| format!("{}: {e}", file.label()))?;
    }
    job.write("histogram.svg", picture(&groups, &parameters)?.as_bytes())
}

fn main() -> ExitCode {
    job::exit(run())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(group_by: Option<&str>) -> Parameters {
        let group_by = group_by.map(str::to_owned);
        Parameters { column: "body_mass_g".to_owned(), group_by, bins: 20, minimum_count: 5 }
    }

    fn penguins(group_by: Option<&str>) -> Groups {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/penguins.csv");
        let mut groups = Groups::new();
        read(std::fs::File::open(file).unwrap(), &parameters(group_by), &mut groups).unwrap();
        groups
    }

    /// The counts are those of `numpy.histogram` with the same borders.
    #[test]
    fn body_mass_of_all_penguins() {
        let histogram = bins::Histogram::new(&penguins(None), 20, 5).unwrap();
        assert_eq!((histogram.start, histogram.step), (2800.0, 200.0));
        assert_eq!(histogram.panels[0].counts, [8, 14, 27, 40, 39, 36, 23, 22, 20, 28, 17, 14, 14, 17, 11, 7]);
    }

    #[test]
    fn a_panel_per_species() {
        let groups = penguins(Some("species"));
        let svg = picture(&groups, &parameters(Some("species"))).unwrap();
        assert!(["Adelie", "Chinstrap", "Gentoo"].iter().all(|name| svg.contains(&format!(">{name} ("))), "{svg}");
        assert_eq!(svg, picture(&groups, &parameters(Some("species"))).unwrap());
    }

    #[test]
    fn tables_that_cannot_be_drawn_are_errors() {
        let mut groups = Groups::new();
        let error =
            |text: &str, groups: &mut Groups| read(text.as_bytes(), &parameters(Some("g")), groups).unwrap_err();
        assert!(error("g,x\n", &mut groups).contains("no column 'body_mass_g'; the columns are: g, x"));
        let many: String = (0..13).map(|i| format!("{i},1\n")).collect();
        assert!(error(&format!("g,body_mass_g\n{many}"), &mut groups).contains("more than 12 groups"));
        assert!(picture(&groups, &parameters(Some("g"))).unwrap_err().contains("no bar"));
        assert!(picture(&Groups::new(), &parameters(None)).unwrap_err().contains("no numbers"));
    }
}
