//! What was really started, not by the service's own word: the service is given a program that writes a line before it
//! becomes the sandbox.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Starts of sandboxes.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// The program that is given to the service.
    pub(crate) program: PathBuf,
    lines: PathBuf,
}

/// One start: in which folder, by which process, and whether a run had begun there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) folder: PathBuf,
    pub(crate) process: u32,
    pub(crate) claimed: bool,
}

impl Evidence {
    /// In a folder that outlives everything else.
    pub(crate) fn new(folder: &Path, sandbox: &Path) -> Self {
        let (program, lines) = (folder.join("sandbox"), folder.join("starts"));
        fs::write(&lines, "").expect("written");
        // One write of less than a page with O_APPEND: lines of several processes do not mix. What it becomes keeps its
        // number, its open files and its parent.
        let script = format!(
            "#!/bin/sh\n\
             if [ \"$1\" = run ]; then\n\
             \x20 if [ -e claim ]; then claimed=yes; else claimed=no; fi\n\
             \x20 echo \"$$ $claimed $(pwd -P)\" >>'{}'\n\
             fi\n\
             exec '{}' \"$@\"\n",
            lines.display(),
            sandbox.display()
        );
        fs::write(&program, script).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
        Self { program, lines }
    }

    pub(crate) fn starts(&self) -> Vec<Start> {
        let text = fs::read_to_string(&self.lines).expect("lines");
        let read = |line: &str| {
            let (process, rest) = line.split_once(' ')?;
            let (claimed, folder) = rest.split_once(' ')?;
            Some(Start { folder: folder.into(), process: process.parse().ok()?, claimed: claimed == "yes" })
        };
        text.lines().map(|line| read(line).unwrap_or_else(|| panic!("a broken line: {line:?}"))).collect()
    }

    /// Starts of algorithms, by job. Programs that check outputs run in folders below.
    pub(crate) fn runs(&self) -> BTreeMap<String, Vec<Start>> {
        let mut runs: BTreeMap<String, Vec<Start>> = BTreeMap::new();
        for start in self.starts() {
            if start.folder.parent().and_then(Path::file_name).is_some_and(|parent| parent == "jobs") {
                let job = start.folder.file_name().expect("a job").to_string_lossy().into_owned();
                runs.entry(job).or_default().push(start);
            }
        }
        runs
    }
}

/// Looks all the time which processes have claimed the run of a job: for a pass in which sandboxes are killed, too.
#[derive(Debug)]
pub(crate) struct Claims {
    seen: Arc<Mutex<BTreeSet<(String, u32)>>>,
    over: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Claims {
    pub(crate) fn watch(jobs: PathBuf) -> Self {
        let (seen, over) = (Arc::<Mutex<BTreeSet<_>>>::default(), Arc::<AtomicBool>::default());
        let (into, until) = (Arc::clone(&seen), Arc::clone(&over));
        let watcher = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                for entry in fs::read_dir(&jobs).into_iter().flatten().flatten() {
                    let Ok(text) = fs::read_to_string(entry.path().join("claim")) else { continue };
                    if let Some(process) = text.strip_suffix('\n').and_then(|text| text.parse().ok()) {
                        let job = entry.file_name().to_string_lossy().into_owned();
                        into.lock().expect("no panic").insert((job, process));
                    }
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self { seen, over, watcher: Some(watcher) }
    }

    /// How many processes have begun the run of each job.
    pub(crate) fn end(mut self) -> BTreeMap<String, usize> {
        self.over.store(true, Ordering::Relaxed);
        self.watcher.take().expect("a thread").join().expect("no panic");
        let mut counts = BTreeMap::new();
        for (job, _) in &*self.seen.lock().expect("no panic") {
            *counts.entry(job.clone()).or_default() += 1;
        }
        counts
    }
}
