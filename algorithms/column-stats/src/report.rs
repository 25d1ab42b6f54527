//! The results about each group that may be shown, as JSON and as CSV.

use crate::statistics::{FileStatistics, Moments};
use crate::Parameters;
use job::InputFile;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The statistics of one file, with the small groups left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    dataset: String,
    file: String,
    group_by: Option<String>,
    minimum_group_size: u64,
    suppressed: Suppressed,
    /// Rows that were skipped because they have more or fewer cells than the header.
    ragged_rows: u64,
    groups: Vec<GroupReport>,
}

/// What was left out. The names of suppressed groups and the number of rows in the file are not given: names can identify
/// people, and the file's rows minus those of the shown groups would be the size of a single suppressed group.
#[derive(Debug, Serialize)]
struct Suppressed {
    groups: usize,
    /// Columns with too few values, in groups that are large enough.
    columns: usize,
}

#[derive(Debug, Serialize)]
struct GroupReport {
    group: String,
    rows: u64,
    columns: BTreeMap<String, ColumnReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ColumnReport {
    count: u64,
    missing: u64,
    not_numeric: u64,
    mean: f64,
    sd: Option<f64>,
    min: f64,
    q1: f64,
    median: f64,
    q3: f64,
    max: f64,
    /// `exact`, or `sample of N`.
    quartiles: String,
}

impl ColumnReport {
    fn new(moments: &Moments) -> Option<Self> {
        let [q1, median, q3] = moments.quartiles()?;
        Some(Self {
            count: moments.count,
            missing: moments.missing,
            not_numeric: moments.not_numeric,
            mean: moments.mean,
            sd: moments.deviation(),
            min: moments.min,
            q1,
            median,
            q3,
            max: moments.max,
            quartiles: moments.sampled().map_or_else(|| "exact".to_owned(), |kept| format!("sample of {kept}")),
        })
    }
}

impl Table {
    pub fn new(file: &InputFile, statistics: FileStatistics, parameters: &Parameters) -> Self {
        let smallest = parameters.minimum_group_size;
        let mut suppressed = Suppressed { groups: 0, columns: 0 };
        let mut groups = Vec::new();
        for group in statistics.groups {
            if group.rows < smallest {
                suppressed.groups += 1;
                continue;
            }
            let mut columns = BTreeMap::new();
            for (name, moments) in statistics.columns.iter().zip(&group.cells) {
                match ColumnReport::new(moments).filter(|_| moments.count >= smallest) {
                    Some(report) => {
                        columns.insert(name.clone(), report);
                    }
                    None => suppressed.columns += 1,
                }
            }
            groups.push(GroupReport { group: group.name, rows: group.rows, columns });
        }
        Self {
            dataset: file.dataset.clone(),
            file: file.name.clone(),
            group_by: parameters.group_by.clone(),
            minimum_group_size: smallest,
            suppressed,
            ragged_rows: statistics.ragged_rows,
            groups,
        }
    }
}

pub fn json(tables: &[Table]) -> Vec<u8> {
    // Writing to memory cannot fail, and every key is text.
    let mut text = serde_json::to_vec_pretty(tables).unwrap_or_default();
    text.push(b'\n');
    text
}

pub fn csv(tables: &[Table]) -> String {
    let mut text = String::from(
        "dataset,file,group,column,rows,count,missing,not_numeric,mean,sd,min,q1,median,q3,max,quartiles\n",
    );
    for table in tables {
        for group in &table.groups {
            for (column, c) in &group.columns {
                let sd = c.sd.map(|sd| sd.to_string()).unwrap_or_default();
                let _ = writeln!(
                    text,
                    "{},{},{},{},{},{},{},{},{},{sd},{},{},{},{},{},{}",
                    quoted(&table.dataset),
                    quoted(&table.file),
                    quoted(&group.group),
                    quoted(column),
                    group.rows,
                    c.count,
                    c.missing,
                    c.not_numeric,
                    c.mean,
                    c.min,
                    c.q1,
                    c.median,
                    c.q3,
                    c.max,
                    c.quartiles
                );
            }
        }
    }
    text
}

/// A CSV cell, quoted if necessary.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}
