//! An algorithm that is a folder, in Python or JavaScript: packed into one archive, which the sandbox unpacks where the algorithm runs.

use crate::{exit::Usage, javascript, notebook, requirements::Packages};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

/// The file that Python runs in a folder.
const ENTRY: &str = "__main__.py";
/// What a folder without it may call its program instead.
const MAIN_FILES: [&str; 4] = ["main.py", "algorithm.py", "main.ipynb", "algorithm.ipynb"];
/// What the sandbox takes at most.
const MAX_FILES: usize = 10_000;

/// A file to send: the one that was named, or one that was made of it.
#[derive(Debug)]
pub(crate) struct ToSend {
    /// What was named.
    named: PathBuf,
    /// The archive of a folder, or the script of a notebook.
    made: Option<NamedTempFile>,
    /// What it was found to be written in, if it was packed.
    packed: Option<Language>,
}

/// What an algorithm is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    JavaScript,
}

/// What a file of an archive holds.
enum Content {
    Of(PathBuf),
    Text(String),
}

impl ToSend {
    pub(crate) fn path(&self) -> &Path {
        self.made.as_ref().map_or(&self.named, NamedTempFile::path)
    }

    /// What was named on the command line or in a description.
    pub(crate) fn named(&self) -> &Path {
        &self.named
    }

    /// What it is written in: for a folder, what is in it says so, and for a file, its ending.
    pub(crate) fn language(&self) -> Option<Language> {
        let ends_in = |endings: &[&str]| {
            let ending = self.named.extension();
            ending.is_some_and(|found| endings.iter().any(|ending| found == *ending))
        };
        self.packed.or_else(|| match () {
            () if ends_in(&["py", "pyz", notebook::ENDING]) => Some(Language::Python),
            () if ends_in(&javascript::ENDINGS) => Some(Language::JavaScript),
            () => None,
        })
    }

    /// A file as it is.
    pub(crate) fn file(path: &Path) -> Self {
        Self { named: path.to_owned(), made: None, packed: None }
    }

    /// The file of an algorithm: a folder is packed, a notebook becomes a script, and packages that a file of requirements names go
    /// with it. The same folder always gives the same bytes.
    pub(crate) fn algorithm(path: &Path, requirements: Option<&Path>) -> anyhow::Result<Self> {
        let wrong = |problem: String| Usage::error(format!("`{}`: {problem}", path.display()));
        let unreadable = |error: io::Error| wrong(error.to_string());
        let is_notebook = path.extension().is_some_and(|ending| ending == notebook::ENDING);
        if !path.is_dir() && requirements.is_none() && !is_notebook {
            return Ok(Self::file(path));
        }
        let made = NamedTempFile::new().map_err(unreadable)?;
        if !path.is_dir() && requirements.is_none() {
            fs::write(made.path(), script_of(path)?).map_err(unreadable)?;
            return Ok(Self { named: path.to_owned(), made: Some(made), packed: None });
        }
        let (language, mut members) = if path.is_dir() { members(path)? } else { (Language::Python, alone(path)?) };
        if language == Language::JavaScript && requirements.is_some() {
            return Err(wrong("requirements are for Python; packages of npm go along in its node_modules".to_owned()));
        }
        let packages = requirements.map(Packages::fetch).transpose()?;
        if let Some(packages) = &packages {
            for name in files(packages.folder())?.into_iter().filter(|name| Packages::is_sent(name)) {
                let content = Content::Of(packages.folder().join(&name));
                if members.insert(name.clone(), content).is_some() {
                    return Err(wrong(format!(
                        "its file `{name}` is in a package of the requirements, too: rename it"
                    )));
                }
            }
        }
        if members.len() > MAX_FILES {
            return Err(wrong(format!("more than {MAX_FILES} files")));
        }
        pack(&members, made.reopen().map_err(unreadable)?).map_err(unreadable)?;
        Ok(Self { named: path.to_owned(), made: Some(made), packed: Some(language) })
    }
}

type Members = BTreeMap<String, Content>;

/// The files of a folder, with one that the interpreter runs.
fn members(folder: &Path) -> anyhow::Result<(Language, Members)> {
    let wrong = |problem: String| Usage::error(format!("`{}`: {problem}", folder.display()));
    let files = files(folder)?;
    let mut members: Members = files.iter().map(|name| (name.clone(), Content::Of(folder.join(name)))).collect();
    if is_javascript(&files) {
        let described = members.contains_key(javascript::DESCRIPTION);
        let text = described.then(|| fs::read(folder.join(javascript::DESCRIPTION))).transpose();
        let text = text.map_err(|error| wrong(error.to_string()))?;
        if let Some(added) = javascript::description_for(&files, text.as_deref()).map_err(&wrong)? {
            members.insert(javascript::DESCRIPTION.to_owned(), Content::Text(added));
        }
        return Ok((Language::JavaScript, members));
    }
    if !members.contains_key(ENTRY) {
        let main = main_file(&files).map_err(&wrong)?;
        let main = match main.strip_suffix(&format!(".{}", notebook::ENDING)) {
            None => main.to_owned(),
            Some(stem) => {
                let script = format!("{stem}.py");
                let text = script_of(&folder.join(main))?;
                if members.insert(script.clone(), Content::Text(text)).is_some() {
                    return Err(wrong(format!("both `{main}` and `{script}`: which is to run? Call it `{ENTRY}`")));
                }
                script
            }
        };
        members.insert(ENTRY.to_owned(), Content::Text(entry_for(&main)));
    }
    Ok((Language::Python, members))
}

/// Whether a folder is a program in JavaScript. One with a script of Python at its top is one in Python, as it has always been.
fn is_javascript(files: &[String]) -> bool {
    let is_python = |file: &String| !file.contains('/') && (file.ends_with(".py") || file.ends_with(".ipynb"));
    javascript::is_program(files) && !files.iter().any(is_python)
}

/// One script or notebook, as the folder that its packages need.
fn alone(path: &Path) -> anyhow::Result<Members> {
    let wrong = |problem: &str| Usage::error(format!("`{}`: {problem}", path.display()));
    let is = |ending: &str| path.extension().is_some_and(|found| found == ending);
    let stem = path.file_stem().and_then(|stem| stem.to_str()).ok_or_else(|| wrong("the name is not UTF-8"))?;
    let name = format!("{stem}.py");
    let content = match (is("py"), is(notebook::ENDING)) {
        (true, _) => Content::Of(path.to_owned()),
        (_, true) => Content::Text(script_of(path)?),
        _ => return Err(wrong("requirements are for folders, *.py and *.ipynb")),
    };
    let mut members = Members::from([(name.clone(), content)]);
    if name != ENTRY {
        members.insert(ENTRY.to_owned(), Content::Text(entry_for(&name)));
    }
    Ok(members)
}

/// The script of a notebook.
fn script_of(path: &Path) -> anyhow::Result<String> {
    let wrong = |problem: String| Usage::error(format!("`{}`: {problem}", path.display()));
    let notebook = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    notebook::script(&notebook).map_err(wrong)
}

/// Writes an archive whose bytes depend on the files' names and contents alone.
fn pack(members: &Members, into: File) -> io::Result<()> {
    let mut archive = ZipWriter::new(into);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    for (name, content) in members {
        archive.start_file(name.as_str(), options)?;
        match content {
            Content::Of(path) => io::copy(&mut File::open(path)?, &mut archive)?,
            Content::Text(text) => io::copy(&mut text.as_bytes(), &mut archive)?,
        };
    }
    archive.finish()?;
    Ok(())
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
                files.push(with_slashes(below.ok_or_else(|| wrong(&path, "the name is not UTF-8"))?));
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

/// A path of this machine as an archive writes it.
pub(crate) fn with_slashes(path: &str) -> String {
    if std::path::MAIN_SEPARATOR == '/' { path.to_owned() } else { path.replace(std::path::MAIN_SEPARATOR, "/") }
}

/// The program of a folder without an entry: the one with a usual name, or the only script at the top.
fn main_file(files: &[String]) -> Result<&str, String> {
    if let Some(usual) = MAIN_FILES.iter().find(|usual| files.iter().any(|file| file == *usual)) {
        return Ok(usual);
    }
    let is_script = |file: &str| [".py", ".ipynb"].iter().any(|ending| file.ends_with(ending));
    let mut scripts = files.iter().filter(|file| is_script(file) && !file.contains('/'));
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
        let sent = ToSend::algorithm(folder, None).expect("packed");
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
    fn a_folder_is_packed_the_same_each_time_without_hidden_and_generated_files() {
        let files = [
            ("__main__.py", "import lib"),
            ("lib/__init__.py", ""),
            ("VERSION", "1"),
            (".git/config", "secret"),
            (".env", "secret"),
            ("__pycache__/lib.cpython-315.pyc", "x"),
        ];
        let (one, other) = (folder(&files), folder(&files));
        let names = packed_names(one.path());
        assert_eq!(names, ["VERSION", "__main__.py", "lib/__init__.py"]);
        let bytes = |folder: &Path| fs::read(ToSend::algorithm(folder, None).expect("packed").path()).expect("read");
        assert_eq!(bytes(one.path()), bytes(other.path()));
    }

    #[test]
    fn the_program_of_a_folder_is_found_or_asked_for() {
        for (files, main) in [
            (vec!["main.ipynb", "lib.py"], Some("main.py")),
            (vec!["study.ipynb", "data.csv"], Some("study.py")),
            (vec!["main.py", "algorithm.py", "b.py"], Some("main.py")),
            (vec!["algorithm.py", "b.py"], Some("algorithm.py")),
            (vec!["train.py", "lib/a.py", "data.csv"], Some("train.py")),
            (vec!["a.py", "b.py"], None),
            (vec!["lib/a.py"], None),
        ] {
            let content = |name: &str| if name.ends_with(".ipynb") { NOTEBOOK } else { "" };
            let files: Vec<_> = files.into_iter().map(|name| (name, content(name))).collect();
            let folder = folder(&files);
            match main {
                Some(main) => {
                    let all = packed(folder.path());
                    assert_eq!(all[0].0, ENTRY);
                    assert!(all[0].1.contains(&format!("\"{main}\"")), "{}", all[0].1);
                }
                None => assert!(ToSend::algorithm(folder.path(), None).is_err(), "{files:?}"),
            }
        }
    }

    const NOTEBOOK: &str = r#"{"cells": [{"cell_type": "code", "source": ["print(1)"]}]}"#;

    #[test]
    fn a_notebook_is_sent_as_a_script_and_other_files_as_they_are() {
        let folder = folder(&[("a.ipynb", NOTEBOOK), ("a.wasm", "x")]);
        let sent = ToSend::algorithm(&folder.path().join("a.ipynb"), None).expect("a script");
        assert_eq!(fs::read_to_string(sent.path()).expect("text"), "# Cell 1\nprint(1)\n\n");
        // A dataset may hold notebooks, too.
        for file in [
            ToSend::file(&folder.path().join("a.ipynb")),
            ToSend::algorithm(&folder.path().join("a.wasm"), None).expect("a file"),
        ] {
            assert_eq!(file.path(), file.named());
        }
        let error = ToSend::algorithm(&folder.path().join("a.wasm"), Some(Path::new("none.txt"))).expect_err("refused");
        assert!(error.to_string().contains("requirements are for"), "{error}");
    }

    #[test]
    fn a_folder_in_javascript_goes_as_it_is_with_its_packages() {
        let files = [
            ("package.json", r#"{"main": "src/run.js"}"#),
            ("src/run.js", "require('rows')"),
            ("node_modules/rows/index.js", ""),
            ("node_modules/.package-lock.json", "{}"),
            ("tools/plot.py", ""),
        ];
        let folder_of = |files: &[(&str, &str)]| {
            let folder = folder(files);
            let sent = ToSend::algorithm(folder.path(), None);
            (sent.map(|sent| sent.language().expect("a folder")), packed_names(folder.path()))
        };
        let (language, names) = folder_of(&files);
        assert_eq!(language.expect("sent"), Language::JavaScript);
        assert_eq!(names, ["node_modules/rows/index.js", "package.json", "src/run.js", "tools/plot.py"]);
        let (language, names) = folder_of(&[("study.mjs", ""), ("data.csv", "")]);
        assert_eq!(language.expect("sent"), Language::JavaScript);
        assert_eq!(names, ["data.csv", "package.json", "study.mjs"]);
        // A folder of Python may hold tools in JavaScript.
        for python in ["__main__.py", "main.py", "main.ipynb", "train.py"] {
            let text = if python.ends_with("ipynb") { NOTEBOOK } else { "" };
            let (language, _) = folder_of(&[(python, text), ("package.json", "{}"), ("index.js", "")]);
            assert_eq!(language.expect("sent"), Language::Python, "{python}");
        }
        let native = folder(&[("index.js", ""), ("node_modules/fast/x.node", "")]);
        let error = ToSend::algorithm(native.path(), None).expect_err("refused");
        assert!(error.to_string().contains("`fast` is a native package"), "{error}");
        let error = ToSend::algorithm(folder(&files).path(), Some(Path::new("none.txt"))).expect_err("refused");
        assert!(error.to_string().contains("requirements are for Python"), "{error}");
    }

    fn packed_names(folder: &Path) -> Vec<String> {
        packed(folder).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn links_are_not_sent() {
        let folder = folder(&[("__main__.py", "")]);
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("passwd")).expect("a link");
        let error = ToSend::algorithm(folder.path(), None).expect_err("refused");
        assert!(error.to_string().contains("passwd"), "{error}");
    }
}
