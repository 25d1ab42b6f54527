//! The isolated side: a process that sets up its walls and then makes one attempt.

use crate::attempt::Walls;
use crate::{files, processes, spawning, syscalls};
use cloister_isolation::{
    Paths, Role, Status, close_rest, deny_new_code, ignore_file_size_signal, restrict_files, restrict_syscalls,
    take_fd, undumpable,
};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The environment of an attempt.
pub(crate) struct Scene {
    pub(crate) dataset: OwnedFd,
    pub(crate) outputs: OwnedFd,
    /// The folder that contains the dataset, the outputs and `outside`.
    pub(crate) root: PathBuf,
    /// The process id of the supervisor.
    pub(crate) supervisor: i32,
    /// The pipe for the report.
    pub(crate) report: File,
}

/// A named attempt. Its result is reported.
pub(crate) type Deed = (&'static str, fn(&Scene) -> io::Result<String>);

/// The first descriptor after those of the scene.
pub(crate) const MORE: i32 = 6;

pub(crate) fn run(args: &[String]) -> ExitCode {
    let [walls, what, root, supervisor] = args else { return ExitCode::from(100) };
    let deeds = [files::DEEDS, syscalls::DEEDS, processes::DEEDS, spawning::DEEDS].concat();
    let Some((_, deed)) = deeds.into_iter().find(|(name, _)| name == what) else { return ExitCode::from(101) };
    let Some((_, walls)) = Walls::ALL.into_iter().find(|(name, _)| name == walls) else { return ExitCode::from(102) };
    let mut report = File::from(take_fd(3).unwrap());
    let scene = Scene {
        dataset: take_fd(4).unwrap(),
        outputs: take_fd(5).unwrap(),
        root: root.into(),
        supervisor: supervisor.parse().unwrap(),
        report: report.try_clone().unwrap(),
    };
    let answer = match put_up(walls, &scene) {
        Err(missing) => format!("missing {missing}"),
        Ok(()) => match deed(&scene) {
            Ok(text) => format!("ok {text}"),
            Err(error) => format!("error {}", error.raw_os_error().unwrap_or(0)),
        },
    };
    match report.write_all(answer.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(103),
    }
}

/// In the order in which a real worker does it.
fn put_up(walls: Walls, scene: &Scene) -> Result<(), String> {
    ignore_file_size_signal();
    let both = [scene.dataset.as_fd()];
    let write = Some(scene.outputs.as_fd());
    match walls {
        Walls::None => Ok(()),
        Walls::Files => enforced(restrict_files(Paths { read: &both, write })),
        Walls::OneFile => {
            let file = crate::attempt::open(&scene.path("dataset/file"), OFlags::PATH);
            enforced(restrict_files(Paths { read: &[file.as_fd()], write }))
        }
        Walls::Worker => {
            enforced(close_rest())?;
            undumpable().map_err(|error| error.to_string())?;
            enforced(restrict_files(Paths { read: &both, write }))?;
            enforced(deny_new_code())?;
            enforced(restrict_syscalls(Role::Worker))
        }
        Walls::Compiler => {
            enforced(restrict_files(Paths::default()))?;
            enforced(deny_new_code())?;
            enforced(restrict_syscalls(Role::Compiler))
        }
    }
}

fn enforced(status: Status) -> Result<(), String> {
    match status {
        Status::Enforced(_) => Ok(()),
        missing => Err(missing.to_string()),
    }
}

impl Scene {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

/// Opens a file as the sandbox does: beneath an inherited directory.
pub(crate) fn open_beneath(dir: &OwnedFd, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mode = if flags.contains(OFlags::CREATE) { Mode::from(0o600) } else { Mode::empty() };
    Ok(rustix::fs::openat2(dir, name, flags | OFlags::CLOEXEC, mode, inside)?)
}

/// Opens a file as only a hostile process would: by any path.
pub(crate) fn open_anywhere(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let anywhere = ResolveFlags::empty();
    Ok(rustix::fs::openat2(rustix::fs::CWD, path, flags | OFlags::CLOEXEC, Mode::empty(), anywhere)?)
}
