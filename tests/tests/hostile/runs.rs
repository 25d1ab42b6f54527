//! Starting runs, watching them and checking their results.

use cloister_model::{Limit, Outcome, Rule, TrapKind};
use cloister_tests::{Ended, Trial};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::{
        ffi::OsStringExt as _,
        fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

/// The most time for a run, on a busy machine. Less than the standard limit on it, which is five minutes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// What a run may leave in addition to its outputs.
const OWN_FILES: [&str; 3] = ["outputs", "report.json", "log"];

/// Watched runs.
pub(crate) trait Run {
    /// Runs to the end, and checks what holds for every run: it ends, its output is safe for a terminal, and it changes
    /// only its outputs.
    fn finish(self) -> Ended;

    /// The same with a dataset, or other files, that must not change either.
    fn finish_beside(self, witnesses: &[&Path]) -> Ended;
}

impl Run for Trial {
    #[track_caller]
    fn finish(self) -> Ended {
        self.finish_beside(&[])
    }

    #[track_caller]
    fn finish_beside(mut self, witnesses: &[&Path]) -> Ended {
        let mut command = self.command();
        let here = self.directory.path().to_owned();
        fs::write(here.join("canary"), "must not change").expect("written");
        let see = || -> Vec<_> {
            let mut seen = vec![tree(&here)];
            seen[0].retain(|path, _| !OWN_FILES.iter().any(|own| path.starts_with(own)));
            seen.extend(witnesses.iter().map(|path| tree(path)));
            seen
        };
        let before = see();
        let files = ["said", "complained"].map(|name| tempfile::NamedTempFile::with_prefix(name).expect("a file"));
        let [stdout, stderr] = files.each_ref().map(|file| file.reopen().expect("a file"));
        let child = command.stdout(stdout).stderr(stderr).spawn().expect("the program starts");
        let code = wait(child, PATIENCE);
        let [stdout, stderr] = files.map(|file| fs::read(file.path()).expect("read"));
        assert_eq!(before, see(), "something beside the outputs changed");
        for said in [&stdout, &stderr] {
            assert_safe(said);
        }
        let ended = self.ended(code, &stdout, &stderr);
        if let Some(report) = &ended.report {
            let written: BTreeMap<_, _> = report.outputs.iter().map(|file| (file.path.clone(), file.bytes)).collect();
            let found = outputs(&ended).into_iter().map(|(path, content)| (path, content.len() as u64)).collect();
            assert_eq!(written, found, "the report lists the outputs");
            assert_complete(&ended);
        }
        ended
    }
}

/// Waits for a process. Kills it and fails if it takes too long.
#[track_caller]
pub(crate) fn wait(mut child: Child, patience: Duration) -> Option<i32> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().expect("waited") {
            return status.code();
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the program did not end within {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts a run and returns while it is running. Its output is not read.
///
/// Resets ignored signals: the tests may have inherited some from `nohup` or a shell's `&`, and would pass them on.
pub(crate) fn start(trial: &mut Trial) -> Child {
    let mut command = trial.command_through("env", &["--default-signal=HUP,INT,QUIT,TERM"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

/// Everything below a directory: type, mode, modification time and content, by path.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(root.join(&directory)).expect("listed") {
            let path = directory.join(entry.expect("listed").file_name());
            let full = root.join(&path);
            let metadata = fs::symlink_metadata(&full).expect("there");
            let kind = metadata.file_type();
            let content = if kind.is_file() {
                fs::read(&full).expect("read")
            } else if kind.is_symlink() {
                OsString::from(fs::read_link(&full).expect("a link")).into_vec()
            } else {
                Vec::new()
            };
            if kind.is_dir() {
                open.push(path.clone());
            }
            // A directory's modification time changes when outputs are created in it.
            let time = if kind.is_dir() || kind.is_socket() { 0 } else { metadata.mtime_nsec() };
            found.insert(path, (metadata.mode(), time, content));
        }
    }
    found
}

/// The outputs by path. Fails if they contain anything but files and directories.
#[track_caller]
pub(crate) fn outputs(ended: &Ended) -> BTreeMap<String, Vec<u8>> {
    let root = ended.directory.path().join("outputs");
    if !root.exists() {
        return BTreeMap::new();
    }
    let mut files = BTreeMap::new();
    for (path, (mode, _, content)) in tree(&root) {
        let path = path.into_os_string().into_string().expect("a name that is text");
        match mode & 0o170_000 {
            0o040_000 => {}
            0o100_000 => {
                assert_eq!(mode & 0o6000, 0, "{path} has a mode that gives rights");
                files.insert(path, content);
            }
            _ => panic!("{path} is neither file nor directory"),
        }
    }
    files
}

/// Asserts that the outputs are exactly these.
#[track_caller]
pub(crate) fn assert_outputs(ended: &Ended, expected: &[(&str, &[u8])]) {
    let found = outputs(ended);
    let found: Vec<(&str, &[u8])> = found.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
    assert_eq!(found, expected, "what is on the disk");
}

/// Asserts that text of our program contains no characters that affect a terminal.
#[track_caller]
pub(crate) fn assert_safe(said: &[u8]) {
    let text = std::str::from_utf8(said).expect("text");
    let bad = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if let Some(character) = text.chars().find(bad) {
        panic!("{character:?} reached the terminal: {text:?}");
    }
}

/// Asserts that every wall was enforced. If the kernel lacks one, the test fails, unless CLOISTER_ALLOW_MISSING_WALLS is
/// set.
#[track_caller]
pub(crate) fn assert_complete(ended: &Ended) {
    let Some(isolation) = &ended.report().isolation else {
        let never_started = match ended.outcome() {
            Outcome::Refused { .. } => true,
            Outcome::LimitExceeded { limit, .. } => {
                matches!(limit, Limit::CompileTime | Limit::CompileMemory | Limit::ArtifactSize | Limit::ModuleSize)
            }
            Outcome::Succeeded
            | Outcome::AlgorithmFailed { .. }
            | Outcome::Crashed { .. }
            | Outcome::HostFault { .. } => false,
        };
        assert!(never_started, "it ran, but reported no walls: {}", shape(ended));
        return;
    };
    let missing: Vec<_> = isolation.missing().collect();
    let is_known = std::env::var_os("CLOISTERDEV_ALLOW_MISSING_WALLS").is_some_and(|value| value == "1");
    assert!(missing.is_empty() || is_known, "walls are missing: {missing:?}");
}

/// Describes a run for messages.
pub(crate) fn shape(ended: &Ended) -> String {
    format!(
        "code {:?}, {:?}\n{}\n{}",
        ended.code,
        ended.report.as_ref().map(|r| &r.outcome),
        ended.stdout,
        ended.stderr
    )
}

/// Asserts that the run exceeded this limit and that the program said so.
#[track_caller]
pub(crate) fn assert_limit(ended: &Ended, expected: Limit) {
    let is_met = matches!(ended.outcome(), Outcome::LimitExceeded { limit, .. } if *limit == expected);
    assert!(is_met && ended.code == Some(3), "expected {expected:?}: {}", shape(ended));
}

/// Asserts that this trap ended the guest.
#[track_caller]
pub(crate) fn assert_crashed(ended: &Ended, expected: TrapKind) {
    let is_it = matches!(ended.outcome(), Outcome::Crashed { trap } if *trap == expected);
    assert!(is_it && ended.code == Some(1), "expected {expected:?}: {}", shape(ended));
}

/// Asserts that the program was refused for this reason and that no process was started for it.
#[track_caller]
pub(crate) fn assert_refused(ended: &Ended, expected: Rule) {
    let is_it = matches!(ended.outcome(), Outcome::Refused { refusals } if refusals.iter().any(|r| r.rule == expected));
    assert!(is_it && ended.code == Some(4), "expected {expected:?}: {}", shape(ended));
    assert!(ended.report().isolation.is_none(), "it was started");
    assert_outputs(ended, &[]);
}

/// A fixture of `tests/hostile`.
pub(crate) fn fixture(name: &str) -> Trial {
    Trial::wat_file(&format!("hostile/{name}.wat"))
}
