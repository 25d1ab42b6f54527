//! Writes the first inputs of a fuzz target: `seed FROM TO`.
//!
//! Text modules (`.wat`) in the folder FROM become binary ones in the folder TO; other files are copied as they are.
//! So that nothing binary is kept in the repository, and a fuzzer does not have to guess a module's header.

use std::{env, error::Error, ffi::OsStr, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (Some(from), Some(to), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: seed FROM TO".into());
    };
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(&from)? {
        let path = entry?.path();
        let Some(name) = path.file_stem() else { continue };
        let content = match path.extension().and_then(OsStr::to_str) {
            Some("wat") => wat::parse_file(&path)?,
            _ => fs::read(&path)?,
        };
        fs::write(to.join(name), content)?;
    }
    Ok(())
}
