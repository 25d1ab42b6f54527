//! Packages of pure Python that an author sends along: fetched with pip on the author's machine, pinned, and refused if native.

use crate::{exit::Usage, folder::with_slashes, output::note};
use cloister_model::escape;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// The version of the interpreter that they are for.
const PYTHON: &str = "3.15";
/// The author's own Python, as its installer names it.
const PYTHON_PROGRAM: &str = if cfg!(windows) { "python" } else { "python3" };
/// The most bytes of a file of requirements.
const MOST_BYTES: u64 = 1024 * 1024;
/// The most packages.
const MOST_PACKAGES: usize = 200;
/// Endings of files that hold machine code.
const NATIVE: [&str; 4] = ["so", "pyd", "dylib", "dll"];
/// What an installation notes about itself: it says nothing to a program, and differs from machine to machine.
const NOTES: [&str; 4] = ["RECORD", "INSTALLER", "REQUESTED", "direct_url.json"];

/// One package of a file of requirements.
#[derive(Debug, PartialEq, Eq)]
struct Requirement {
    /// Its name, as written.
    name: String,
    /// The whole line for pip: version, hashes, markers.
    line: String,
}

/// Packages in a folder of their own.
#[derive(Debug)]
pub(crate) struct Packages {
    folder: TempDir,
}

impl Packages {
    /// Fetches the packages that a file names, with pip.
    ///
    /// # Errors
    /// If a line is not pinned, pip fails, or a package holds machine code.
    pub(crate) fn fetch(file: &Path) -> anyhow::Result<Self> {
        let wrong = |problem: String| Usage::error(format!("`{}`: {problem}", file.display()));
        let metadata = fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
        if metadata.len() > MOST_BYTES {
            return Err(wrong(format!("larger than {MOST_BYTES} bytes")));
        }
        let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        let requirements = parse(&text).map_err(&wrong)?;
        note(&format!("fetching {} packages with pip", requirements.len()));
        let work = TempDir::new().map_err(|error| wrong(error.to_string()))?;
        let packages = Self { folder: TempDir::new().map_err(|error| wrong(error.to_string()))? };
        let pip = Pip { work: work.path(), target: packages.folder.path() };
        if pip.install_pure(&requirements).is_err() {
            // Which one, and why? A package that is offered as source only is built here, if it is pure.
            for requirement in &requirements {
                pip.install(requirement).map_err(&wrong)?;
            }
        }
        if let Some((package, file)) = packages.native().map_err(|error| wrong(error.to_string()))? {
            return Err(wrong(is_native(&package, &file)));
        }
        Ok(packages)
    }

    /// Where they are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether a file is worth sending: not a program for a shell, and not a note of the installation.
    pub(crate) fn is_sent(name: &str) -> bool {
        let mut parts = name.split('/');
        let (first, last) = (parts.next().unwrap_or_default(), parts.next_back().unwrap_or_default());
        first != "bin" && !(first.ends_with(".dist-info") && NOTES.contains(&last))
    }

    /// The first file with machine code, and the package that it belongs to.
    fn native(&self) -> io::Result<Option<(String, String)>> {
        let root = self.folder.path();
        let mut open = vec![root.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory)? {
                let path = entry?.path();
                let below = with_slashes(&path.strip_prefix(root).unwrap_or(&path).to_string_lossy());
                if path.is_dir() {
                    open.push(path);
                } else if has_native_ending(&below) {
                    return Ok(Some((owner(root, &below)?, below)));
                }
            }
        }
        Ok(None)
    }
}

fn has_native_ending(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or_default();
    // `libx.so.1`, too.
    name.split('.').skip(1).any(|part| NATIVE.contains(&part))
}

/// The package whose list of files has this one.
fn owner(root: &Path, file: &str) -> io::Result<String> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(package) = name.strip_suffix(".dist-info") else { continue };
        let record = fs::read_to_string(entry.path().join("RECORD")).unwrap_or_default();
        if record.lines().any(|line| line.trim_start_matches('"').starts_with(file)) {
            return Ok(package.rsplit_once('-').map_or(package, |(name, _)| name).to_owned());
        }
    }
    Ok(file.split('/').next().unwrap_or_default().to_owned())
}

fn is_native(package: &str, file: &str) -> String {
    format!(
        "`{}` is a native package: `{}` holds machine code, which the sandbox does not run. Leave it out if the runtime has it, or use \
         a package of pure Python",
        escape(package.as_bytes(), 80),
        escape(file.as_bytes(), 200)
    )
}

/// The packages of a file: each pinned by its version or a hash, and nothing but packages.
fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut requirements = Vec::new();
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    for line in joined.lines() {
        let line = if line.trim_start().starts_with('#') { "" } else { line.split(" #").next().unwrap_or_default() };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let shown = || escape(line.as_bytes(), 80);
        let (what, options) =
            line.split_once(" --").map_or((line, String::new()), |(what, rest)| (what, format!("--{rest}")));
        let hashes: Vec<&str> = options.split_whitespace().collect();
        let specifier = what.split(';').next().unwrap_or_default();
        let (named, version) = match specifier.split_once("==") {
            Some((named, version)) => (named.trim(), Some(version.trim())),
            None => (specifier.trim(), None),
        };
        let (name, extras) = named.split_once('[').map_or((named, None), |(name, rest)| (name.trim(), Some(rest)));
        let plain = |text: &str, more: &str| {
            text.starts_with(|first: char| first.is_ascii_alphanumeric())
                && text.chars().all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter))
        };
        let are_plain = |extras: &str| extras.strip_suffix(']').is_some_and(|extras| plain(extras, "._-, "));
        let has_name = plain(name, "._-") && extras.is_none_or(are_plain);
        let are_hashes =
            hashes.iter().all(|option| option.starts_with("--hash=sha256:") || option.starts_with("--hash=sha512:"));
        if !has_name || !are_hashes || !version.is_none_or(|version| plain(version, ".!+_-")) {
            return Err(format!(
                "`{}`: only packages with a version are understood: `NAME==VERSION`, with --hash if you like",
                shown()
            ));
        }
        if version.is_none() && hashes.is_empty() {
            return Err(format!("`{}` is not pinned: write `{name}==VERSION`, or give its --hash", shown()));
        }
        requirements.push(Requirement { name: name.to_owned(), line: line.to_owned() });
        if requirements.len() > MOST_PACKAGES {
            return Err(format!("more than {MOST_PACKAGES} packages"));
        }
    }
    if requirements.is_empty() { Err("it names no package".to_owned()) } else { Ok(requirements) }
}

/// pip, of the author's own Python.
struct Pip<'a> {
    /// A folder for files between two calls.
    work: &'a Path,
    /// Where packages are installed.
    target: &'a Path,
}

impl Pip<'_> {
    /// Installs wheels of pure Python for the interpreter, whatever this machine's is.
    fn install_pure(&self, requirements: &[Requirement]) -> Result<(), String> {
        let file = self.listed(requirements)?;
        call("install", &self.for_the_interpreter(&["--requirement".as_ref(), file.as_os_str()]))
    }

    /// Installs one package; builds it, if there is only its source.
    fn install(&self, requirement: &Requirement) -> Result<(), String> {
        if self.install_pure(std::slice::from_ref(requirement)).is_ok() {
            return Ok(());
        }
        let found = TempDir::new_in(self.work).map_err(|error| error.to_string())?;
        let file = self.listed(std::slice::from_ref(requirement))?;
        call(
            "download",
            &[
                "--no-deps".as_ref(),
                "--dest".as_ref(),
                found.path().as_os_str(),
                "--requirement".as_ref(),
                file.as_os_str(),
            ],
        )?;
        let source = only_file(found.path())?;
        let mut wheel = source.clone();
        if !ends_with(&source, ".whl") {
            let built = found.path().join("built");
            call("wheel", &["--no-deps".as_ref(), "--wheel-dir".as_ref(), built.as_os_str(), source.as_os_str()])?;
            wheel = only_file(&built)?;
        }
        if !ends_with(&wheel, "-none-any.whl") {
            let file = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(is_native(&requirement.name, &file));
        }
        call("install", &self.for_the_interpreter(&["--no-index".as_ref(), wheel.as_os_str()]))
    }

    fn for_the_interpreter<'b>(&'b self, more: &[&'b std::ffi::OsStr]) -> Vec<&'b std::ffi::OsStr> {
        let mut arguments: Vec<&std::ffi::OsStr> =
            ["--no-deps", "--no-compile", "--only-binary=:all:", "--implementation=py", "--abi=none"]
                .map(std::ffi::OsStr::new)
                .to_vec();
        arguments.extend(["--platform=any", "--python-version", PYTHON, "--target"].map(std::ffi::OsStr::new));
        arguments.push(self.target.as_os_str());
        arguments.extend(more);
        arguments
    }

    fn listed(&self, requirements: &[Requirement]) -> Result<PathBuf, String> {
        let lines: Vec<&str> = requirements.iter().map(|requirement| requirement.line.as_str()).collect();
        let path = self.work.join("requirements.txt");
        fs::write(&path, lines.join("\n") + "\n").map_err(|error| error.to_string())?;
        Ok(path)
    }
}

/// Runs one command of pip. The error is its reason.
fn call(command: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), String> {
    let output = Command::new(PYTHON_PROGRAM)
        .args(["-m", "pip", command, "--quiet", "--disable-pip-version-check", "--no-input"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            format!("{PYTHON_PROGRAM} cannot be started: {error}. Packages are fetched with pip, on this machine")
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // The reason comes before advice, if there is advice.
    let line = said.lines().find(|line| line.starts_with("ERROR")).or_else(|| said.lines().last()).unwrap_or_default();
    Err(format!("pip {command}: {}", escape(line.as_bytes(), 400)))
}

fn ends_with(path: &Path, ending: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ending))
}

fn only_file(folder: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut files = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_file());
    files.next().ok_or_else(|| "pip downloaded nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_pinned_or_refused() {
        let text = "# made by pip freeze\nliac-arff==2.5.0\nPyJWT[crypto] == 2.10.1 ; python_version > \"3\" # tokens\n\
            six \\\n    --hash=sha256:00ff \\\n    --hash=sha512:11\n\n";
        let names: Vec<String> = parse(text).expect("pinned").into_iter().map(|requirement| requirement.name).collect();
        assert_eq!(names, ["liac-arff", "PyJWT", "six"]);
        for (line, said) in [
            ("six", "not pinned"),
            ("six>=1", "only packages"),
            ("six==1.*", "only packages"),
            ("six===1", "only packages"),
            ("six==1,<2", "only packages"),
            ("-r other.txt", "only packages"),
            ("--index-url https://x", "only packages"),
            ("six==1 --global-option=x", "only packages"),
            ("git+https://x/y", "only packages"),
            ("six @ https://x/six.whl", "only packages"),
            ("./six.whl", "only packages"),
            ("six==$(id)", "only packages"),
            ("# nothing\n", "no package"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(said), "{line}: {error}");
        }
    }

    #[test]
    fn machine_code_is_found_with_the_package_that_holds_it() {
        let packages = Packages { folder: TempDir::new().expect("a folder") };
        let write = |name: &str, content: &str| {
            let path = packages.folder().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, content).expect("written");
        };
        write("pure/__init__.py", "");
        write("pure-1.0.dist-info/RECORD", "pure/__init__.py,sha256=x,0\n");
        assert_eq!(packages.native().expect("read"), None);
        write("fast/core.cpython-311-x86_64-linux-gnu.so", "");
        write("Fast_Thing-1.0.dist-info/RECORD", "fast/core.cpython-311-x86_64-linux-gnu.so,sha256=x,0\n");
        let found = packages.native().expect("read").expect("native");
        assert_eq!(found, ("Fast_Thing".to_owned(), "fast/core.cpython-311-x86_64-linux-gnu.so".to_owned()));
        for (name, native) in
            [("a/b.so.1", true), ("a.pyd", true), ("a.so/b.py", false), ("so", false), ("a.sow", false)]
        {
            assert_eq!(has_native_ending(name), native, "{name}");
        }
    }

    #[test]
    fn what_says_nothing_to_a_program_is_not_sent() {
        for (name, sent) in [
            ("bin/tool", false),
            ("six-1.dist-info/RECORD", false),
            ("six-1.dist-info/direct_url.json", false),
            ("six-1.dist-info/METADATA", true),
            ("six.py", true),
            ("pkg/bin/x.py", true),
            ("pkg/RECORD", true),
        ] {
            assert_eq!(Packages::is_sent(name), sent, "{name}");
        }
    }
}
