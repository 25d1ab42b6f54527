//! The inputs of a run. The supervisor opens them, hands the descriptors to the worker, and digests the files while the
//! guest runs.

use crate::{
    compiler::sealed,
    hash::sha256,
    host_file::{open_below, open_regular, read_bounded},
    worker::spec::{Archive, Placed},
};
use cap_std::{ambient_authority, fs::Dir};
use cloister_model::{Did, FileReport, InputFile, Inputs, MountedFile, Sha256, escape};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// The most single files of a run. Each is an open descriptor.
const MAX_FILES: usize = 1000;
/// The most bytes in a parameters file.
const MAX_PARAMS_BYTES: u64 = 1024 * 1024;
/// The maximum depth of directories in a dataset.
const MAX_DEPTH: usize = 64;

/// Where the guest finds its standard input if that is not one of its other files.
pub(super) const STDIN: &str = "/dev/stdin";

/// Why the inputs are invalid.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A file or directory of the host cannot be opened or read.
    #[error("input `{path}`: {error}")]
    Host {
        /// The path.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// More single files than the supervisor can open.
    #[error("{0} single input files, but at most {MAX_FILES} are allowed. Put them into a directory: --data DIR")]
    TooMany(usize),
    /// Two files have the same guest path.
    #[error("two inputs for `/data/{0}`")]
    Twice(String),
    /// The parameters are not valid JSON, or cannot be read.
    #[error("parameters `{path}`: {problem}")]
    Params {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// A name in a dataset directory is not UTF-8, so a guest could not use it.
    #[error("input `{0}`: the name is not UTF-8; rename it")]
    Name(String),
    /// A file that stays where it is has not the bytes that its publisher has said. The digests are not: one of little data tells
    /// what it is.
    #[error("input `{0}` is not the agreed content; it was changed. Do not release these outputs")]
    Changed(String),
    /// The job has no dataset.
    #[error("no dataset: give --dataset DID=PATH, or --data DIR with inputs/<did>/<n> in it")]
    Nothing,
}

/// The opened inputs.
#[derive(Debug)]
pub(super) struct Opened {
    /// Their places in the guest's tree, in the order of `fds`.
    pub(super) placed: Vec<Placed>,
    pub(super) fds: Vec<OwnedFd>,
    pub(super) dids: Vec<Did>,
    /// The files to digest, by their path below `/data`.
    files: Vec<(String, File)>,
    mounts: Vec<(String, Dir)>,
    /// The digests that single files must have.
    agreed: BTreeMap<String, Sha256>,
    /// Where the state of the instance is written to, if it is kept.
    pub(super) state: Option<OwnedFd>,
}

/// The author's file, which the guest finds as `/data/transformations/algorithm`.
#[derive(Clone, Copy, Debug)]
pub(super) struct AuthorsFile<'a> {
    pub(super) file: &'a File,
    /// Whether an interpreter runs it: then it is all that the directory holds.
    pub(super) is_script: bool,
    /// If it is an archive that is unpacked: the files of which one must be at its top.
    pub(super) folder_entries: &'a [String],
}

impl Opened {
    /// These files alone and no input, for a run whose state is kept.
    pub(super) fn only(files: Vec<(Placed, OwnedFd)>, state: OwnedFd) -> Self {
        let (placed, fds) = files.into_iter().unzip();
        Self { placed, fds, state: Some(state), ..Self::empty() }
    }

    fn empty() -> Self {
        Self {
            placed: Vec::new(),
            fds: Vec::new(),
            dids: Vec::new(),
            files: Vec::new(),
            mounts: Vec::new(),
            agreed: BTreeMap::new(),
            state: None,
        }
    }

    /// Opens everything that a run may read.
    #[expect(clippy::disallowed_methods, reason = "opens the directories that the user names")]
    pub(super) fn open(
        inputs: &Inputs,
        params: Option<&Path>,
        ddos: &[(Did, PathBuf)],
        author: AuthorsFile<'_>,
    ) -> Result<Self, InputError> {
        let mut opened = Self::empty();
        let mut taken = BTreeSet::new();
        let mut places_algorithm = true;
        match inputs {
            Inputs::Files { files, dids } => {
                if dids.is_empty() {
                    return Err(InputError::Nothing);
                }
                if files.len() > MAX_FILES {
                    return Err(InputError::TooMany(files.len()));
                }
                opened.dids.clone_from(dids);
                for InputFile { guest, host } in files {
                    if !taken.insert(guest.as_str()) {
                        return Err(InputError::Twice(guest.clone()));
                    }
                    opened.place_host_file(guest.clone(), host)?;
                }
                opened.place_params(params)?;
                for (did, path) in ddos {
                    opened.place_host_file(format!("ddos/{}", did.id()), path)?;
                }
                opened.placed.push(Placed::Empty("/data/ddos".to_owned()));
            }
            Inputs::Tree { root, dids, mounted } => {
                if dids.is_empty() {
                    return Err(InputError::Nothing);
                }
                opened.dids.clone_from(dids);
                for (name, required) in [("inputs", true), ("ddos", false), ("transformations", false)] {
                    let path = root.join(name);
                    match Dir::open_ambient_dir(&path, ambient_authority()) {
                        // The author's script replaces this directory of the tree.
                        Ok(_) if name == "transformations" && author.is_script => {}
                        Ok(directory) if name == "inputs" && !mounted.is_empty() => {
                            opened.place_beside(&directory, &path, mounted)?;
                        }
                        Ok(directory) => {
                            places_algorithm &= name != "transformations";
                            opened.place_mount(name, directory, &path)?;
                        }
                        Err(error) if error.kind() == io::ErrorKind::NotFound && !required => {
                            opened.placed.push(Placed::Empty(format!("/data/{name}")));
                        }
                        Err(error) => return Err(InputError::Host { path, error }),
                    }
                }
            }
        }
        if places_algorithm {
            let path = "transformations/algorithm".to_owned();
            let copy =
                author.file.try_clone().map_err(|error| InputError::Host { path: PathBuf::from(&path), error })?;
            if author.folder_entries.is_empty() {
                opened.place_file(path, copy)?;
            } else {
                let archive = Archive {
                    path: "/data/transformations/algorithm".to_owned(),
                    through: false,
                    entries: author.folder_entries.to_vec(),
                };
                opened.place(Placed::Archive(archive), path, copy)?;
            }
        }
        Ok(opened)
    }

    fn place_host_file(&mut self, guest: String, host: &Path) -> Result<(), InputError> {
        let file = open_regular(host).map_err(|error| InputError::Host { path: host.to_owned(), error })?;
        self.place_file(guest, file)
    }

    fn place_file(&mut self, guest: String, file: File) -> Result<(), InputError> {
        self.place(Placed::File(format!("/data/{guest}")), guest, file)
    }

    fn place(&mut self, placed: Placed, guest: String, file: File) -> Result<(), InputError> {
        let fault = |error| InputError::Host { path: PathBuf::from(&guest), error };
        self.fds.push(file.try_clone().map_err(fault)?.into());
        self.placed.push(placed);
        self.files.push((guest, file));
        Ok(())
    }

    fn place_mount(&mut self, name: &str, directory: Dir, host: &Path) -> Result<(), InputError> {
        let fault = |error| InputError::Host { path: host.to_owned(), error };
        let copy = directory.try_clone().map_err(fault)?;
        self.fds.push(copy.into_std_file().into());
        self.placed.push(Placed::Mount(format!("/data/{name}")));
        self.mounts.push((name.to_owned(), directory));
        Ok(())
    }

    /// Places what is in the directory `inputs` and, beside it, files that are elsewhere. The directory of a dataset that has such
    /// files is one of the guest's tree alone, with its files in it.
    fn place_beside(&mut self, inputs: &Dir, host: &Path, mounted: &[MountedFile]) -> Result<(), InputError> {
        let fault = |error| InputError::Host { path: host.to_owned(), error };
        for entry in inputs.entries().map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(InputError::Name(escape(name.as_encoded_bytes(), 200).to_string()));
            };
            let guest = format!("inputs/{name}");
            if !entry.file_type().map_err(fault)?.is_dir() {
                self.place_file_of(inputs, name, guest)?;
            } else if mounted.iter().any(|file| file.did.id() == name) {
                let directory = inputs.open_dir(name).map_err(fault)?;
                for entry in directory.entries().map_err(fault)? {
                    let file = entry.map_err(fault)?.file_name();
                    let file = file.to_str().ok_or_else(|| InputError::Name(guest.clone()))?;
                    self.place_file_of(&directory, file, format!("{guest}/{file}"))?;
                }
            } else {
                self.place_mount(&guest, inputs.open_dir(name).map_err(fault)?, host)?;
            }
        }
        for file in mounted {
            let guest = file.guest();
            if self.files.iter().any(|(other, _)| *other == guest) {
                return Err(InputError::Twice(guest));
            }
            let opened = open_below(&file.root, &file.path);
            let opened = opened.map_err(|error| InputError::Host { path: PathBuf::from(&guest), error })?;
            self.agreed.extend(file.sha256.map(|sha256| (guest.clone(), sha256)));
            self.place_file(guest, opened)?;
        }
        if self.files.len() > MAX_FILES { Err(InputError::TooMany(self.files.len())) } else { Ok(()) }
    }

    fn place_file_of(&mut self, directory: &Dir, name: &str, guest: String) -> Result<(), InputError> {
        let fault = |error| InputError::Host { path: PathBuf::from(&guest), error };
        let file = directory.open(name).map_err(fault)?.into_std();
        if !file.metadata().map_err(fault)?.is_file() {
            return Err(fault(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        self.place_file(guest, file)
    }

    fn place_params(&mut self, params: Option<&Path>) -> Result<(), InputError> {
        let bytes = match params {
            None => b"{}".to_vec(),
            Some(path) => {
                let wrong = |problem: String| InputError::Params { path: path.to_owned(), problem };
                let mut file = open_regular(path).map_err(|error| wrong(error.to_string()))?;
                let bytes = read_bounded(&mut file, MAX_PARAMS_BYTES)
                    .map_err(|error| wrong(format!("{error} (at most {MAX_PARAMS_BYTES} bytes)")))?;
                serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).map_err(|e| wrong(format!("not JSON: {e}")))?;
                bytes
            }
        };
        let file = sealed("params", &bytes).map_err(|error| InputError::Params {
            path: params.unwrap_or(Path::new("{}")).to_owned(),
            problem: error.to_string(),
        })?;
        self.place_file("inputs/algoCustomData.json".to_owned(), file.into())
    }

    /// Makes a file of the host what the guest reads as its standard input.
    pub(super) fn place_stdin(&mut self, host: &Path) -> Result<(), InputError> {
        let file = open_regular(host).map_err(|error| InputError::Host { path: host.to_owned(), error })?;
        self.place(Placed::File(STDIN.to_owned()), "stdin".to_owned(), file)
    }

    /// Makes a text what the guest reads as its standard input.
    pub(super) fn place_stdin_text(&mut self, text: &str) -> anyhow::Result<()> {
        let file = sealed("stdin", text.as_bytes())?;
        Ok(self.place(Placed::File(STDIN.to_owned()), "stdin".to_owned(), file.into())?)
    }

    /// Digests every file that the guest can read, sorted by path. This reads every file completely.
    pub(super) fn digest(&self) -> Result<Vec<FileReport>, InputError> {
        let mut reports = Vec::new();
        for (path, file) in &self.files {
            let (sha256, bytes) =
                sha256(file).map_err(|error| InputError::Host { path: PathBuf::from(path), error })?;
            if self.agreed.get(path).is_some_and(|agreed| *agreed != sha256) {
                return Err(InputError::Changed(path.clone()));
            }
            reports.push(FileReport { path: path.clone(), bytes, sha256 });
        }
        for (name, root) in &self.mounts {
            digest_tree(name, root, &mut reports)?;
        }
        reports.sort();
        Ok(reports)
    }
}

/// The consumer's parameters; an empty object if there are none.
///
/// # Errors
/// If their file cannot be read or is not JSON.
pub(super) fn given_parameters(inputs: &Inputs, params: Option<&Path>) -> Result<serde_json::Value, InputError> {
    let path = match (inputs, params) {
        (_, Some(path)) => path.to_owned(),
        (Inputs::Tree { root, .. }, None) => root.join("inputs/algoCustomData.json"),
        (Inputs::Files { .. }, None) => return Ok(serde_json::json!({})),
    };
    let wrong = |problem: String| InputError::Params { path: path.clone(), problem };
    let mut file = match open_regular(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && params.is_none() => return Ok(serde_json::json!({})),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let bytes = read_bounded(&mut file, MAX_PARAMS_BYTES).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(format!("not JSON: {error}")))
}

/// The datasets in a `/data` tree, sorted: the directories below `inputs`.
///
/// # Errors
/// If the directory cannot be listed, or a name in it is not the identifier of a DID.
#[expect(clippy::disallowed_methods, reason = "lists the directory that the user names")]
pub fn datasets_in(root: &Path) -> Result<Vec<Did>, InputError> {
    let inputs = root.join("inputs");
    let fault = |error| InputError::Host { path: inputs.clone(), error };
    let mut dids = Vec::new();
    for entry in std::fs::read_dir(&inputs).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        if entry.file_type().map_err(fault)?.is_dir() {
            let name = entry.file_name();
            let did = name.to_str().and_then(|name| name.parse().ok());
            dids.push(did.ok_or_else(|| {
                fault(io::Error::other(format!(
                    "`{}` is not the identifier of a DID",
                    escape(name.as_encoded_bytes(), 80)
                )))
            })?);
        }
    }
    dids.sort();
    Ok(dids)
}

/// Digests a directory. Uses an explicit stack instead of recursion, because a dataset may be deep.
fn digest_tree(name: &str, root: &Dir, reports: &mut Vec<FileReport>) -> Result<(), InputError> {
    let mut open = vec![String::new()];
    while let Some(directory) = open.pop() {
        let full = |path: &str| if path.is_empty() { name.to_owned() } else { format!("{name}/{path}") };
        let fault = |error| InputError::Host { path: PathBuf::from(full(&directory)), error };
        if directory.split('/').count() > MAX_DEPTH {
            return Err(fault(io::Error::other(format!("more than {MAX_DEPTH} directories deep"))));
        }
        let entries = if directory.is_empty() { root.entries() } else { root.read_dir(&directory) }.map_err(fault)?;
        for entry in entries {
            let entry = entry.map_err(fault)?;
            let file_name = entry.file_name();
            let Some(file_name) = file_name.to_str() else {
                return Err(InputError::Name(escape(file_name.as_encoded_bytes(), 200).to_string()));
            };
            let path = if directory.is_empty() { file_name.to_owned() } else { format!("{directory}/{file_name}") };
            let kind = entry.file_type().map_err(fault)?;
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() || kind.is_symlink() {
                // The guest cannot read a link that leads out of the dataset or to a directory as a file.
                let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
                let mut options = cap_std::fs::OpenOptions::new();
                cap_std::fs::OpenOptionsExt::custom_flags(options.read(true), nonblocking);
                let file = match root.open_with(&path, &options) {
                    Ok(file) => file.into_std(),
                    Err(_) if kind.is_symlink() => continue,
                    Err(error) => return Err(InputError::Host { path: PathBuf::from(full(&path)), error }),
                };
                if file.metadata().map_err(fault)?.is_file() {
                    let (sha256, bytes) = sha256(&file).map_err(fault)?;
                    reports.push(FileReport { path: full(&path), bytes, sha256 });
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "makes the files of a test")]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    /// What was laid out and what stays where it is are one tree, and a link that took the place of a file is not followed.
    #[test]
    fn mounted_files_are_placed_beside_the_others_and_no_link_is_followed() {
        let place = tempfile::tempdir().expect("a folder");
        let at = |name: &str| place.path().join(name);
        for folder in ["data/inputs/d1", "data/inputs/d2", "root/sub", "other"] {
            fs::create_dir_all(at(folder)).expect("folders");
        }
        for name in
            ["data/inputs/algoCustomData.json", "data/inputs/d1/1", "data/inputs/d2/0", "root/sub/a", "other/secret"]
        {
            fs::write(at(name), "{}").expect("a file");
        }
        symlink("../other/secret", at("root/link")).expect("a link");
        symlink("../other", at("root/folder")).expect("a link");
        let script = File::open(at("root/sub/a")).expect("a file");
        let open = |path: &str, sha256: Option<Sha256>| {
            let did = "d1".parse().expect("a DID");
            let file = MountedFile { did, number: 0, root: at("root"), path: path.into(), sha256 };
            let inputs =
                Inputs::Tree { root: at("data"), dids: vec!["d1".parse().expect("a DID")], mounted: vec![file] };
            let author = AuthorsFile { file: &script, is_script: false, folder_entries: &[] };
            Opened::open(&inputs, None, &[], author)
        };
        let digested = open("sub/a", Some(Sha256::of(b"{}"))).expect("opened").digest().expect("digested");
        let paths: Vec<&str> = digested.iter().map(|file| file.path.as_str()).collect();
        let expected =
            ["inputs/algoCustomData.json", "inputs/d1/0", "inputs/d1/1", "inputs/d2/0", "transformations/algorithm"];
        assert_eq!(paths, expected);
        for bad in ["link", "folder/secret", "../other/secret", "sub", "missing"] {
            assert!(matches!(open(bad, None), Err(InputError::Host { .. })), "{bad}");
        }
        let changed = open("sub/a", Some(Sha256::of(b"other"))).expect("opened").digest();
        assert!(matches!(changed, Err(InputError::Changed(path)) if path == "inputs/d1/0"));
    }
}
