//! The measurements, one file each.

pub(crate) mod container;
mod csv;
mod download;
mod hostile;
mod jobs;
mod kernels;
mod many;
mod memory;
mod peers;
mod python;
mod reading;
mod start;
mod status;
mod submit;
mod writing;

use crate::{options::Scale, places::Places, table::Row};
use anyhow::Result;

type Measure = fn(&Places, Scale) -> Result<Vec<Row>>;

/// Every measurement, by the name that `--only` takes.
pub(crate) const ALL: &[(&str, Measure)] = &[
    ("start", start::measure),
    ("kernels", kernels::measure),
    ("reading", reading::measure),
    ("csv", csv::measure),
    ("writing", writing::measure),
    ("many", many::measure),
    ("python", python::measure),
    ("status", status::measure),
    ("submit", submit::measure),
    ("jobs", jobs::measure),
    ("download", download::measure),
    ("memory", memory::measure),
    ("hostile", hostile::measure),
];
