//! Counts the rows of every table.

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::{BufRead as _, BufReader},
};

fn main() -> Result<(), Box<dyn Error>> {
    // DIDS is a JSON list of plain words, such as ["sample"]. Parameters are in /data/inputs/algoCustomData.json.
    let (dids, inputs, outputs) = (env::var("DIDS")?, env::var("INPUTS")?, env::var("OUTPUTS")?);
    let mut rows = 0;
    for did in dids.split('"').skip(1).step_by(2) {
        for entry in fs::read_dir(format!("{inputs}/{did}"))? {
            // Line by line, because a table may be larger than the memory.
            let mut lines = BufReader::with_capacity(64 * 1024, File::open(entry?.path())?).lines();
            lines.next().transpose()?;
            for line in lines {
                line?;
                rows += 1;
            }
        }
    }
    fs::write(format!("{outputs}/rows.json"), format!("{{ \"rows\": {rows} }}\n"))?;
    println!("counted {rows} rows");
    Ok(())
}
