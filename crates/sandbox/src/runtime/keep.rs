//! Interpreters that a process keeps in memory: machine code and files in sealed memory files, verified once, for any number of runs.
//!
//! A run verifies what it loads, and an interpreter's machine code has hundreds of megabytes. A file in the home can be changed by
//! its owner between two runs, so every run digests it again. A sealed memory file cannot be changed by any process. The keeper copies
//! into one, seals it, and then verifies what is in it. A label beside it says which interpreter it is; its code, made with the key of
//! the home, names the memory files by their inodes, so that a label vouches for no others.
//!
//! The memory is free once the keeper and all runs that use it have ended.

use super::{Runtime, manifest::file_name};
use crate::{
    cache::{Artifact, Cache},
    compiler::{artifact_name, fits, sealed},
    engine::EngineSettings,
    hash::Blake3,
    home::Home,
    host_file::{open_regular, read_bounded},
};
use anyhow::{Context as _, Result, ensure};
use cloister_isolation::{create_memfd, is_sealed, seal_memfd};
use cloister_model::{Admission, Limits, Profile};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd, RawFd},
        unix::fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

/// The most bytes of a label.
const MAX_LABEL_BYTES: u64 = 4 * 1024 * 1024;
/// The most files of an interpreter, its machine code included.
const MAX_FILES: usize = 64;

/// What a keeper says about the memory files.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    code: Blake3,
    admission: Admission,
    /// The keeper's descriptors: the machine code, then the files of the manifest, in its order.
    files: Vec<RawFd>,
}

/// An interpreter in the memory of this process.
#[derive(Debug)]
pub struct Kept {
    label: OwnedFd,
    /// Open, so that others find them under the numbers in the label.
    _files: Vec<File>,
    bytes: u64,
}

impl Kept {
    /// The path under which runs find it, as long as this process holds it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.label.as_raw_fd()).into()
    }

    /// How much memory it takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Copies an installed interpreter and its compiled code into sealed memory files of at most `most_bytes` together, and verifies
/// them. Compiles nothing.
///
/// # Errors
/// If it is not installed, has no compiled code for this profile, is damaged or larger than that.
pub fn keep(home: &Home, name: &str, profile: Profile, most_bytes: u64) -> Result<Kept> {
    let runtime = Runtime::find(home, name)?;
    let settings = EngineSettings { profile, exceptions: true, fuel: false };
    let cache = Cache::open(home)?;
    let artifact = artifact_name(runtime.module_sha256(), settings, &runtime.role())?;
    let code = cache.open_unverified(artifact).with_context(|| {
        format!("`{name}` has no compiled code for the {profile} profile: `sandbox compile --runtime {name}` makes it")
    })?;
    let mut originals = vec![code];
    for number in 0..runtime.manifest.files.len() {
        originals.push(open_regular(&runtime.directory.join(file_name(number)))?);
    }
    ensure!(originals.len() <= MAX_FILES, "`{name}` has more than {MAX_FILES} files");
    let mut bytes: u64 = 0;
    for file in &originals {
        bytes = bytes.saturating_add(file.metadata()?.len());
    }
    ensure!(bytes <= most_bytes, "`{name}` takes {bytes} bytes of memory, and {most_bytes} are allowed");
    let files: Vec<File> = originals.iter().map(sealed_copy).collect::<io::Result<_>>()?;
    let mut rest = files.iter();
    let code = rest.next().context("no machine code")?;
    let admission = cache.verify(artifact, code).context("its compiled code fails verification")?;
    for (number, (file, expected)) in rest.zip(&runtime.manifest.files).enumerate() {
        ensure!(runtime.is_verified(number, expected.sha256, file)?, "file {number} of `{name}` has changed");
    }
    let code = cache.vouch(&about(artifact, &runtime, &admission, &files)?);
    let label = Label { code, admission, files: files.iter().map(File::as_raw_fd).collect() };
    let label = sealed("kept interpreter", &serde_json::to_vec(&label)?)?;
    Ok(Kept { label, _files: files, bytes })
}

/// The memory files of an interpreter, in a run.
pub(crate) struct Offered {
    label: Label,
    files: Vec<File>,
}

impl Offered {
    /// Opens what a keeper offers under the path of its label. Nothing of it is trusted yet.
    ///
    /// # Errors
    /// If the keeper has ended, or something is not a sealed memory file.
    pub(crate) fn open(label: &Path) -> io::Result<Self> {
        let open = |path: &Path| {
            // Opened anew, and not inherited: two runs that read one file must not share its position.
            let file = open_regular(path)?;
            if is_sealed(&file) { Ok(file) } else { Err(io::Error::other("not a sealed memory file")) }
        };
        let text = read_bounded(&mut open(label)?, MAX_LABEL_BYTES)?;
        let offered: Label = serde_json::from_slice(&text)?;
        if offered.files.len() > MAX_FILES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let files = offered.files.iter().map(|number| open(&label.with_file_name(number.to_string())));
        Ok(Self { files: files.collect::<io::Result<_>>()?, label: offered })
    }

    /// The machine code, if a keeper with the key of this home verified exactly these files to be the interpreter's, and the limits
    /// admit it. From then on, the runtime opens its files there.
    ///
    /// # Errors
    /// If the files cannot be examined.
    pub(crate) fn accept(
        self,
        cache: &Cache,
        runtime: &mut Runtime,
        settings: EngineSettings,
        limits: &Limits,
    ) -> Result<Option<Artifact>> {
        let Self { label: Label { code, admission, files: _ }, files } = self;
        if files.len() != runtime.manifest.files.len() + 1 || !fits(&admission, limits) {
            return Ok(None);
        }
        let artifact = artifact_name(runtime.module_sha256(), settings, &runtime.role())?;
        let about = about(artifact, runtime, &admission, &files)?;
        let mut files = files.into_iter();
        let Some(artifact) = files.next().and_then(|file| cache.vouched(&about, code, file, admission)) else {
            return Ok(None);
        };
        runtime.use_kept(files.collect());
        Ok(Some(artifact))
    }
}

/// What the code of a label is about: the interpreter, what admission found in it, and the identities of the memory files.
fn about(
    artifact: cloister_model::Sha256,
    runtime: &Runtime,
    admission: &Admission,
    files: &[File],
) -> Result<Vec<Vec<u8>>> {
    let mut about =
        vec![artifact.as_bytes().to_vec(), runtime.manifest_sha256.as_bytes().to_vec(), serde_json::to_vec(admission)?];
    for file in files {
        let metadata = file.metadata()?;
        let identity = [metadata.dev(), metadata.ino(), metadata.len()];
        about.push(identity.iter().flat_map(|number| number.to_le_bytes()).collect());
    }
    Ok(about)
}

fn sealed_copy(mut file: &File) -> io::Result<File> {
    let mut copy = File::from(create_memfd("interpreter")?);
    io::copy(&mut file, &mut copy)?;
    seal_memfd(&copy)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn only_sealed_memory_files_are_opened() {
        let label = |files: &[RawFd]| {
            let admission: Admission = serde_json::from_value(serde_json::json!({
                "kind": null, "bytes": 0, "imports": [], "exports": [], "memories": [], "tableElements": 0, "functions": 0,
                "codeBytes": 0, "toolchain": [], "verdict": { "verdict": "admitted" },
            }))
            .expect("an admission");
            let code = Blake3(blake3::hash(b""));
            serde_json::to_vec(&Label { code, admission, files: files.to_vec() }).expect("JSON")
        };
        let path = |file: &OwnedFd| PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let code = sealed("code", b"code").expect("sealed");
        let good = sealed("label", &label(&[code.as_raw_fd()])).expect("sealed");
        assert_eq!(Offered::open(&path(&good)).expect("opened").files.len(), 1);
        let open = create_memfd("open").expect("a memory file");
        let of_open = sealed("label", &label(&[open.as_raw_fd()])).expect("sealed");
        assert!(Offered::open(&path(&of_open)).is_err(), "a file that can be changed");
        let mut changeable = File::from(create_memfd("label").expect("a memory file"));
        changeable.write_all(&label(&[code.as_raw_fd()])).expect("written");
        assert!(Offered::open(&path(&OwnedFd::from(changeable))).is_err(), "a label that can be changed");
        let many = sealed("label", &label(&[code.as_raw_fd(); MAX_FILES + 1])).expect("sealed");
        assert!(Offered::open(&path(&many)).is_err(), "many files");
    }

    #[test]
    fn a_sealed_copy_has_the_bytes_of_the_file() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"the bytes").expect("written");
        io::Seek::rewind(&mut file).expect("rewound");
        let mut copy = sealed_copy(&file).expect("copied");
        assert!(is_sealed(&copy));
        io::Seek::rewind(&mut copy).expect("rewound");
        assert_eq!(read_bounded(&mut copy, 100).expect("read"), b"the bytes");
    }
}
