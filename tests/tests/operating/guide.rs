//! docs/operators.md, followed as it is written: its lines are commands, and its blocks are settings that the program reads.

use cloister_tests::{
    guide::{Part, sections},
    root,
    service::{cloister, wait_for},
};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// Commands that are not run here, and what looks at them instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("make build && export PATH=\"$PWD/target/release:$PATH\"", "a developer who runs tests has built"),
    ("cloister runtime add python", "tests/service/flows/python.rs: here it would compile for minutes"),
    ("cloister runtime add javascript", "tests/service/flows/javascript.rs"),
    ("make dist ARGS=\"--arch here\"", "packages.rs"),
    ("apt install ./target/dist/cloister_0.1.0_amd64.deb", "packages.rs unpacks it; installing changes this machine"),
    ("systemd-sysusers", "it changes the users of this machine"),
    ("systemctl enable --now cloister", "unit.rs"),
    ("journalctl -u cloister", "needs systemd"),
    (
        "journalctl -u cloister -o cat | grep 8aba434a0fb2c1d5e6f70123456789ab",
        "needs systemd; monitoring.rs looks at the lines",
    ),
];

/// What the document names, and where that is in the folder of the test.
const PLACES: &[&str] = &["/var/lib/", "/usr/local/bin/", "/etc/", "/backup/", "/srv/"];

struct Guide {
    folder: TempDir,
    behind: Vec<Child>,
}

impl Guide {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for place in ["var/lib", "usr/local/bin", "etc/systemd/system", "backup", "srv", "target"] {
            fs::create_dir_all(folder.path().join(place)).expect("made");
        }
        let link = |from: &Path, to: &str| std::os::unix::fs::symlink(from, folder.path().join(to)).expect("a link");
        link(&root().join("deploy"), "deploy");
        link(cloister().parent().expect("a folder"), "target/release");
        Self { folder, behind: Vec::new() }
    }

    /// A command as this machine can run it: as this user, below this folder.
    fn filled(&self, line: &str) -> String {
        let line = line.replace("runuser -u cloister -- ", "").replace("-o cloister -g cloister ", "");
        PLACES.iter().fold(line, |line, place| {
            let here = format!("{}{place}", self.folder.path().display());
            line.replace(&format!(" {place}"), &format!(" {here}"))
        })
    }

    fn shell(&self, line: &str) -> Command {
        let programs = cloister().parent().expect("a folder").display().to_string();
        let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command.args(["-c", &format!("set -eu\n{line}\n")]).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_clear().env("PATH", path).env("HOME", self.folder.path()).env("CLOISTER_LISTEN", "127.0.0.1:0");
        command
    }

    fn run(&mut self, line: &str) {
        let filled = self.filled(line);
        if line == "cloister serve" {
            let log = fs::File::create(self.folder.path().join("log")).expect("a file");
            self.behind.push(self.shell(&format!("exec {filled}")).stderr(log).spawn().expect("bash"));
            let address = self.folder.path().join("cloister-data/service.url");
            wait_for("the service", || address.exists().then_some(()));
            return;
        }
        let output = self.shell(&filled).output().expect("bash");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}\n{said}");
    }

    /// A service's folder as the first start leaves it, where the document has it.
    fn install(&mut self) {
        let home = self.folder.path().join("var/lib/cloister");
        self.behind.push(self.shell(&format!("exec cloister serve --home {}", home.display())).spawn().expect("bash"));
        wait_for("the service", || home.join("service.url").exists().then_some(()));
    }
}

impl Drop for Guide {
    fn drop(&mut self) {
        for child in &mut self.behind {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn every_command_for_operators_works() {
    let document = fs::read_to_string(root().join("docs/operators.md")).expect("the document");
    let mut guide = Guide::new();
    let mut left: BTreeSet<&str> = ELSEWHERE.iter().map(|(line, _)| *line).collect();
    let mut followed = 0;
    for section in sections(&document) {
        for part in &section.parts {
            let Part::Command(line) = part else { continue };
            if ELSEWHERE.iter().any(|(known, _)| known == line) {
                left.remove(line.as_str());
                if line.starts_with("systemctl enable") {
                    guide.install();
                }
                continue;
            }
            guide.run(line);
            followed += 1;
        }
    }
    assert!(left.is_empty(), "these are not in the document any more: {left:?}");
    assert!(followed > 12, "{followed}");
}

/// Documents that show settings, and how many blocks each has at least.
const SETTINGS: [(&str, usize); 2] = [("operators.md", 5), ("moving-from-ocean.md", 3)];

#[test]
fn every_setting_in_the_document_is_one() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, least) in SETTINGS {
        let document = fs::read_to_string(root().join("docs").join(name)).expect("the document");
        let mut read = 0;
        for section in sections(&document) {
            for part in &section.parts {
                let Part::Block { language, text } = part else { continue };
                match language.as_str() {
                    "toml" => {
                        let file = folder.path().join("cloister.toml");
                        fs::write(&file, text).expect("written");
                        let mut command = Command::new(cloister());
                        command.args(["serve", "--print-config", "--config"]).arg(&file).env_clear();
                        let output = command.output().expect("the program starts");
                        let said = String::from_utf8_lossy(&output.stderr);
                        assert!(output.status.success(), "{name}: {text}\n{said}");
                    }
                    "yaml" => drop(serde_saphyr::from_str::<serde_json::Value>(text).expect("YAML")),
                    other => panic!("{name}: a block that no test tries, in {:?}: {other}\n{text}", section.title),
                }
                read += 1;
            }
        }
        assert!(read >= least, "{name}: {read}");
    }
}
