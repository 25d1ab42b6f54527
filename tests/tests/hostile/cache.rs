//! Tampered machine code is never run.

use crate::runs::{Run as _, assert_outputs, shape};
use cloister_model::Outcome;
use cloister_tests::{Ended, Trial};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A separate home directory and its content.
struct Home {
    root: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { root: TempDir::new().expect("a directory") }
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("home")
    }

    fn artifacts(&self) -> PathBuf {
        self.path().join("artifacts")
    }

    fn run(&self, text: &str) -> Ended {
        Trial::wat(text).with(&["--home", self.path().to_str().expect("text")]).finish()
    }

    /// The files with this extension, sorted.
    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.artifacts())
            .expect("artifacts")
            .map(|entry| entry.expect("listed").path())
            .filter(|path| path.extension() == Some(extension.as_ref()))
            .collect();
        files.sort();
        files
    }
}

/// A program that exits with this code.
fn exits_with(code: u32) -> String {
    format!(
        "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
        (memory (export \"memory\") 1) (func (export \"_start\") (call $exit (i32.const {code}))))"
    )
}

/// The run had the expected result, and the artifact was compiled again or not.
#[track_caller]
fn assert_ran(ended: &Ended, exit_code: u32, is_new: bool) {
    assert_eq!(*ended.outcome(), Outcome::AlgorithmFailed { exit_code }, "{}", shape(ended));
    assert_eq!(ended.report().usage.compile_ms.is_some(), is_new, "compiled anew");
    assert_outputs(ended, &[]);
}

#[test]
fn a_changed_artifact_is_made_anew() {
    let (home, program) = (Home::new(), exits_with(11));
    assert_ran(&home.run(&program), 11, true);
    assert_ran(&home.run(&program), 11, false);
    let artifact = home.files("cwasm").remove(0);
    let good = fs::read(&artifact).expect("read");
    for place in [0, good.len() / 3, good.len() / 2, good.len() - 1] {
        let mut bad = fs::read(&artifact).expect("read");
        bad[place] ^= 1;
        fs::write(&artifact, bad).expect("written");
        assert_ran(&home.run(&program), 11, true);
        assert_ran(&home.run(&program), 11, false);
    }
    for bad in [&good[..good.len() / 2], b"", &[good.as_slice(), b"x"].concat()] {
        fs::write(&artifact, bad).expect("written");
        assert_ran(&home.run(&program), 11, true);
    }
    assert_eq!(home.files("cwasm").len(), 1);
}

#[test]
fn another_programs_artifact_is_not_taken() {
    let home = Home::new();
    let (mine, other) = (exits_with(21), exits_with(22));
    assert_ran(&home.run(&mine), 21, true);
    let (code, label) = (home.files("cwasm").remove(0), home.files("json").remove(0));
    assert_ran(&home.run(&other), 22, true);
    let other_code = home.files("cwasm").into_iter().find(|path| *path != code).expect("the other");
    let other_label = home.files("json").into_iter().find(|path| *path != label).expect("the other");
    // The code alone, then together with its label.
    fs::copy(&other_code, &code).expect("copied");
    assert_ran(&home.run(&mine), 21, true);
    fs::copy(&other_code, &code).expect("copied");
    fs::copy(&other_label, &label).expect("copied");
    assert_ran(&home.run(&mine), 21, true);
    assert_ran(&home.run(&other), 22, false);
}

#[test]
fn a_changed_label_makes_it_anew() {
    let (home, program) = (Home::new(), exits_with(31));
    assert_ran(&home.run(&program), 31, true);
    let label = home.files("json").remove(0);
    let good = fs::read_to_string(&label).expect("read");
    let kind = good.replace("preview1-command", "component");
    assert_ne!(kind, good);
    let bytes = good.replace("\"initialPages\":1", "\"initialPages\":0");
    assert_ne!(bytes, good);
    for bad in [kind.as_str(), &bytes, "{}", "", "not JSON", &"[".repeat(1_000_000)] {
        fs::write(&label, bad).expect("written");
        assert_ran(&home.run(&program), 31, true);
        assert_ran(&home.run(&program), 31, false);
    }
    fs::remove_file(&label).expect("removed");
    assert_ran(&home.run(&program), 31, true);
}

/// Many concurrent first runs, of the same and of different programs, agree on one key and do not disturb each other.
#[test]
fn first_runs_at_once() {
    for round in 0..3 {
        let home = Home::new();
        let ended: Vec<(u32, Ended)> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..12)
                .map(|number| {
                    let code = 70 + number % 4;
                    let home = &home;
                    (code, scope.spawn(move || home.run(&exits_with(code + 100 * round))))
                })
                .collect();
            runs.into_iter().map(|(code, run)| (code + 100 * round, run.join().expect("a run"))).collect()
        });
        for (code, ended) in ended {
            assert_eq!(*ended.outcome(), Outcome::AlgorithmFailed { exit_code: code }, "{}", shape(&ended));
        }
        for code in 70..74 {
            let ended = home.run(&exits_with(code + 100 * round));
            assert_eq!(*ended.outcome(), Outcome::AlgorithmFailed { exit_code: code + 100 * round });
        }
    }
}

/// With another key, existing artifacts are not trusted.
#[test]
fn artifacts_of_another_key_are_not_taken() {
    let (home, program) = (Home::new(), exits_with(41));
    assert_ran(&home.run(&program), 41, true);
    fs::write(home.path().join("artifact.key"), [7; 32]).expect("written");
    assert_ran(&home.run(&program), 41, true);
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
}

/// A home directory that other users can write to is refused.
#[test]
fn a_home_that_others_can_write_is_refused() {
    let home = Home::new();
    assert_ran(&home.run(&exits_with(51)), 51, true);
    for (path, mode) in
        [(home.path(), 0o770), (home.path(), 0o707), (home.artifacts(), 0o770), (home.artifacts(), 0o702)]
    {
        set_mode(&path, mode);
        let ended = home.run(&exits_with(51));
        assert_eq!((ended.code, ended.report.is_none()), (Some(2), true), "{}", ended.stderr);
        assert!(ended.stderr.contains("can be written by another user"), "{}", ended.stderr);
        set_mode(&path, 0o700);
    }
    // Not through a symbolic link either.
    let real = home.root.path().join("real");
    fs::rename(home.artifacts(), &real).expect("moved");
    std::os::unix::fs::symlink(&real, home.artifacts()).expect("linked");
    assert_eq!(home.run(&exits_with(51)).code, Some(2));
}

/// A changed algorithm gets another artifact.
#[test]
fn a_changed_algorithm_is_another_artifact() {
    let home = Home::new();
    assert_ran(&home.run(&exits_with(61)), 61, true);
    assert_ran(&home.run(&exits_with(62)), 62, true);
    assert_ran(&home.run(&exits_with(61)), 61, false);
    assert_eq!(home.files("cwasm").len(), 2);
}
