//! Descriptive statistics of the numeric columns of CSV files, per group.
//!
//! Reads   every file of every dataset of the job: CSV with a header line, UTF-8, comma separated.
//! Writes  `statistics.json` and `statistics.csv`: per file, group and column the number of values, mean, standard
//!         deviation (n-1), minimum, quartiles (linear interpolation) and maximum.
//! Params  `groupBy`           the column whose values make the groups; without it all rows are one group
//!         `columns`           the columns to describe; without it those that look numeric in the first 64 KiB
//!         `minimumGroupSize`  smaller groups are left out; at least 5 [default: 10]
//!
//! Groups with fewer rows than `minimumGroupSize` are suppressed, as are columns of a group with fewer values; the result
//! says how many. Rows with too few or too many cells are skipped and counted.
//!
//! One pass, in bounded memory: the quartiles are exact if all values of a file fit into 32 MiB. Otherwise they are those of
//! a seeded sample, and the result says so.

mod csv;
mod report;
mod statistics;

use job::{Job, Result};
use serde::Deserialize;
use std::process::ExitCode;

/// Below this, a mean or a quartile nearly reveals one person's value. No parameter can set a lower value.
const SMALLEST_GROUP: u64 = 5;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Parameters {
    group_by: Option<String>,
    columns: Option<Vec<String>>,
    #[serde(default = "default_group_size")]
    minimum_group_size: u64,
}

fn default_group_size() -> u64 {
    10
}

fn run() -> Result<()> {
    let job = Job::from_environment();
    let parameters: Parameters = job.parameters()?;
    if parameters.minimum_group_size < SMALLEST_GROUP {
        return Err(format!(
            "minimumGroupSize must be {SMALLEST_GROUP} or more, not {}",
            parameters.minimum_group_size
        ));
    }
    let mut tables = Vec::new();
    for file in job.files()? {
        let table = statistics::of_file(file.open()?, parameters.group_by.as_deref(), parameters.columns.as_deref())
            .map_err(|e| format!("{}: {e}", file.label()))?;
        tables.push(report::Table::new(&file, table, &parameters));
    }
    job.write("statistics.json", &report::json(&tables))?;
    job.write("statistics.csv", report::csv(&tables).as_bytes())
}

fn main() -> ExitCode {
    job::exit(run())
}
