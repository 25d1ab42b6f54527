//! A shell for tests that follow a page of the documentation as it is written.

use crate::{program, sandbox, service::cloister};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A shell in an empty folder, with `cloister` and `sandbox` on the path. The folder is kept from block to block.
#[derive(Debug)]
pub struct Shell {
    home: TempDir,
    folder: PathBuf,
    /// What is run before each block, such as exports.
    pub exported: String,
}

/// The commands of a block, and the lines that the page shows of their output. Where commands begin with `$ `, all other lines are
/// output, except for those that a command goes on to; otherwise all lines are commands.
fn parts(block: &str) -> (String, Vec<&str>) {
    let is_marked = block.lines().any(|line| line.starts_with("$ "));
    let (mut commands, mut printed, mut goes_on) = (String::new(), Vec::new(), false);
    for line in block.lines() {
        let command = line.strip_prefix("$ ").or((goes_on || !is_marked).then_some(line));
        goes_on = command.is_some_and(|command| command.ends_with('\\'));
        match command {
            Some(command) => commands += &format!("{command}\n"),
            // The page cuts digests and long lines.
            None => printed.push(line.trim_end_matches("...").trim_end()),
        }
    }
    (commands, printed)
}

impl Shell {
    /// One in an empty folder, with an empty home.
    ///
    /// # Panics
    /// If the folders cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let home = TempDir::new().expect("a temporary directory");
        let folder = home.path().join("work");
        fs::create_dir(&folder).expect("made");
        Self { home, folder, exported: String::new() }
    }

    /// The folder of the next block.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command that runs this script there.
    ///
    /// # Panics
    /// If the programs were not built.
    #[must_use]
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(&self.folder).stdin(Stdio::null()).env_clear();
        command.envs(program().get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("HOME", self.home.path());
        // Rust is installed in the real home.
        for (name, below) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            let real = std::env::var_os("HOME").map(|home| Path::new(&home).join(below));
            if let Some(value) = std::env::var_os(name).map(PathBuf::from).or(real) {
                command.env(name, value);
            }
        }
        let programs = [cloister(), sandbox()].map(|program| program.parent().map(Path::to_owned).expect("a folder"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&path))).expect("a path");
        command.env("PATH", path);
        command
    }

    /// Runs a block, which has to end with this code and to print what the page shows. Returns what it printed.
    ///
    /// # Panics
    /// If it ends or prints otherwise.
    #[track_caller]
    pub fn run(&mut self, block: &str, code: i32) -> String {
        let place = self.home.path().join("place");
        let (commands, printed) = parts(block);
        let script = format!("{}\nset -e\n{commands}\npwd >'{}'\n", self.exported, place.display());
        let output = self.command(&script).output().expect("a shell");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert_eq!(output.status.code(), Some(code), "{block}\n{said}");
        if code == 0 {
            self.folder = PathBuf::from(fs::read_to_string(place).expect("where it ended").trim());
        }
        for line in printed {
            assert!(said.contains(line), "{block}\ndoes not print `{line}`, but\n{said}");
        }
        said
    }
}

impl Default for Shell {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_output_are_distinguished() {
        for (block, commands, printed) in [
            ("a\nb <<END\n text\nEND\n", "a\nb <<END\n text\nEND\n", vec![]),
            ("$ a \\\n   more\nsays 12...\nsays: ...\n$ b\n", "a \\\n   more\nb\n", vec!["says 12", "says:"]),
        ] {
            assert_eq!(parts(block), (commands.to_owned(), printed), "{block}");
        }
    }

    #[test]
    #[should_panic(expected = "does not print `two`")]
    fn a_block_that_prints_something_else_fails() {
        let _ = Shell::new().run("$ echo one\ntwo\n", 0);
    }
}
