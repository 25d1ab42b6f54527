//! The cache of compiled artifacts.
//!
//! Machine code runs with the worker's rights, so the host loads only code that it compiled itself. Every artifact
//! carries a keyed BLAKE3 code over its cache key, the admission report and its bytes. An artifact that fails verification is
//! removed and compiled again. [`AuthenticatedCode`] is the proof of this check: only this module can create one, and
//! [`Program::load`](crate::artifact::Program::load) accepts nothing else.

#![expect(
    clippy::disallowed_methods,
    reason = "the cache keeps its files in the home directory, which belongs to the user alone"
)]

use crate::{
    hash::{Blake3, blake3},
    home::{Home, HomeError},
    host_file::open_regular,
    mac::MacKey,
    worker::spec::Descriptor,
};
use cloister_isolation::Handed;
use cloister_model::{Admission, Sha256};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The size of the cache in bytes. Above it, the oldest artifacts are evicted. Python's artifact is about 250 MB.
const MAX_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// The artifact cache of one home directory.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    key: MacKey,
}

/// An artifact compiled by this host, with the admission report of its module.
#[derive(Debug)]
pub struct Artifact {
    /// The admission report of the module.
    pub admission: Admission,
    /// The machine code.
    pub code: AuthenticatedCode,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Machine code that this host compiled and whose MAC was verified, or that the operator vouches for by its digest.
///
/// Loading other bytes would run them as machine code with the rights of this process, so no code outside this module
/// can create a value of this type:
///
/// ```compile_fail
/// let file = std::fs::File::open("untrusted.cwasm").unwrap();
/// let code = cloister_sandbox::cache::AuthenticatedCode(file);
/// ```
///
/// [`Program::load`](crate::artifact::Program::load) takes it, and takes no plain file:
///
/// ```
/// use cloister_sandbox::{artifact::Program, cache::AuthenticatedCode};
/// type Load<Code> = fn(&wasmtime::Engine, Code, bool) -> wasmtime::Result<Program>;
/// let load: Load<AuthenticatedCode> = Program::load;
/// ```
///
/// ```compile_fail
/// use cloister_sandbox::{artifact::Program, cache::AuthenticatedCode};
/// type Load<Code> = fn(&wasmtime::Engine, Code, bool) -> wasmtime::Result<Program>;
/// let load: Load<std::fs::File> = Program::load;
/// ```
#[derive(Debug)]
pub struct AuthenticatedCode(File);

impl AuthenticatedCode {
    /// The code that the supervisor handed to this worker process.
    ///
    /// The supervisor verified the MAC; the key never enters the worker. Nothing inside this process can supply other
    /// code: the function takes no file, and the descriptor must be one that the process was handed by the one that started it
    /// (see [`cloister_isolation::Handed`]). The program that starts a process controls its code anyway.
    ///
    /// # Errors
    /// If the process was not given the descriptor.
    pub(crate) fn handed(handed: &mut Handed) -> io::Result<Self> {
        handed.take(Descriptor::Artifact as usize).map(|fd| Self(fd.into()))
    }

    /// The code in a file, if it has the digest that the operator trusts. Returns also the digest and the length that it has.
    ///
    /// The caller ensures that the file does not change afterwards.
    ///
    /// # Errors
    /// If reading fails.
    pub(crate) fn trusted(file: File, expected: Blake3) -> io::Result<(Option<Self>, Blake3, u64)> {
        let (found, bytes) = blake3(&file)?;
        Ok(((found == expected).then_some(Self(file)), found, bytes))
    }

    /// The descriptor to hand to a worker process.
    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0.into()
    }

    /// The file to load.
    pub(crate) fn into_file(self) -> File {
        self.0
    }
}

/// The file beside an artifact.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    mac: Blake3,
    admission: Admission,
}

impl Cache {
    /// Opens the cache in `home`.
    ///
    /// # Errors
    /// If the directory or the key can be neither read nor created.
    pub fn open(home: &Home) -> Result<Self, HomeError> {
        Ok(Self { directory: home.artifacts()?, key: MacKey::of(home)? })
    }

    fn paths(&self, name: Sha256) -> (PathBuf, PathBuf) {
        (self.directory.join(format!("{name}.cwasm")), self.directory.join(format!("{name}.json")))
    }

    /// The artifact of that name, if there is one and its MAC is valid.
    #[must_use]
    pub fn find(&self, name: Sha256) -> Option<Artifact> {
        let (code, label) = self.paths(name);
        let file = open_regular(&code).ok()?;
        match self.authenticate(name, &file, &label) {
            Ok((admission, bytes)) => Some(Artifact { admission, code: AuthenticatedCode(file), bytes }),
            Err(error) => {
                tracing::warn!(%name, %error, "a cached artifact fails verification; it is removed and compiled again");
                let _ = fs::remove_file(&label);
                let _ = fs::remove_file(&code);
                None
            }
        }
    }

    fn authenticate(&self, name: Sha256, file: &File, label: &Path) -> io::Result<(Admission, u64)> {
        let Label { mac, admission } = serde_json::from_slice(&fs::read(label)?)?;
        let (found, bytes) = self.mac(name, &admission, file)?;
        if found == mac { Ok((admission, bytes)) } else { Err(io::Error::other("authentication failed")) }
    }

    /// The file of an artifact, to be copied and verified afterwards.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn open_unverified(&self, name: Sha256) -> io::Result<File> {
        open_regular(&self.paths(name).0)
    }

    /// Verifies a copy of an artifact. Returns the admission report of its module.
    ///
    /// # Errors
    /// If its MAC is not valid.
    pub(crate) fn verify(&self, name: Sha256, copy: &File) -> io::Result<Admission> {
        Ok(self.authenticate(name, copy, &self.paths(name).1)?.0)
    }

    /// A code by which a later run knows that this home's key vouches for memory files, which the parts name. They must be sealed
    /// copies that were verified.
    pub(crate) fn vouch(&self, about: &[Vec<u8>]) -> Blake3 {
        let mut parts: Vec<&[u8]> = vec![b"kept interpreter"];
        parts.extend(about.iter().map(Vec::as_slice));
        self.key.code(&parts)
    }

    /// The machine code in a sealed memory file, if [`Self::vouch`] gave this code for it.
    pub(crate) fn vouched(
        &self,
        about: &[Vec<u8>],
        code: Blake3,
        file: File,
        admission: Admission,
    ) -> Option<Artifact> {
        let bytes = file.metadata().ok()?.len();
        let is_vouched = self.vouch(about) == code && cloister_isolation::is_sealed(&file);
        is_vouched.then(|| Artifact { admission, code: AuthenticatedCode(file), bytes })
    }

    fn mac(&self, name: Sha256, admission: &Admission, file: &File) -> io::Result<(Blake3, u64)> {
        self.key.mac(&[b"artifact", name.as_bytes(), &serde_json::to_vec(admission)?], file)
    }

    /// Creates a file to compile into, in the directory of the cache, under a name that [`Self::find`] never reads.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn draft(&self) -> io::Result<(PathBuf, File)> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let path = self.directory.join(format!("draft-{:016x}", u64::from_le_bytes(random)));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok((path, file))
    }

    /// Authenticates a finished draft and stores it under `name`.
    ///
    /// The draft must have been written by the compiler process, or have the digest that the operator trusts: its content becomes trusted
    /// code here.
    ///
    /// # Errors
    /// Those of the file system. The draft is removed then.
    pub(crate) fn keep(&self, name: Sha256, admission: Admission, draft: (PathBuf, File)) -> io::Result<Artifact> {
        let (path, file) = draft;
        let kept = self.keep_named(name, admission, &path, file);
        if kept.is_err() {
            let _ = fs::remove_file(&path);
        }
        kept
    }

    /// Stores a copy of machine code under `name`, if the copy has the digest that the operator trusts. Returns the digest that it has
    /// otherwise.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn keep_trusted(
        &self,
        name: Sha256,
        admission: Admission,
        code: &File,
        trusted: Blake3,
    ) -> io::Result<Result<(), Blake3>> {
        let draft = self.draft()?;
        let mut source = code;
        let copied = io::copy(&mut source, &mut &draft.1)
            .and_then(|_| AuthenticatedCode::trusted(draft.1.try_clone()?, trusted));
        match copied {
            Ok((Some(_), ..)) => self.keep(name, admission, draft).map(|_| Ok(())),
            Ok((None, found, _)) => Self::discard(draft).map(|()| Err(found)),
            Err(error) => {
                Self::discard(draft)?;
                Err(error)
            }
        }
    }

    /// Removes a draft.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn discard(draft: (PathBuf, File)) -> io::Result<()> {
        fs::remove_file(draft.0)
    }

    /// A finished draft as code that is run once and not kept.
    ///
    /// As with [`Self::keep`], the draft must have been written by the compiler process.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn use_once(draft: (PathBuf, File)) -> io::Result<AuthenticatedCode> {
        fs::remove_file(draft.0)?;
        Ok(AuthenticatedCode(draft.1))
    }

    fn keep_named(&self, name: Sha256, admission: Admission, draft: &Path, file: File) -> io::Result<Artifact> {
        let (mac, bytes) = self.mac(name, &admission, &file)?;
        let label = Label { mac, admission };
        let (code_path, label_path) = self.paths(name);
        let label_draft = draft.with_extension("json");
        let mut label_file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&label_draft)?;
        label_file.write_all(&serde_json::to_vec(&label)?)?;
        // The label first: a run that finds code without a label takes it for damaged, and removes it.
        fs::rename(label_draft, label_path)?;
        fs::rename(draft, code_path)?;
        self.evict()?;
        Ok(Artifact { admission: label.admission, code: AuthenticatedCode(file), bytes })
    }

    /// Removes the oldest artifacts until the rest fits. Also removes drafts, and labels without code, that are more than a day old: a
    /// process was killed while it stored or removed an artifact.
    fn evict(&self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            // Another run renamed its draft or evicted artifacts at the same time.
            let Ok(metadata) = entry.metadata() else { continue };
            let made = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let path = entry.path();
            let is = |kind: &str| path.extension().is_some_and(|extension| extension == kind);
            let is_draft = entry.file_name().to_string_lossy().starts_with("draft-");
            let is_left = is_draft || (is("json") && !path.with_extension("cwasm").exists());
            if is_left && made.elapsed().is_ok_and(|age| age.as_secs() > 24 * 60 * 60) {
                let _ = fs::remove_file(&path);
            } else if is("cwasm") {
                found.push((made, metadata.len(), path));
            }
        }
        found.sort();
        let mut total: u64 = found.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in found {
            if total <= MAX_BYTES {
                break;
            }
            let _ = fs::remove_file(&path);
            let _ = fs::remove_file(path.with_extension("json"));
            total -= bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicU8, Ordering::Relaxed},
        thread,
        time::Duration,
    };

    /// Another process looks for it, because it is to run the same module.
    #[test]
    fn an_artifact_that_is_looked_for_while_it_is_kept_stays() {
        const ROUNDS: u8 = 200;
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::find(Some(&directory.path().join("home")), |_| None).expect("a home");
        let cache = Cache::open(&home).expect("a cache");
        let keep = |round: u8| {
            let draft = cache.draft()?;
            io::Write::write_all(&mut &draft.1, b"code")?;
            let admission = serde_json::from_value(serde_json::json!({
                "kind": null, "bytes": 0, "imports": [], "exports": [], "memories": [], "tableElements": 0, "functions": 0,
                "codeBytes": 0, "toolchain": [], "verdict": { "verdict": "admitted" },
            }))?;
            cache.keep(Sha256::from_bytes([round; 32]), admission, draft)
        };
        let round = AtomicU8::new(0);
        let kept: Vec<_> = thread::scope(|scope| {
            scope.spawn(|| {
                while round.load(Relaxed) < ROUNDS {
                    drop(cache.find(Sha256::from_bytes([round.load(Relaxed); 32])));
                }
            });
            let kept = (0..ROUNDS).map(|number| {
                round.store(number, Relaxed);
                keep(number).is_ok() && cache.find(Sha256::from_bytes([number; 32])).is_some()
            });
            let kept = kept.collect();
            round.store(ROUNDS, Relaxed);
            kept
        });
        assert!(kept.iter().all(|kept| *kept), "{kept:?}");
    }

    #[test]
    fn a_label_without_code_goes_after_a_day() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::find(Some(&directory.path().join("home")), |_| None).expect("a home");
        let cache = Cache::open(&home).expect("a cache");
        let [old, new] = [1, 2].map(|byte| cache.paths(Sha256::from_bytes([byte; 32])).1);
        for (path, hours) in [(&old, 25), (&new, 1)] {
            let label = File::create(path).expect("a label");
            label.set_modified(SystemTime::now() - Duration::from_secs(hours * 60 * 60)).expect("a time");
        }
        cache.evict().expect("evicted");
        assert!(!old.exists() && new.exists());
    }
}
