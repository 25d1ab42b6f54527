//! Interpreters that stay in memory between runs, each held by a process of its own: `sandbox runtime keep`.
//!
//! A run verifies the machine code that it loads, which for Python takes longer than everything else together. The keeper verifies it
//! once. It takes memory, so there is a bound for all of them together, and a keeper that no run needs ends after [`IDLE`].

use cloister_model::{InterpreterId, Profile};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// How long an interpreter that no run needs stays in memory.
const IDLE: Duration = Duration::from_secs(10 * 60);
/// How long a keeper may take to read and verify an interpreter.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which machine code: an interpreter has other code for each profile.
type Key = (InterpreterId, Profile);

/// The keepers of a service.
#[derive(Debug)]
pub(crate) struct Keepers {
    /// The most memory of all of them, in bytes. With 0, nothing is kept.
    most_bytes: u64,
    slots: Mutex<BTreeMap<Key, Slot>>,
}

#[derive(Debug)]
enum Slot {
    Starting,
    Ready(Box<Keeper>),
}

/// A process that holds an interpreter. It ends when this value is dropped.
#[derive(Debug)]
struct Keeper {
    /// What the option `--kept` of a run takes.
    path: PathBuf,
    bytes: u64,
    process: Child,
    /// What it was started from: what is installed by now may be another.
    from: Version,
    used: Instant,
}

/// The program and the installed interpreter. Both are replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version([(u64, u64, SystemTime); 2]);

impl Version {
    fn read(program: &Path, home: &Path, interpreter: &InterpreterId) -> io::Result<Self> {
        let of = |path: &Path| {
            let metadata = fs::metadata(path)?;
            Ok::<_, io::Error>((metadata.dev(), metadata.ino(), metadata.modified()?))
        };
        Ok(Self([of(program)?, of(&home.join("runtimes").join(interpreter.as_str()))?]))
    }
}

impl Keepers {
    pub(crate) fn new(most_bytes: u64) -> Arc<Self> {
        Arc::new(Self { most_bytes, slots: Mutex::default() })
    }

    /// The path under which a run finds an interpreter in memory, if it is there already. If not, a keeper is started for later runs.
    /// Does not wait.
    pub(crate) fn path(
        self: &Arc<Self>,
        program: &Path,
        home: &Path,
        interpreter: &InterpreterId,
        profile: Profile,
    ) -> Option<PathBuf> {
        if self.most_bytes == 0 {
            return None;
        }
        let key = (interpreter.clone(), profile);
        let version = Version::read(program, home, interpreter).ok()?;
        let mut slots = self.slots();
        match slots.get_mut(&key) {
            None => {}
            Some(Slot::Starting) => return None,
            Some(Slot::Ready(keeper)) => {
                let lives = matches!(keeper.process.try_wait(), Ok(None));
                if lives && keeper.from == version {
                    keeper.used = Instant::now();
                    return Some(keeper.path.clone());
                }
            }
        }
        slots.remove(&key);
        let taken = slots.values().map(Slot::bytes).fold(0, u64::saturating_add);
        let room = self.most_bytes.saturating_sub(taken);
        slots.insert(key.clone(), Slot::Starting);
        drop(slots);
        let (program, home, keepers) = (program.to_owned(), home.to_owned(), Arc::downgrade(self));
        tokio::spawn(async move {
            let started = tokio::time::timeout(PATIENCE, Keeper::start(&program, &home, &key, room, version)).await;
            let Some(keepers) = keepers.upgrade() else { return };
            let Ok(Ok(keeper)) = started else {
                // Not compiled yet, or too large: the run does without it, and the next one asks again.
                keepers.slots().remove(&key);
                return;
            };
            keepers.slots().insert(key.clone(), Slot::Ready(Box::new(keeper)));
            let mut rest = Some(IDLE);
            let weak = Arc::downgrade(&keepers);
            drop(keepers);
            while let Some(wait) = rest {
                tokio::time::sleep(wait).await;
                let Some(keepers) = weak.upgrade() else { return };
                rest = keepers.end_if_idle(&key);
            }
        });
        None
    }

    /// Ends a keeper that was not used for [`IDLE`]. Returns how long it may stay at least if it was.
    fn end_if_idle(&self, key: &Key) -> Option<Duration> {
        let mut slots = self.slots();
        let Some(Slot::Ready(keeper)) = slots.get(key) else { return None };
        let rest = IDLE.saturating_sub(keeper.used.elapsed());
        if rest.is_zero() {
            slots.remove(key);
            return None;
        }
        Some(rest)
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<Key, Slot>> {
        // Nothing panics while it is locked, and each change is one call.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn bytes(&self) -> u64 {
        match self {
            // What it will take is not known, so no other one starts meanwhile with the same room.
            Self::Starting => u64::MAX,
            Self::Ready(keeper) => keeper.bytes,
        }
    }
}

impl Keeper {
    async fn start(
        program: &Path,
        home: &Path,
        (interpreter, profile): &Key,
        room: u64,
        from: Version,
    ) -> io::Result<Self> {
        let mut process = Command::new(program)
            .args(["runtime", "keep", interpreter.as_str(), "--profile", profile.as_str()])
            .args(["--most-bytes", &room.to_string(), "--home"])
            .arg(home)
            .env_clear()
            .process_group(0)
            .kill_on_drop(true)
            // It ends when this end of the pipe is closed, also if this process is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let nothing = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let mut lines = BufReader::new(process.stdout.take().ok_or_else(nothing)?).lines();
        let path = lines.next_line().await?.ok_or_else(nothing)?.into();
        let bytes = lines.next_line().await?.and_then(|line| line.parse().ok()).ok_or_else(nothing)?;
        Ok(Self { path, bytes, process, from, used: Instant::now() })
    }
}
