//! An author's archive and an author's arguments are a stranger's, too.

use crate::runs::{Run as _, shape};
use cloister_model::{Outcome, Rule};
use cloister_tests::{Trial, install_python};
use std::{fs, process::Command};
use tempfile::TempDir;

/// An archive that a script of Python makes, which gets the path.
fn archive(script: &str) -> Vec<u8> {
    let folder = TempDir::new().expect("a folder");
    let ended = Command::new("python3")
        .args(["-c", &format!("import io, sys, tarfile, zipfile\npath = sys.argv[1]\n{script}"), "a"])
        .current_dir(folder.path())
        .status()
        .expect("python3");
    assert!(ended.success(), "{script}");
    fs::read(folder.path().join("a")).expect("an archive")
}

/// A tar archive with an entry that would run, and one member more.
fn tar(member: &str) -> Vec<u8> {
    archive(&format!(
        "def add(out, name, **fields):\n    info = tarfile.TarInfo(name)\n    for field in fields: setattr(info, field, \
         fields[field])\n    out.addfile(info, io.BytesIO(b'print(1)'))\nwith tarfile.open(path, 'w:gz') as out:\n    add(out, \
         '__main__.py', size=8)\n    {member}\n"
    ))
}

#[test]
fn hostile_archives_are_refused_and_nothing_runs() {
    install_python();
    let zip = |rest: &str| archive(&format!("with zipfile.ZipFile(path, 'w') as out:\n    {rest}\n"));
    for (name, bytes) in [
        ("a parent", tar("add(out, '../escaped', size=8)")),
        ("an absolute path", tar("add(out, '/etc/passwd', size=8)")),
        ("over an input", tar("add(out, 'x/../../../inputs/d/0', size=8)")),
        ("a symbolic link", tar("add(out, 'link', type=tarfile.SYMTYPE, linkname='/etc/passwd')")),
        ("a hard link", tar("add(out, 'link', type=tarfile.LNKTYPE, linkname='/etc/passwd')")),
        ("a device", tar("add(out, 'sda', type=tarfile.BLKTYPE)")),
        ("a pipe", tar("add(out, 'pipe', type=tarfile.FIFOTYPE)")),
        ("a name twice", tar("add(out, '__main__.py', size=8)")),
        ("control characters", tar("add(out, 'a\\x1b[2J', size=8)")),
        ("no entry", zip("out.writestr('other.py', 'print(1)')")),
        ("a parent in a zip", zip("out.writestr('__main__.py', 'print(1)'); out.writestr('../x', '')")),
        (
            "a name twice in a zip",
            zip("out.writestr('__main__.py', 'print(1)'); out.writestr('__main__.py', 'print(2)')"),
        ),
        ("a hundred thousand files", zip("[out.writestr(str(name), '') for name in range(100_000)]")),
        ("a file as a folder", zip("out.writestr('__main__.py', 'print(1)'); out.writestr('__main__.py/x', '')")),
        ("cut", tar("pass")[..60].to_vec()),
        ("not a tar", archive("import gzip\nopen(path, 'wb').write(gzip.compress(b'print(1)' * 999))")),
    ] {
        let ended = Trial::bytes(&bytes).with(&["--runtime", "python"]).finish();
        match ended.outcome() {
            Outcome::Refused { refusals } => assert_eq!(refusals[0].rule, Rule::Archive, "{name}"),
            _ => unreachable!("{name}: {}", shape(&ended)),
        }
        assert_eq!(ended.code, Some(4), "{name}");
        assert!(ended.log.is_empty() && ended.outputs().is_empty(), "{name}");
        assert!(!ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'), "{name}");
    }
}

/// A bomb meets the guest's memory limit, and not the machine's.
#[test]
fn an_archive_that_grows_meets_the_memory_limit() {
    install_python();
    let content = "b'0' * (200 * 1024 * 1024)";
    let zip = archive(&format!(
        "with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as out:\n    out.writestr('__main__.py', {content})"
    ));
    assert!(zip.len() < 1024 * 1024);
    let ended = Trial::bytes(&zip).with(&["--runtime", "python", "--limits", "memory=256MiB"]).finish();
    crate::runs::assert_limit(&ended, cloister_model::Limit::Memory);
}

/// What is between words for a shell is a letter for the program, and options of the sandbox are not taken from there.
#[test]
fn arguments_are_data() {
    install_python();
    let script = b"import sys\nprint(sys.argv[1:])";
    let given = ["--outputs", "/tmp/x", "$(id)", "; rm -rf /", "--", "-c", "", "a\nb", "*"];
    let ended = Trial::bytes(script).with(&["--runtime", "python", "--"]).with(&given).finish();
    ended.assert_succeeded();
    let printed = String::from_utf8_lossy(&ended.log).into_owned();
    let expected = "['--outputs', '/tmp/x', '$(id)', '; rm -rf /', '--', '-c', '', 'a\\nb', '*']\n";
    assert_eq!(printed, expected);
    // Parameters fill arguments where the publisher says so, and stay one argument each.
    let parameters = r#"{"note": "a b; $(id) ${n} 'x'\n*", "n": -2, "option": "--delete", "list": [1]}"#;
    let fill = |arguments: &[&str]| {
        let trial = Trial::bytes(script).with_file("--params", parameters);
        trial.with(&["--runtime", "python", "--fill-arguments", "--"]).with(arguments)
    };
    let ended = fill(&["--note=${note}", "${note}", "${n}", "$$HOME", "--o=${option}"]).finish();
    ended.assert_succeeded();
    let note = "a b; $(id) ${n} \'x\'\\n*";
    let printed = String::from_utf8_lossy(&ended.log).into_owned();
    assert_eq!(
        printed.replace('"', "'"),
        format!("['--note={note}', '{note}', '-2', '$HOME', '--o=--delete']\n").replace("\\'", "'")
    );
    for (argument, said) in
        [("${option}", "begin with `-`"), ("${list}", "must be a text"), ("${none}", "give it a value")]
    {
        let refused = fill(&[argument]).run();
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    let many: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = Trial::bytes(script).with(&["--runtime", "python", "--"]).with(&many).run();
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
}
