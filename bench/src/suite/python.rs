//! Scripts: from the start of the process to its end, with the interpreter compiled before.

use super::peers::is_installed;
use crate::{
    data,
    job::DATASET,
    options::Scale,
    places::Places,
    process::time,
    series::{Contender, Sample, take_turns},
    table::Row,
};
use anyhow::{Context as _, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const SCIENCE: &str = "import pandas, sklearn.linear_model\nprint(pandas.__version__)\n";

pub(super) fn measure(places: &Places, scale: Scale) -> Result<Vec<Row>> {
    if !has_runtime(places) {
        if !is_installed("pip") && !is_installed("pip3") {
            return Ok(vec![Row::without("python", "the runtime is not installed, and there is no pip to get it")]);
        }
        if let Err(error) = prepare(places) {
            return Ok(vec![Row::without("python", format!("the runtime cannot be installed: {error:#}"))]);
        }
    }
    let science = places.work.join("science.py");
    fs::write(&science, SCIENCE)?;
    let hello = places.root.join("algorithms/python-hello/algorithm.py");
    let mut rows = Vec::new();
    for (what, script, rounds) in [("python-hello", &hello, 12), ("import pandas and scikit-learn", &science, 6)] {
        let script = Script { places, root: data::small(places)?, script };
        let rounds = scale.repetitions(rounds);
        if runs(&script) {
            let [sandbox, python] = take_turns(
                rounds,
                [
                    Contender::new("sandbox", || script.sandbox()),
                    Contender::new("python3", || sample(&mut script.native())),
                ],
            )?;
            rows.push(Row::seconds(what, &sandbox, sandbox.whole()));
            rows.push(Row::slower(
                format!("{what}, beside this machine's python3"),
                (&sandbox, sandbox.whole()),
                (&python, python.whole()),
            ));
        } else {
            let [sandbox] = take_turns(rounds, [Contender::new("sandbox", || script.sandbox())])?;
            rows.push(Row::seconds(what, &sandbox, sandbox.whole()));
            let what = format!("{what}, beside this machine's python3");
            rows.push(Row::without(what, "python3 or its packages are not installed"));
        }
    }
    Ok(rows)
}

fn has_runtime(places: &Places) -> bool {
    places.home.join("runtimes/python").exists()
}

/// Fetches the interpreter and compiles it.
fn prepare(places: &Places) -> Result<()> {
    let mut command = Command::new(&places.sandbox);
    command.env("CLOISTER_SANDBOX_HOME", &places.home).args(["runtime", "add", "python"]).stdin(Stdio::null());
    crate::places::run(&mut command).context("sandbox runtime add python")
}

/// A script and what it reads.
struct Script<'a> {
    places: &'a Places,
    root: PathBuf,
    script: &'a Path,
}

impl Script<'_> {
    fn outputs(&self) -> Result<PathBuf> {
        let outputs = self.places.work.join("outputs");
        let _ = fs::remove_dir_all(&outputs);
        fs::create_dir(&outputs)?;
        Ok(outputs)
    }

    fn sandbox(&self) -> Result<Sample> {
        let file = self.root.join("inputs").join(DATASET).join("0");
        let mut command = Command::new(&self.places.sandbox);
        command.env_clear().env("CLOISTER_SANDBOX_HOME", &self.places.home).arg("run").arg(self.script);
        command.args(["--runtime", "python", "--json", "--require-isolation"]);
        command.arg("--dataset").arg(format!("{DATASET}={}", file.display()));
        command.arg("--outputs").arg(self.outputs()?);
        sample(&mut command)
    }

    fn native(&self) -> Command {
        let mut command = Command::new("python3");
        command
            .arg(self.script)
            .env("INPUTS", self.root.join("inputs"))
            .env("OUTPUTS", self.places.work.join("outputs"));
        command.env("DIDS", format!("[\"{DATASET}\"]")).stderr(Stdio::null());
        command
    }
}

fn sample(command: &mut Command) -> Result<Sample> {
    let used = time(command.stdin(Stdio::null()).stdout(Stdio::null()))?;
    Ok(Sample { whole: used.whole.as_secs_f64(), resident: used.peak_resident_bytes, ..Sample::default() })
}

/// Whether this machine's own interpreter can run it.
fn runs(script: &Script<'_>) -> bool {
    script.outputs().is_ok() && sample(&mut script.native()).is_ok()
}
