//! How the demo runs commands: as separate programs, shown as they would be typed.

use crate::{exit::Ended, output::print_line};
use anyhow::Context as _;
use cloister_model::escape;
use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Maximum output of a command of the demo, in bytes.
const MOST: u64 = 16 * 1024 * 1024;

/// How long the service may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The demo's folder, and the service in it.
#[derive(Debug)]
pub(super) struct Stage {
    program: PathBuf,
    folder: PathBuf,
    url: String,
    service: Child,
}

impl Stage {
    /// Starts the service.
    pub(super) fn open(folder: &Path, sandbox_home: Option<&Path>) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let log = File::create(folder.join("service.log")).context("the log of the service")?;
        let sandbox_home = sandbox_home.map(|home| home.to_string_lossy().into_owned());
        let mut arguments = vec!["serve", "--home", "service", "--listen", "127.0.0.1:0"];
        if let Some(home) = &sandbox_home {
            arguments.extend(["--sandbox-home", home]);
        }
        typed(&format!("cloister {} 2>service.log &", line(&arguments)))?;
        let mut service = bare(&program, folder)
            .args(&arguments)
            .args(["--log-format", "text", "--until-eof"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("starting the service")?;
        let stdout = service.stdout.take().context("the service's output")?;
        let mut stage = Self { program, folder: folder.to_owned(), url: String::new(), service };
        let mut line = String::new();
        // Ends at the latest when the service does.
        BufReader::new(stdout.take(1000)).read_line(&mut line).context("waiting for the service")?;
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            let log = std::fs::read(folder.join("service.log")).unwrap_or_default();
            let text = String::from_utf8_lossy(&log)
                .lines()
                .map(|line| format!("\n{}", escape(line.as_bytes(), 500)))
                .collect::<String>();
            return Err(anyhow::anyhow!("the service did not start:{text}"));
        };
        print_line(&escape(line.trim().as_bytes(), 200).to_string())?;
        url.clone_into(&mut stage.url);
        typed(&format!("export CLOISTER_URL={url} CLOISTER_HOME_DIR=service"))?;
        Ok(stage)
    }

    fn command(&self) -> anyhow::Result<Command> {
        // Standard error goes where standard output goes, so that the demo is one text.
        let shown = io::stdout().as_fd().try_clone_to_owned().context("the output")?;
        let mut command = bare(&self.program, &self.folder);
        command.env("CLOISTER_URL", &self.url).env("CLOISTER_HOME_DIR", "service");
        command.stdin(Stdio::null()).stderr(shown);
        Ok(command)
    }

    /// Runs a command that must end with this code. Shows its output.
    pub(super) fn run(&self, arguments: &[&str], code: i32) -> anyhow::Result<()> {
        typed(&format!("cloister {}", line(arguments)))?;
        let status = self.command()?.args(arguments).status().context("running a command")?;
        expect(status.code(), code)
    }

    /// Runs a command that must succeed. Shows its output and returns it.
    pub(super) fn read(&self, arguments: &[&str]) -> anyhow::Result<String> {
        typed(&format!("cloister {}", line(arguments)))?;
        let text = self.capture(arguments)?;
        for line in text.lines() {
            print_line(&escape(line.as_bytes(), 500).to_string())?;
        }
        Ok(text.trim().to_owned())
    }

    /// The checksum of an algorithm's files, as a publisher reads it before allowing the algorithm.
    pub(super) fn checksum(&self, who: &[&str], algorithm: &str) -> anyhow::Result<String> {
        let text = self.read(&[who, &["algorithm", "show", algorithm]].concat())?;
        let line = text.lines().find_map(|line| line.strip_prefix("filesChecksum"));
        Ok(line.context("`algorithm show` prints no checksum")?.trim().to_owned())
    }

    /// Runs a command that must succeed. Writes its output to a file in the demo's folder.
    pub(super) fn write(&self, arguments: &[&str], file: &str) -> anyhow::Result<()> {
        use std::os::unix::fs::OpenOptionsExt as _;
        typed(&format!("cloister {} >{file}", line(arguments)))?;
        let mut options = File::options();
        let to = options.write(true).create_new(true).mode(0o600).open(self.folder.join(file)).context("a file")?;
        let status = self.command()?.args(arguments).stdout(to).status().context("running a command")?;
        expect(status.code(), 0)
    }

    fn capture(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut child = self.command()?.args(arguments).stdout(Stdio::piped()).spawn().context("running a command")?;
        let mut text = String::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(MOST).read_to_string(&mut text).context("reading what a command prints")?;
        }
        expect(child.wait().context("running a command")?.code(), 0)?;
        Ok(text)
    }

    /// Ends the service, which must succeed.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        typed("kill %1")?;
        expect(self.end().and_then(|status| status.code()), 0)
    }

    fn end(&mut self) -> Option<std::process::ExitStatus> {
        drop(self.service.stdin.take());
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            match self.service.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Ok(Some(status)) => return Some(status),
                Err(_) => break,
            }
        }
        let _ = self.service.kill();
        self.service.wait().ok()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if matches!(self.service.try_wait(), Ok(None)) {
            self.end();
        }
    }
}

/// A command of this program without the caller's CLOISTER_... variables.
fn bare(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CLOISTER_")) {
        command.env_remove(name);
    }
    command
}

fn expect(found: Option<i32>, expected: i32) -> anyhow::Result<()> {
    if found == Some(expected) {
        return Ok(());
    }
    let found = found.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
    Err(Ended::error(crate::exit::FAILED, format!("demo: expected exit code {expected}, got {found}")))
}

fn typed(line: &str) -> anyhow::Result<()> {
    Ok(print_line(&format!("$ {line}"))?)
}

/// Arguments, quoted for a shell.
fn line(arguments: &[&str]) -> String {
    let quoted = |argument: &&str| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,".contains(letter);
        let is_plain = !argument.is_empty() && argument.chars().all(plain);
        if is_plain { (*argument).to_owned() } else { format!("'{}'", argument.replace('\'', "'\\''")) }
    };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_quoted_for_a_shell() {
        assert_eq!(line(&["job", "submit", "-p", "a=b", "x y", "it's", ""]), r"job submit -p a=b 'x y' 'it'\''s' ''");
    }
}
