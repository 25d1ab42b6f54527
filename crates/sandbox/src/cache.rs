//! Compiled artifacts, kept and authenticated.
//!
//! Machine code runs with the worker's rights, so nothing is loaded that this host did not make: every artifact carries
//! an HMAC-SHA256 over its key, what admission said, and its bytes. One that does not verify is removed and made anew.

use crate::{
    hash::feed,
    home::{Home, HomeError, open_regular},
};
use cloister_model::{Admission, Sha256};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Beyond this, the artifacts that were made first go. Python's is about 250 MB.
const MAX_BYTES: u64 = 8 * 1024 * 1024 * 1024;

/// The artifacts of one home.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    key: [u8; 32],
}

/// An artifact that this host made, with what admission said about its module.
#[derive(Debug)]
pub struct Artifact {
    /// What admission said.
    pub admission: Admission,
    /// The machine code.
    pub file: File,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The file beside an artifact.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    mac: Sha256,
    admission: Admission,
}

impl Cache {
    /// The artifacts of `home`.
    ///
    /// # Errors
    /// If the directory or its key cannot be had.
    pub fn open(home: &Home) -> Result<Self, HomeError> {
        Ok(Self { directory: home.artifacts()?, key: home.artifact_key()? })
    }

    fn paths(&self, name: Sha256) -> (PathBuf, PathBuf) {
        (self.directory.join(format!("{name}.cwasm")), self.directory.join(format!("{name}.json")))
    }

    /// The artifact of that name, if there is one and it is ours.
    #[must_use]
    pub fn find(&self, name: Sha256) -> Option<Artifact> {
        let (code, label) = self.paths(name);
        let file = open_regular(&code).ok()?;
        match self.authenticate(name, &file, &label) {
            Ok((admission, bytes)) => Some(Artifact { admission, file, bytes }),
            Err(error) => {
                tracing::warn!(%name, %error, "a cached artifact is not ours or is damaged; it is made anew");
                let _ = fs::remove_file(&label);
                let _ = fs::remove_file(&code);
                None
            }
        }
    }

    fn authenticate(&self, name: Sha256, file: &File, label: &Path) -> io::Result<(Admission, u64)> {
        let Label { mac, admission } = serde_json::from_slice(&fs::read(label)?)?;
        let (code, bytes) = self.mac(name, &admission, file)?;
        code.verify_slice(mac.as_bytes()).map_err(|_| io::Error::other("authentication failed"))?;
        Ok((admission, bytes))
    }

    fn mac(&self, name: Sha256, admission: &Admission, file: &File) -> io::Result<(Hmac<sha2::Sha256>, u64)> {
        let mut mac = Hmac::new_from_slice(&self.key).map_err(io::Error::other)?;
        let admission = serde_json::to_vec(admission)?;
        mac.update(name.as_bytes());
        mac.update(&(admission.len() as u64).to_le_bytes());
        mac.update(&admission);
        let bytes = feed(file, |chunk| mac.update(chunk))?;
        Ok((mac, bytes))
    }

    /// A file to compile into, in the same file system as the cache; it has no name yet that anybody looks for.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn draft(&self) -> io::Result<(PathBuf, File)> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let path = self.directory.join(format!("draft-{:016x}", u64::from_le_bytes(random)));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok((path, file))
    }

    /// Gives a finished draft its name.
    ///
    /// # Errors
    /// Those of the file system; the draft is gone then.
    pub fn keep(&self, name: Sha256, admission: Admission, draft: (PathBuf, File)) -> io::Result<Artifact> {
        let (path, file) = draft;
        let kept = self.keep_named(name, admission, &path, file);
        if kept.is_err() {
            let _ = fs::remove_file(&path);
        }
        kept
    }

    fn keep_named(&self, name: Sha256, admission: Admission, draft: &Path, file: File) -> io::Result<Artifact> {
        let (mac, bytes) = self.mac(name, &admission, &file)?;
        let label = Label { mac: Sha256::from_bytes(mac.finalize().into_bytes().into()), admission };
        let (code_path, label_path) = self.paths(name);
        let label_draft = draft.with_extension("json");
        let mut label_file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&label_draft)?;
        label_file.write_all(&serde_json::to_vec(&label)?)?;
        fs::rename(draft, code_path)?;
        fs::rename(label_draft, label_path)?;
        self.evict()?;
        Ok(Artifact { admission: label.admission, file, bytes })
    }

    /// Removes the artifacts that were made first until the rest fits, and drafts that nobody finished within a day.
    fn evict(&self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            // Gone meanwhile: another run gave its draft a name, or evicted too.
            let Ok(metadata) = entry.metadata() else { continue };
            let made = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let is_draft = entry.file_name().to_string_lossy().starts_with("draft-");
            if is_draft && made.elapsed().is_ok_and(|age| age.as_secs() > 24 * 60 * 60) {
                let _ = fs::remove_file(entry.path());
            } else if entry.path().extension().is_some_and(|extension| extension == "cwasm") {
                found.push((made, metadata.len(), entry.path()));
            }
        }
        found.sort();
        let mut total: u64 = found.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in found {
            if total <= MAX_BYTES {
                break;
            }
            let _ = fs::remove_file(path.with_extension("json"));
            let _ = fs::remove_file(path);
            total -= bytes;
        }
        Ok(())
    }
}
