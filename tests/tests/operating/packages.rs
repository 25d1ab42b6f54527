//! The packages that `make dist` makes, of the programs that are built.

use cloister_tests::{not_run, root, sandbox, service::cloister};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

fn run(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str], folder: &Path) -> Output {
    let output = Command::new(&program).args(arguments).current_dir(folder).output().expect("the program starts");
    assert!(output.status.success(), "{:?} {arguments:?}: {output:?}", program.as_ref());
    output
}

/// Packs the programs that are built, and gives the names of what was made.
fn dist(into: &Path) -> Vec<String> {
    fs::create_dir_all(into).expect("made");
    let into_text = into.display().to_string();
    run(root().join("scripts/dist.sh"), &["--no-build", "--into", &into_text], root());
    let names = fs::read_dir(into).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().expect("text")).collect();
    names.sort();
    names
}

fn find(names: &[String], end: &str) -> String {
    names.iter().find(|name| name.ends_with(end)).unwrap_or_else(|| panic!("no {end}: {names:?}")).clone()
}

/// The first line of `--version`.
fn version(program: &Path) -> String {
    let output = run(program, &["--version"], root());
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// What `--version` says: the version of this workspace, and the commit, if the build was told of one. Of which one, this test knows
/// where it is told, too, as by `make test`.
#[track_caller]
fn assert_version(program: &str, said: &str) {
    let rest = said.strip_prefix(&format!("{program} {}", env!("CARGO_PKG_VERSION")));
    let rest = rest.unwrap_or_else(|| panic!("another version: {said}"));
    let commit = rest.strip_prefix(" (").and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
    assert_eq!(rest.is_empty(), commit.is_empty(), "a commit in parentheses, or nothing: {said}");
    match std::env::var("CLOISTERDEV_COMMIT") {
        Ok(told) => assert_eq!(commit, told, "{said}"),
        Err(_) => not_run(&format!("that `{program} --version` names the commit: `make test` tells which one")),
    }
}

#[test]
fn packages_hold_what_an_operator_installs_and_are_the_same_each_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let names = dist(&one);
    assert_eq!(names, dist(&two));
    assert_eq!(names.len(), 3, "{names:?}");
    let sums = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS")).expect("digests");
    assert_eq!(sums(&one), sums(&two), "the same programs, other bytes");
    run("sha256sum", &["--check", "--strict", "SHA256SUMS"], &one);

    // The archive.
    let archive = find(&names, ".tar.gz");
    run("tar", &["-xzf", &archive], &one);
    let top = one.join(archive.trim_end_matches(".tar.gz"));
    for program in ["cloister", "sandbox"] {
        let unpacked = top.join("bin").join(program);
        assert_version(program, &version(&unpacked));
        for file in [
            format!("man/{program}.1"),
            format!("completions/{program}.bash"),
            format!("completions/_{program}"),
            format!("completions/{program}.fish"),
        ] {
            let text = fs::read_to_string(top.join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(text.contains(program), "{file}");
        }
    }
    assert!(top.join("LICENSE").is_file() && top.join("systemd/cloister.service").is_file());
    assert!(fs::read_to_string(top.join("man/cloister-backup.1")).expect("a page").contains("Examples"));

    // The Debian package, as `ar` and `tar` unpack it on any machine.
    run("ar", &["x", &find(&names, ".deb")], &one);
    assert_eq!(fs::read_to_string(one.join("debian-binary")).expect("a version"), "2.0\n");
    let (control, data) = (one.join("control"), one.join("data"));
    for (part, into) in [("control.tar.gz", &control), ("data.tar.gz", &data)] {
        fs::create_dir(into).expect("made");
        run("tar", &["-xzf", part, "-C", &into.display().to_string()], &one);
    }
    let fields = fs::read_to_string(control.join("control")).expect("fields");
    for field in ["Package: cloister\n", "Architecture: a", "Version: 0.", "Maintainer: "] {
        assert!(fields.contains(field), "{fields}");
    }
    run("md5sum", &["--check", "--strict", "--quiet", &control.join("md5sums").display().to_string()], &data);
    assert_eq!(version(&data.join("usr/bin/cloister")), version(&cloister()));
    assert_eq!(version(&data.join("usr/bin/sandbox")), version(&sandbox()));
    let same = |installed: &str, shipped: &str| {
        let read =
            |path: PathBuf| fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(read(data.join(installed)), read(root().join(shipped)));
    };
    same("usr/lib/systemd/system/cloister.service", "deploy/systemd/cloister.service");
    same("usr/lib/sysusers.d/cloister.conf", "deploy/systemd/cloister.sysusers");
    for script in ["postinst", "prerm", "postrm"] {
        run("sh", &["-n", &control.join(script).display().to_string()], &one);
    }
    // The package manager reads it, too, where there is one.
    if Command::new("dpkg-deb").arg("--version").output().is_ok() {
        let listed = run("dpkg-deb", &["--contents", &find(&names, ".deb")], &one);
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(listed.contains("./usr/share/man/man1/sandbox.1.gz") && !listed.contains("/target/"), "{listed}");
        assert!(listed.lines().all(|line| line.contains(" root/root ") || line.contains(" 0/0 ")), "{listed}");
    } else {
        not_run("what dpkg reads of the package: dpkg is not installed");
    }
}

/// The architecture that is not this machine's, what Debian calls it, and its number in ELF files.
fn other_architecture() -> (&'static str, &'static str, u16) {
    if cfg!(target_arch = "x86_64") { ("aarch64", "arm64", 183) } else { ("x86_64", "amd64", 62) }
}

/// Packs for an architecture what lies in a folder of builds.
fn pack(arch: &str, builds: &Path, into: &Path) -> Output {
    let mut command = Command::new(root().join("scripts/dist.sh"));
    command.args(["--no-build", "--arch", arch, "--into"]).arg(into).current_dir(root());
    command.env("CARGO_TARGET_DIR", builds).output().expect("the script starts")
}

/// A folder of builds with this machine's programs, and a folder in it for those of the other architecture.
fn builds() -> (TempDir, PathBuf) {
    let builds = tempfile::tempdir().expect("a folder");
    symlink(cloister().parent().expect("a folder"), builds.path().join("release")).expect("a link");
    let (arch, ..) = other_architecture();
    let other = builds.path().join(format!("servers/{arch}-unknown-linux-gnu/release"));
    fs::create_dir_all(&other).expect("made");
    (builds, other)
}

#[test]
fn a_package_holds_no_program_of_another_architecture_and_none_that_needs_libraries() {
    let (builds, other) = builds();
    let (arch, ..) = other_architecture();
    let into = builds.path().join("dist");
    let refused = |arch: &str, reason: &str| {
        let output = pack(arch, builds.path(), &into);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(reason), "{reason}: {said}");
        let made = fs::read_dir(&into).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        assert_eq!(made.collect::<Vec<_>>(), Vec::<std::ffi::OsString>::new());
    };
    refused(arch, "was not built");
    for program in ["cloister", "sandbox"] {
        symlink(cloister(), other.join(program)).expect("a link");
    }
    refused(arch, &format!("is not a program for {arch}"));
    // This test is a dynamic program.
    fs::remove_file(builds.path().join("release")).expect("removed");
    fs::create_dir(builds.path().join("release")).expect("made");
    symlink(std::env::current_exe().expect("a path"), builds.path().join("release/cloister")).expect("a link");
    refused("here", "is not static");
}

/// They cannot be run here. That they are what they say, and that nothing is missing, can be seen.
#[test]
fn packages_for_another_architecture_hold_the_same_files() {
    let (arch, debian, machine) = other_architecture();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let built = target.join(format!("servers/{arch}-unknown-linux-gnu/release"));
    if !built.join("sandbox").is_file() {
        return not_run(&format!("packages for {arch}: `scripts/servers.sh {arch}` builds the programs"));
    }
    let (builds, other) = builds();
    for program in ["cloister", "sandbox"] {
        symlink(built.join(program), other.join(program)).expect("a link");
    }
    let contents = |arch: &str| {
        let into = builds.path().join(arch);
        let output = pack(arch, builds.path(), &into);
        assert!(output.status.success(), "{output:?}");
        let names = fs::read_dir(&into).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let names: Vec<String> = names.map(|name| name.into_string().expect("text")).collect();
        run("ar", &["x", &find(&names, ".deb")], &into);
        run("tar", &["-xzf", "control.tar.gz", "./control"], &into);
        run("tar", &["-xzf", "data.tar.gz"], &into);
        let listed = run("tar", &["-tzf", "data.tar.gz"], &into);
        let fields = fs::read_to_string(into.join("control")).expect("fields");
        (names, fields, String::from_utf8(listed.stdout).expect("names"), into)
    };
    let (_, _, here, _) = contents("here");
    let (names, fields, there, into) = contents(arch);
    assert_eq!(here, there);
    assert!(fields.contains(&format!("Architecture: {debian}\n")), "{fields}");
    assert!(find(&names, ".deb").ends_with(&format!("_{debian}.deb")), "{names:?}");
    assert!(find(&names, ".tar.gz").ends_with(&format!("-{arch}-linux.tar.gz")), "{names:?}");
    for program in ["cloister", "sandbox"] {
        let bytes = fs::read(into.join("usr/bin").join(program)).expect("a program");
        assert!(bytes.starts_with(b"\x7fELF\x02\x01"), "{program}: 64 bits, little-endian");
        assert_eq!(u16::from_le_bytes([bytes[18], bytes[19]]), machine, "{program}");
    }
}
