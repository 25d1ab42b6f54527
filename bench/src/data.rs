//! Inputs, the same on every machine, made once and kept in `target/bench-data`.

use crate::{
    job::DATASET,
    places::{Places, run},
};
use anyhow::{Context as _, Result};
use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

/// Makes `name` below the data directory, unless it is complete already. A half-made one never gets the name.
fn once(places: &Places, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let path = places.data.join(name);
    if !path.exists() {
        let draft = places.data.join(format!("draft-{name}-{}", std::process::id()));
        let dataset = draft.join("inputs").join(DATASET);
        fs::create_dir_all(&dataset)?;
        let made = fill(&dataset).and_then(|()| Ok(fs::rename(&draft, &path)?));
        if made.is_err() {
            let _ = fs::remove_dir_all(&draft);
        }
        made.with_context(|| format!("making {}", path.display()))?;
    }
    Ok(path)
}

/// A dataset of one small file.
pub(crate) fn small(places: &Places) -> Result<PathBuf> {
    once(places, "small", |dataset| Ok(fs::write(dataset.join("0"), "a,b\n1,2\n")?))
}

/// A dataset of one file of bytes that nothing can compress or guess.
pub(crate) fn bytes(places: &Places, size: u64) -> Result<PathBuf> {
    once(places, &format!("bytes-{size}"), |dataset| {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(dataset.join("0"))?);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..size / 8 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            file.write_all(&state.to_le_bytes())?;
        }
        Ok(file.flush()?)
    })
}

/// A dataset of one CSV table.
pub(crate) fn table(places: &Places, size: u64) -> Result<PathBuf> {
    once(places, &format!("table-{size}"), |dataset| {
        run(Command::new(places.native("generate")).arg(size.to_string()).arg(dataset.join("0")))
    })
}

/// A dataset of many files of a hundred bytes, all in one directory.
pub(crate) fn many(places: &Places, files: u32) -> Result<PathBuf> {
    once(places, &format!("many-{files}"), |dataset| {
        for number in 0..files {
            let byte = u8::try_from(number % 251)?;
            fs::write(dataset.join(format!("{number:06}")), [byte; 100])?;
        }
        Ok(())
    })
}

/// Reads a file, so that it is in memory when it is measured.
pub(crate) fn warm(root: &Path) -> Result<()> {
    std::io::copy(&mut File::open(root.join("inputs").join(DATASET).join("0"))?, &mut std::io::sink())?;
    Ok(())
}
