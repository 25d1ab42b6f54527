//! The runtimes in the home that all tests share: installed and compiled once, by whichever test comes first.

use crate::{program, shared_home};
use std::{fs, process::Stdio, sync::Once};

/// Installs `python` for the `deterministic` profile, if that was not done before. Needs pip and its index the first
/// time, and about a minute of compiling.
///
/// # Panics
/// If it cannot be installed: with what the program said.
pub fn install_python() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| install("python"));
}

/// Installs `python-plain` in the same way, of the files of `python`. It is another module than the snapshot of `python`, so that it
/// takes about a minute of compiling, too, the first time.
///
/// # Panics
/// If it cannot be installed: with what the program said.
pub fn install_python_plain() {
    static INSTALLED: Once = Once::new();
    install_python();
    INSTALLED.call_once(|| install("python-plain"));
}

/// Installs `javascript`, in the same way. Takes seconds.
///
/// # Panics
/// If it cannot be installed: with what the program said.
pub fn install_javascript() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| install("javascript"));
}

fn install(name: &str) {
    fs::create_dir_all(shared_home()).expect("the shared home");
    // Several test programs run side by side. The lock goes with the file.
    let lock = fs::File::create(shared_home().join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("locked");
    for arguments in [["runtime", "add", name], ["compile", "--runtime", name]] {
        let ended = program().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        let ended = ended.expect("the program starts");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "`sandbox {}` failed:\n{said}", arguments.join(" "));
    }
}
