//! Scripts: from the start of the process to its end, with the interpreter compiled before.

use crate::{
    data,
    job::DATASET,
    options::Scale,
    places::Places,
    process::time,
    series::{Contender, Sample, take_turns},
    table::{Row, Target},
};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

const SCIENCE: &str = "import pandas, sklearn.linear_model\nprint(pandas.__version__)\n";

/// Seconds that the import may take in `sandbox run`, and with the interpreter in memory, as the service starts it.
const ALONE: f64 = 0.1;
const KEPT: f64 = 0.04;

pub(super) fn measure(places: &Places, scale: Scale) -> Result<Vec<Row>> {
    // What an older program installed is replaced: the interpreter and its snapshot may be others by now.
    if let Err(error) = prepare(places) {
        return Ok(vec![Row::without("python", format!("the runtime cannot be installed: {error:#}"))]);
    }
    let keeper = Keeper::start(places)?;
    let peer = environment(places);
    let science = places.work.join("science.py");
    fs::write(&science, SCIENCE)?;
    let hello = places.root.join("algorithms/python-hello/algorithm.py");
    let mut rows = Vec::new();
    for (what, script, rounds) in [("python-hello", &hello, 12), ("import pandas and scikit-learn", &science, 12)] {
        let script = Script { places, root: data::small(places)?, script };
        let rounds = scale.repetitions(rounds);
        let alone = Contender::new("sandbox", || script.sandbox(None));
        let kept = Contender::new("kept", || script.sandbox(Some(&keeper.path)));
        let in_memory = format!("{what}, interpreter kept in memory");
        match &peer {
            Ok(python) => {
                let native = Contender::new("python3", || sample(&mut script.native(python)));
                let [alone, kept, python] = take_turns(rounds, [alone, kept, native])?;
                rows.push(Row::seconds(what, &alone, alone.whole()).target(Target::AtMost(ALONE)));
                rows.push(Row::seconds(&in_memory, &kept, kept.whole()).target(Target::AtMost(KEPT)));
                for (what, ours) in [(what, &alone), (in_memory.as_str(), &kept)] {
                    let beside = format!("{what}, beside this machine's python3");
                    let row = Row::slower(beside, (ours, ours.whole()), (&python, python.whole()));
                    rows.push(row.target(Target::AtMost(1.0)));
                }
            }
            Err(error) => {
                let [alone, kept] = take_turns(rounds, [alone, kept])?;
                rows.push(Row::seconds(what, &alone, alone.whole()).target(Target::AtMost(ALONE)));
                rows.push(Row::seconds(&in_memory, &kept, kept.whole()).target(Target::AtMost(KEPT)));
                let what = format!("{what}, beside this machine's python3");
                rows.push(Row::without(what, format!("its packages cannot be installed: {error:#}")));
            }
        }
    }
    Ok(rows)
}

fn prepare(places: &Places) -> Result<()> {
    let mut command = Command::new(&places.sandbox);
    command.env("CLOISTER_SANDBOX_HOME", &places.home).args(["runtime", "add", "python"]).stdin(Stdio::null());
    crate::places::run(&mut command).context("sandbox runtime add python")
}

/// The packages of `bench/python.txt` for this machine's python3, in an environment of their own. Returns its interpreter.
fn environment(places: &Places) -> Result<PathBuf> {
    let (folder, pinned) = (places.target.join("bench-python"), places.root.join("bench/python.txt"));
    let (python, installed) = (folder.join("bin/python"), folder.join("installed.txt"));
    let wanted = fs::read(&pinned)?;
    if fs::read(&installed).ok().as_ref() != Some(&wanted) {
        let _ = fs::remove_dir_all(&folder);
        crate::places::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
        ]);
        crate::places::run(pip.arg("--requirement").arg(&pinned))?;
        fs::write(&installed, wanted)?;
    }
    Ok(python)
}

/// The interpreter in memory, as a service keeps it. It ends when this value is dropped.
struct Keeper {
    process: Child,
    path: String,
}

impl Keeper {
    fn start(places: &Places) -> Result<Self> {
        let sandbox = || {
            let mut command = Command::new(&places.sandbox);
            command.env_clear().env("CLOISTER_SANDBOX_HOME", &places.home);
            command
        };
        crate::places::run(sandbox().args(["compile", "--runtime", "python"])).context("compiling the interpreter")?;
        let mut command = sandbox();
        command.args(["runtime", "keep", "python"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let mut path = String::new();
        BufReader::new(process.stdout.take().context("its stdout")?).read_line(&mut path)?;
        let keeper = Self { process, path: path.trim_end().to_owned() };
        ensure!(!keeper.path.is_empty(), "`sandbox runtime keep` failed");
        Ok(keeper)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
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

    fn sandbox(&self, kept: Option<&str>) -> Result<Sample> {
        let file = self.root.join("inputs").join(DATASET).join("0");
        let mut command = Command::new(&self.places.sandbox);
        command.env_clear().env("CLOISTER_SANDBOX_HOME", &self.places.home).arg("run").arg(self.script);
        command.args(["--runtime", "python", "--json", "--require-isolation"]);
        command.arg("--dataset").arg(format!("{DATASET}={}", file.display()));
        command.arg("--outputs").arg(self.outputs()?).args(kept.into_iter().flat_map(|path| ["--kept", path]));
        sample(&mut command)
    }

    fn native(&self, python: &Path) -> Command {
        let mut command = Command::new(python);
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
