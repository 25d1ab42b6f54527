//! docs/kubernetes.md, followed as it is written: its blocks are files, and its lines are commands.

use cloister_tests::{
    chart,
    cluster::{self, PATIENCE},
    guide::{Part, Section, sections},
    root, shared_home,
};
use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Commands that need what a machine for tests does not have. `tests/tests/images.rs` compares what the two files make.
const ELSEWHERE: &str = "docker build ";

/// The document, and a folder in which its commands run.
pub(super) struct Guide {
    folder: TempDir,
    sections: Vec<Section>,
    replaced: Vec<(String, String)>,
    /// Lines that later commands need: every command has a shell of its own.
    exports: Vec<String>,
    followed: BTreeSet<String>,
    behind: Vec<Child>,
    port: u16,
}

impl Guide {
    pub(super) fn open() -> Self {
        let document = fs::read_to_string(root().join("docs/kubernetes.md")).expect("the document");
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(root().join("deploy"), folder.path().join("deploy")).expect("a link");
        let port = cluster::free_port();
        let mut guide = Self {
            folder,
            sections: sections(&document),
            replaced: Vec::new(),
            exports: Vec::new(),
            followed: BTreeSet::new(),
            behind: Vec::new(),
            port,
        };
        guide.replace("8090", &port.to_string());
        // A reader's cluster is not as busy as this machine.
        for short in ["--timeout=60s", "--timeout=120s", "--timeout=2m", "--timeout=5m"] {
            guide.replace(short, "--timeout=600s");
        }
        guide.replace("--for=condition=Complete computejob", "--for=condition=Complete --timeout=600s computejob");
        guide.replace("nc -w 3 ", "nc -w 20 ");
        guide
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The address of the service, once a command has opened it.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on, reads this where the document says that: what is a reader's own, such as the names of images.
    pub(super) fn replace(&mut self, that: &str, this: &str) {
        self.replaced.retain(|(known, _)| known != that);
        self.replaced.push((that.to_owned(), this.to_owned()));
    }

    fn filled(&self, text: &str) -> String {
        self.replaced.iter().fold(text.to_owned(), |text, (that, this)| text.replace(that, this))
    }

    /// Follows a section, and returns all that its commands printed. `before` is told of every part before it is filled in.
    pub(super) fn follow(&mut self, title: &str, mut before: impl FnMut(&mut Self, &str)) -> String {
        let position = self.sections.iter().position(|section| section.title == title);
        let position = position.unwrap_or_else(|| panic!("docs/kubernetes.md has no section {title:?}"));
        let parts = std::mem::take(&mut self.sections[position].parts);
        let mut printed = String::new();
        for part in &parts {
            match part {
                Part::Block { .. } => {
                    if let Some((name, text)) = part.file() {
                        before(self, text);
                        fs::write(self.folder().join(name), self.filled(text)).expect("written");
                    }
                }
                Part::Command(line) if line.starts_with(ELSEWHERE) => drop(self.followed.insert(line.clone())),
                Part::Command(line) => {
                    before(self, line);
                    printed.push_str(&self.run(&self.filled(line)));
                    self.followed.insert(line.clone());
                }
            }
        }
        self.sections[position].parts = parts;
        printed
    }

    /// The commands of the document that no section that was followed had.
    pub(super) fn left(&self) -> Vec<&str> {
        let parts = self.sections.iter().flat_map(|section| &section.parts);
        let commands = parts.filter_map(|part| match part {
            Part::Command(line) => Some(line.as_str()),
            Part::Block { .. } => None,
        });
        commands.filter(|line| !self.followed.contains(*line)).collect()
    }

    /// Runs a command, and returns what it printed to its standard output.
    pub(super) fn run(&mut self, line: &str) -> String {
        if line.starts_with("export ") {
            self.exports.push(line.to_owned());
        }
        if let Some(line) = line.strip_suffix(" &") {
            self.behind.push(self.shell(&format!("exec {line} >&2")).spawn().expect("bash"));
            return self.answers(line);
        }
        // A command of the document that waits says for how long; others end.
        let output = self.shell(line).stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("bash");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}\n{complaint}\n{printed}{}", look());
        printed
    }

    /// Waits until something listens at the port of the service.
    fn answers(&self, line: &str) -> String {
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(Instant::now() < end, "nothing listens after {line}");
            std::thread::sleep(Duration::from_millis(50));
        }
        String::new()
    }

    fn shell(&self, line: &str) -> Command {
        let kubectl = PathBuf::from(cluster::command(&[]).get_program());
        let programs = [kubectl, chart::helm(), cloister_testkit::program("cloister").expect("the program")];
        let folders = programs.iter().filter_map(|program| program.parent()).map(|folder| folder.display().to_string());
        let path = folders.filter(|folder| !folder.is_empty()).chain(std::env::var("PATH"));
        let script = format!("set -eu\n{}\n{line}\n", self.exports.join("\n"));
        let mut command = Command::new("bash");
        command.args(["-c", &script]).current_dir(self.folder()).stdin(Stdio::null());
        command.env("PATH", path.collect::<Vec<_>>().join(":")).env("HOME", self.folder());
        // Python is there already, and compiled.
        command.env("CLOISTER_SANDBOX_HOME", shared_home());
        command
    }
}

/// What the cluster looks like when a command failed.
fn look() -> String {
    let shown = |arguments: &[&str]| String::from_utf8_lossy(&cluster::run(arguments, b"").stdout).into_owned();
    let pods = shown(&["--namespace", chart::SYSTEM, "describe", "pods"]);
    let wanted = ["logs", "--tail=20", "--prefix", "-l", "app.kubernetes.io/name=cloister"];
    let logs = shown(&[&["--namespace", chart::SYSTEM], wanted.as_slice()].concat());
    let jobs = shown(&["--namespace", "cloister-jobs", "get", "events,pods", "-o", "wide"]);
    format!("\n{pods}\n{logs}\n{jobs}")
}

impl Drop for Guide {
    fn drop(&mut self) {
        for child in &mut self.behind {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
