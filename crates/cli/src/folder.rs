//! An algorithm that is a folder: packed into one archive, which the sandbox unpacks where the algorithm runs.

use crate::exit::Usage;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

/// The file that Python runs in a folder.
const ENTRY: &str = "__main__.py";
/// What a folder without it may call its program instead.
const MAIN_FILES: [&str; 2] = ["main.py", "algorithm.py"];
/// What the sandbox takes at most.
const MAX_FILES: usize = 10_000;

/// A file to send: the one that was named, or the archive of the folder that was named.
#[derive(Debug)]
pub(crate) enum ToSend {
    File(PathBuf),
    Packed(NamedTempFile),
}

impl ToSend {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Packed(file) => file.path(),
        }
    }

    /// Packs a folder; leaves a file as it is. The same folder always gives the same bytes.
    pub(crate) fn of(path: &Path) -> anyhow::Result<Self> {
        if !path.is_dir() {
            return Ok(Self::File(path.to_owned()));
        }
        let wrong = |problem: String| Usage::error(format!("`{}`: {problem}", path.display()));
        let unreadable = |error: io::Error| wrong(error.to_string());
        let files = files(path)?;
        let packed = NamedTempFile::new().map_err(unreadable)?;
        let mut archive = ZipWriter::new(packed.reopen().map_err(unreadable)?);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644);
        if !files.iter().any(|file| file == ENTRY) {
            let main = main_file(&files).map_err(&wrong)?;
            archive.start_file(ENTRY, options).map_err(|error| unreadable(error.into()))?;
            io::copy(&mut entry_for(main).as_bytes(), &mut archive).map_err(unreadable)?;
        }
        for name in files {
            let mut file = File::open(path.join(&name)).map_err(unreadable)?;
            archive.start_file(name, options).map_err(|error| unreadable(error.into()))?;
            io::copy(&mut file, &mut archive).map_err(unreadable)?;
        }
        archive.finish().map_err(|error| unreadable(error.into()))?;
        Ok(Self::Packed(packed))
    }
}

/// The files of a folder, sorted. Hidden ones and what Python compiles are left out.
fn files(folder: &Path) -> anyhow::Result<Vec<String>> {
    let wrong = |path: &Path, problem: &str| Usage::error(format!("`{}`: {problem}", path.display()));
    let (mut files, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).map_err(|error| wrong(&directory, &error.to_string()))? {
            let entry = entry.map_err(|error| wrong(&directory, &error.to_string()))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| wrong(&path, &error.to_string()))?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| wrong(&path, "the name is not UTF-8"))?;
            if name.starts_with('.') || name == "__pycache__" || name.ends_with(".pyc") {
                continue;
            }
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                let below = path.strip_prefix(folder).ok().and_then(Path::to_str);
                files.push(below.ok_or_else(|| wrong(&path, "the name is not UTF-8"))?.to_owned());
            } else {
                return Err(wrong(&path, "a link or a special file, which cannot be sent: copy what it leads to"));
            }
            if files.len() > MAX_FILES {
                return Err(wrong(folder, &format!("more than {MAX_FILES} files")));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The program of a folder without an entry: the one with a usual name, or the only script at the top.
fn main_file(files: &[String]) -> Result<&str, String> {
    if let Some(usual) = MAIN_FILES.iter().find(|usual| files.iter().any(|file| file == *usual)) {
        return Ok(usual);
    }
    let mut scripts = files.iter().filter(|file| file.ends_with(".py") && !file.contains('/'));
    match (scripts.next(), scripts.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(format!("what is to run? Call it `{ENTRY}` or `{}`, at the top of the folder", MAIN_FILES[0])),
    }
}

/// An entry that runs the program as Python would.
fn entry_for(main: &str) -> String {
    let name = serde_json::Value::from(main);
    format!(
        "import os.path, runpy\nrunpy.run_path(os.path.join(os.path.dirname(__file__), {name}), run_name=\"__main__\")\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, content).expect("written");
        }
        folder
    }

    fn packed(folder: &Path) -> Vec<(String, String)> {
        let sent = ToSend::of(folder).expect("packed");
        let mut archive = zip::ZipArchive::new(File::open(sent.path()).expect("open")).expect("an archive");
        (0..archive.len())
            .map(|index| {
                let mut file = archive.by_index(index).expect("a file");
                let name = file.name().expect("a name").into_owned();
                let mut text = String::new();
                file.read_to_string(&mut text).expect("text");
                (name, text)
            })
            .collect()
    }

    #[test]
    fn a_folder_is_packed_the_same_each_time_without_what_nobody_means() {
        let files = [
            ("__main__.py", "import lib"),
            ("lib/__init__.py", ""),
            ("VERSION", "1"),
            (".git/config", "secret"),
            (".env", "secret"),
            ("__pycache__/lib.cpython-315.pyc", "x"),
        ];
        let (one, other) = (folder(&files), folder(&files));
        let names: Vec<String> = packed(one.path()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["VERSION", "__main__.py", "lib/__init__.py"]);
        let bytes = |folder: &Path| fs::read(ToSend::of(folder).expect("packed").path()).expect("read");
        assert_eq!(bytes(one.path()), bytes(other.path()));
    }

    #[test]
    fn the_program_of_a_folder_is_found_or_asked_for() {
        for (files, main) in [
            (vec!["main.py", "algorithm.py", "b.py"], Some("main.py")),
            (vec!["algorithm.py", "b.py"], Some("algorithm.py")),
            (vec!["train.py", "lib/a.py", "data.csv"], Some("train.py")),
            (vec!["a.py", "b.py"], None),
            (vec!["lib/a.py"], None),
        ] {
            let files: Vec<_> = files.into_iter().map(|name| (name, "")).collect();
            let folder = folder(&files);
            match main {
                Some(main) => {
                    let all = packed(folder.path());
                    assert_eq!(all[0].0, ENTRY);
                    assert!(all[0].1.contains(&format!("\"{main}\"")), "{}", all[0].1);
                }
                None => assert!(ToSend::of(folder.path()).is_err(), "{files:?}"),
            }
        }
    }

    #[test]
    fn links_are_not_sent() {
        let folder = folder(&[("__main__.py", "")]);
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("passwd")).expect("a link");
        let error = ToSend::of(folder.path()).expect_err("refused");
        assert!(error.to_string().contains("passwd"), "{error}");
    }
}
