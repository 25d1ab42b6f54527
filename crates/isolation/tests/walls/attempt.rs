//! The supervisor's side: starts an isolated process, lets it attempt something, and reads the result.

use crate::WallMissing;
use cloister_isolation::{Cause, Child, Exit, Program, Rlimits};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use tempfile::TempDir;

/// The first argument of a process that makes an attempt.
pub(crate) const BEHIND: &str = "behind";

/// Much longer than any attempt takes, so that an attempt that hangs does not hang the tests.
const PATIENCE: Timespec = Timespec { tv_sec: 120, tv_nsec: 0 };

/// The walls that a process sets up before the attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Walls {
    /// Only those of `spawn`.
    None,
    /// Landlock, with a dataset and outputs.
    Files,
    /// Landlock, with one file of the dataset and outputs.
    OneFile,
    /// All walls of a worker.
    Worker,
    /// All walls of a compiler.
    Compiler,
}

impl Walls {
    pub(crate) const ALL: [(&str, Self); 5] = [
        ("none", Self::None),
        ("files", Self::Files),
        ("one-file", Self::OneFile),
        ("worker", Self::Worker),
        ("compiler", Self::Compiler),
    ];

    fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, walls)| *walls as u8 == self as u8).map_or("", |(name, _)| name)
    }
}

/// The result of an attempt.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What it reported: a text or an errno. `None` if it ended before reporting.
    pub(crate) answer: Option<Result<String, i32>>,
    pub(crate) exit: Exit,
}

impl Outcome {
    #[track_caller]
    pub(crate) fn text(self) -> String {
        match self.answer {
            Some(Ok(text)) => text,
            _ => panic!("expected it to work: {self:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn refused(self, errno: i32) {
        assert_eq!(self.answer, Some(Err(errno)), "{:?}", self.exit);
    }

    #[track_caller]
    pub(crate) fn killed(self, signal: i32) {
        assert_eq!(self.exit.cause, Cause::Signaled(signal), "{:?}", self.answer);
        assert_eq!(self.answer, None);
    }
}

/// A dataset, an outputs folder and a file outside of both, for one attempt.
pub(crate) struct Scene {
    pub(crate) root: TempDir,
    pub(crate) rlimits: Rlimits,
    /// Descriptors to pass after the usual ones.
    pub(crate) more: Vec<OwnedFd>,
}

impl Scene {
    /// `dataset/{file,other,link}`, `outputs/{old,folder/}`, `outside`. The link leads outside.
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let path = |name| root.path().join(name);
        for folder in ["dataset", "outputs", "outputs/folder"] {
            std::fs::create_dir(path(folder)).unwrap();
        }
        for file in ["dataset/file", "dataset/other", "outputs/old", "outside"] {
            std::fs::write(path(file), file).unwrap();
        }
        std::os::unix::fs::symlink(path("outside"), path("dataset/link")).unwrap();
        Self { root, rlimits: Rlimits::default(), more: Vec::new() }
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.root.path().join(name)).unwrap()
    }

    /// Starts a process that attempts `what`. Its report is read from the pipe.
    pub(crate) fn start(&mut self, walls: Walls, what: &str) -> (Child, File) {
        let (answer, report) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let directory = |name| open(&self.root.path().join(name), OFlags::PATH | OFlags::DIRECTORY);
        let root = self.root.path().to_str().unwrap();
        let mut program = Program::new([BEHIND, walls.name(), what, root, &std::process::id().to_string()]);
        program.fds = vec![report, directory("dataset"), directory("outputs")];
        program.fds.append(&mut self.more);
        program.rlimits = self.rlimits;
        (program.spawn().unwrap(), answer.into())
    }

    /// Starts a process that attempts `what`, and waits for it.
    #[track_caller]
    pub(crate) fn attempt(&mut self, walls: Walls, what: &str) -> Outcome {
        let (child, answer) = self.start(walls, what);
        finish(child, answer)
    }
}

/// One attempt in a new scene.
#[track_caller]
pub(crate) fn attempt(walls: Walls, what: &str) -> Outcome {
    Scene::new().attempt(walls, what)
}

#[track_caller]
pub(crate) fn finish(child: Child, mut answer: File) -> Outcome {
    let in_time = poll(&mut [PollFd::new(&child.pidfd(), PollFlags::IN)], Some(&PATIENCE)).unwrap();
    child.kill().unwrap();
    let exit = child.wait().unwrap();
    assert_eq!(in_time, 1, "it hung");
    let mut text = String::new();
    answer.read_to_string(&mut text).unwrap();
    Outcome { answer: parse(&text), exit }
}

/// Parses what `behind` writes.
pub(crate) fn parse(text: &str) -> Option<Result<String, i32>> {
    let (kind, rest) = text.split_once(' ')?;
    match kind {
        "ok" => Some(Ok(rest.to_owned())),
        "error" => Some(Err(rest.parse().unwrap())),
        _ if std::env::var_os("CLOISTERDEV_ALLOW_MISSING_WALLS").is_some_and(|value| value == "1") => {
            eprintln!("!!! WALL MISSING, and allowed to be by CLOISTERDEV_ALLOW_MISSING_WALLS: {rest}");
            std::panic::resume_unwind(Box::new(WallMissing))
        }
        _ => panic!("this kernel lacks a wall: {rest} (CLOISTERDEV_ALLOW_MISSING_WALLS=1 accepts that)"),
    }
}

pub(crate) fn open(path: &Path, flags: OFlags) -> OwnedFd {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).unwrap()
}
