//! Orders and reports as files.

use crate::exit::Usage;
use anyhow::Context as _;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, OpenOptions},
    io::{BufReader, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Bytes of an order: the descriptions of a hundred assets, and code.
const MOST_ORDER_BYTES: u64 = 256 << 20;

/// Reads an order.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let shown = path.display();
    let file =
        File::open(path).map_err(|error| Usage::error(format!("the order `{shown}` cannot be read: {error}")))?;
    // What serde says can quote the order, which holds credentials.
    serde_json::from_reader(BufReader::new(file.take(MOST_ORDER_BYTES))).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Usage::error(format!(
            "`{shown}` is not an order for this step, or of another version (line {line}, column {column})"
        ))
    })
}

/// Writes a report: whole, or not at all.
pub(super) fn write(path: &Path, report: &impl Serialize) -> anyhow::Result<()> {
    let draft = path.with_extension("draft");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(report)?)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().with_context(|| format!("the report `{}` cannot be written", path.display()))
}
