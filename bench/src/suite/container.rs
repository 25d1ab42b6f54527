//! A minimal container: crun, and a static program that does nothing in an otherwise empty root.

use super::peers::is_installed;
use crate::{
    places::{Places, run},
    process::time,
    series::Sample,
};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// The first argument of this program as the helper below.
pub(crate) const HELPER: &str = "run-containers";

/// A process that runs the container each time it reads a line, and answers with the nanoseconds it took. Where crun
/// does not like the machine's control groups, the helper lives in a mount namespace that hides them, which must not be
/// part of what is timed.
pub(super) struct Container {
    helper: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Container {
    pub(super) fn prepare(places: &Places) -> Result<Self> {
        if !is_installed("crun") {
            bail!("not installed");
        }
        let bundle = places.work.join("bundle");
        make_bundle(&bundle)?;
        let program = std::env::current_exe()?;
        let hidden = "mount -t tmpfs none /sys/fs/cgroup && exec \"$@\"";
        let mut plain = Command::new(&program);
        let mut unshared = Command::new("unshare");
        unshared.args(["-m", "sh", "-c", hidden, "sh"]).arg(&program);
        let mut problem = None;
        for (command, manager) in [(&mut plain, "cgroupfs"), (&mut unshared, "disabled")] {
            match Self::start(command.args([HELPER, manager]).arg(&bundle)) {
                Ok(container) => return Ok(container),
                Err(error) => problem = Some(error),
            }
        }
        Err(problem.unwrap_or_else(|| anyhow::anyhow!("no way to run it")).context("crun cannot run here"))
    }

    fn start(command: &mut Command) -> Result<Self> {
        let mut helper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let ask = helper.stdin.take().context("a pipe")?;
        let answer = BufReader::new(helper.stdout.take().context("a pipe")?);
        let mut container = Self { helper, ask, answer };
        container.run()?;
        Ok(container)
    }

    pub(super) fn run(&mut self) -> Result<Sample> {
        self.ask.write_all(b"\n")?;
        let mut line = String::new();
        self.answer.read_line(&mut line)?;
        let nanos: u64 = line.trim().parse().context("crun failed")?;
        Ok(Sample { whole: nanos as f64 / 1e9, ..Sample::default() })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.helper.kill();
        let _ = self.helper.wait();
    }
}

/// What the helper does.
pub(crate) fn help(arguments: &[String]) -> Result<()> {
    let [manager, bundle] = arguments else { bail!("the arguments of the helper") };
    let id = format!("cloister-bench-{}", std::process::id());
    for _ in std::io::stdin().lock().lines() {
        let mut command = Command::new("crun");
        command.arg(format!("--cgroup-manager={manager}")).args(["run", "--bundle", bundle, &id]);
        let used = time(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{}", used.whole.as_nanos())?;
        stdout.flush()?;
    }
    Ok(())
}

fn make_bundle(bundle: &Path) -> Result<()> {
    let rootfs = bundle.join("rootfs");
    fs::create_dir_all(&rootfs)?;
    let source = bundle.join("nothing.rs");
    fs::write(&source, "fn main() {}\n")?;
    let mut rustc = Command::new("rustc");
    rustc.args(["-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"]).arg(rootfs.join("nothing"));
    run(rustc.arg(&source)).context("a static program for the container")?;
    let mut crun = Command::new("crun");
    let spec = crun.arg("spec").current_dir(bundle).stderr(Stdio::null()).status()?;
    ensure!(spec.success(), "crun spec failed");
    let path = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
    config["process"]["args"] = json!(["/nothing"]);
    config["process"]["terminal"] = json!(false);
    Ok(fs::write(&path, config.to_string())?)
}
