//! `cloister algorithm new`: an algorithm that builds, runs and is tested, to change into one's own.

use crate::{
    exit::Usage,
    output::{note, print_line},
};
use clap::ValueEnum;
use cloister_model::AssetName;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Start an algorithm: a program, a test, sample data and a manifest
///
/// Creates the folder NAME. `make` in it builds the program, and `make test` runs it in the sandbox on the sample data.
#[derive(Debug, clap::Args)]
pub(crate) struct New {
    /// The language that it is written in
    #[arg(value_enum)]
    language: Language,
    /// Its name, and that of its folder
    name: AssetName,
    /// The folder, which must be empty or not exist [default: NAME, in the current folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Go,
    C,
    Python,
    Javascript,
}

/// What differs between languages in the files that all have.
struct Words {
    language: &'static str,
    /// The file to change.
    source: &'static str,
    /// The file that runs.
    program: &'static str,
    /// What `make` does.
    build: &'static str,
    /// What else `make test` needs.
    needs: &'static str,
    image: &'static str,
    entrypoint: &'static str,
    /// What `.gitignore` lists.
    ignored: &'static str,
}

impl Language {
    fn words(self) -> Words {
        let words = Words {
            language: "",
            source: "",
            program: "algorithm.wasm",
            build: "builds algorithm.wasm",
            needs: "",
            image: "wasm",
            entrypoint: "$ALGO",
            ignored: "*.wasm\nresults/\n",
        };
        match self {
            Self::Rust => {
                Words { language: "Rust", source: "src/main.rs", ignored: "*.wasm\nresults/\ntarget/\n", ..words }
            }
            Self::Go => Words { language: "Go", source: "main.go", ..words },
            Self::C => Words { language: "C", source: "main.c", ..words },
            Self::Python => Words {
                language: "Python",
                source: "algorithm.py",
                program: "algorithm.py",
                build: "checks the syntax",
                needs: " Its Python is installed once:\n`sandbox runtime add python && sandbox compile --runtime python`.",
                image: "python",
                entrypoint: "python3 $ALGO",
                ignored: "results/\n__pycache__/\n",
            },
            Self::Javascript => Words {
                language: "JavaScript",
                source: "algorithm.js",
                program: "algorithm.js",
                build: "says that nothing has to be built",
                needs: " Its JavaScript is installed once:\n`sandbox runtime add javascript`.",
                image: "node",
                entrypoint: "node $ALGO",
                ignored: "results/\n",
            },
        }
    }

    /// The files that only this language has.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        macro_rules! template {
            ($path:literal) => {
                include_str!(concat!("../../templates/", $path))
            };
        }
        match self {
            Self::Rust => &[
                ("Makefile", template!("rust/Makefile")),
                ("Cargo.toml", template!("rust/package.toml")),
                (".cargo/config.toml", template!("rust/config.toml")),
                ("src/main.rs", template!("rust/main.rs")),
            ],
            Self::Go => &[
                ("Makefile", template!("go/Makefile")),
                ("go.mod", template!("go/module")),
                ("main.go", template!("go/main.go")),
            ],
            Self::C => &[("Makefile", template!("c/Makefile")), ("main.c", template!("c/main.c"))],
            Self::Python => {
                &[("Makefile", template!("python/Makefile")), ("algorithm.py", template!("python/algorithm.py"))]
            }
            Self::Javascript => &[
                ("Makefile", template!("javascript/Makefile")),
                ("algorithm.js", template!("javascript/algorithm.js")),
            ],
        }
    }

    /// Every file of an algorithm of this name: path and content.
    fn template(self, name: &AssetName) -> Vec<(&'static str, String)> {
        let words = self.words();
        let fill = |text: &str| {
            [
                ("name", name.as_str()),
                ("language", words.language),
                ("source", words.source),
                ("program", words.program),
                ("build", words.build),
                ("needs", words.needs),
                ("image", words.image),
                ("entrypoint", words.entrypoint),
            ]
            .iter()
            .fold(text.to_owned(), |text, (word, value)| text.replace(&format!("{{{{{word}}}}}"), value))
        };
        let common = [
            ("README.md", fill(include_str!("../../templates/common/README.md"))),
            ("algorithm.yaml", fill(include_str!("../../templates/common/algorithm.yaml"))),
            ("data/sample.csv", include_str!("../../templates/common/sample.csv").to_owned()),
            ("expected/rows.json", include_str!("../../templates/common/rows.json").to_owned()),
            (".gitignore", words.ignored.to_owned()),
        ];
        let own = self.files().iter().map(|(path, text)| (*path, (*text).to_owned()));
        own.chain(common).collect()
    }
}

impl New {
    pub(super) fn execute(self) -> anyhow::Result<()> {
        let Self { language, name, dir } = self;
        let folder = dir.unwrap_or_else(|| PathBuf::from(name.as_str()));
        let fault = |error: io::Error| Usage::error(format!("`{}`: {error}", folder.display()));
        fs::create_dir_all(&folder).map_err(fault)?;
        if fs::read_dir(&folder).map_err(fault)?.next().is_some() {
            return Err(Usage::error(format!("`{}` is not empty: name another folder with --dir", folder.display())));
        }
        for (path, text) in language.template(&name) {
            let path = folder.join(path);
            write(&path, &text).map_err(|error| Usage::error(format!("`{}`: {error}", path.display())))?;
            print_line(&path.display().to_string())?;
        }
        note(&format!("next: cd {} && make && make test", folder.display()));
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANGUAGES: [Language; 5] =
        [Language::Rust, Language::Go, Language::C, Language::Python, Language::Javascript];

    #[test]
    fn every_template_is_whole() {
        let name: AssetName = "my-rows".parse().expect("a name");
        for language in LANGUAGES {
            let folder = tempfile::tempdir().expect("a folder");
            let files = language.template(&name);
            let words = language.words();
            for needed in ["Makefile", "README.md", "algorithm.yaml", words.source] {
                assert!(files.iter().any(|(path, _)| *path == needed), "{language:?}: {needed}");
            }
            for (path, text) in &files {
                // Sources have braces of their own.
                let is_filled = !matches!(*path, "README.md" | "algorithm.yaml") || !text.contains("{{");
                assert!(is_filled && text.ends_with('\n'), "{language:?}: {path}");
                write(&folder.path().join(path), text).expect("written");
            }
            // The manifest is one that the service takes, as soon as the program is built.
            write(&folder.path().join("algorithm.wasm"), "\n").expect("written");
            let documents = crate::input::read_documents(&folder.path().join("algorithm.yaml")).expect("documents");
            for document in documents {
                super::super::check(document, folder.path()).expect("a manifest");
            }
        }
    }

    #[test]
    fn files_that_are_there_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let new = |dir: PathBuf| {
            New { language: Language::C, name: "rows".parse().expect("a name"), dir: Some(dir) }.execute()
        };
        let path = folder.path().join("main.c");
        fs::write(&path, "mine").expect("written");
        assert!(new(folder.path().to_owned()).is_err() && new(path.clone()).is_err());
        assert_eq!(fs::read_to_string(&path).expect("read"), "mine");
        new(folder.path().join("a/b")).expect("made");
        assert!(folder.path().join("a/b/main.c").exists());
    }
}
