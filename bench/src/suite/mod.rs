//! The measurements, one file each.

mod cluster;
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

use crate::{options::Options, places::Places, table::Row};
use anyhow::Result;

type Measure = fn(&Places, &Options) -> Result<Vec<Row>>;

/// A measurement of which the scale says how much is done.
macro_rules! scaled {
    ($name:ident) => {
        (stringify!($name), |places, options| $name::measure(places, options.scale))
    };
}

/// Every measurement, by the name that `--only` takes.
pub(crate) const ALL: &[(&str, Measure)] = &[
    scaled!(start),
    scaled!(kernels),
    scaled!(reading),
    scaled!(csv),
    scaled!(writing),
    scaled!(many),
    scaled!(python),
    scaled!(status),
    scaled!(submit),
    scaled!(jobs),
    scaled!(download),
    scaled!(memory),
    ("hostile", hostile::measure),
    scaled!(cluster),
];
