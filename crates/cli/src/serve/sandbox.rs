use crate::exit::Usage;
use std::{
    env,
    ffi::OsStr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

const NAME: &str = "sandbox";

/// Finds the sandbox program: the one that was named, else the one beside this program, else the first on PATH.
pub(crate) fn find(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let beside = env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    find_in(given, beside.as_deref(), env::var_os("PATH").as_deref())
}

fn find_in(given: Option<&Path>, beside: Option<&Path>, path: Option<&OsStr>) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        let found = is_program(given).then(|| std::path::absolute(given).ok()).flatten();
        return found.ok_or_else(|| {
            Usage::error(format!("the sandbox program `{}` is not an executable file", given.display()))
        });
    }
    let beside = beside.into_iter().map(Path::to_owned);
    // Empty and relative entries of PATH depend on the current folder, so they are not searched.
    let on_path = path.into_iter().flat_map(env::split_paths).filter(|folder| folder.is_absolute());
    let mut programs = beside.chain(on_path).map(|folder| folder.join(NAME));
    programs.find(|program| is_program(program)).ok_or_else(|| {
        Usage::error("the `sandbox` program was not found beside this program or on PATH; build it (`make build`), or name it with --sandbox")
    })
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_named_program_precedes_the_one_beside_and_that_precedes_path() {
        let (beside, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let program = |folder: &Path, mode| {
            let path = folder.join(NAME);
            fs::write(&path, "").expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            path
        };
        let on_path = program(other.path(), 0o755);
        let path = env::join_paths([Path::new(""), Path::new("relative"), other.path()]).expect("a path");
        let find = |given: Option<&Path>| find_in(given, Some(beside.path()), Some(&path));
        assert_eq!(find(None).expect("found"), on_path);
        let near = program(beside.path(), 0o644);
        assert_eq!(find(None).expect("found"), on_path);
        program(beside.path(), 0o755);
        assert_eq!(find(None).expect("found"), near);
        assert_eq!(find(Some(&on_path)).expect("found"), on_path);
        assert!(find(Some(Path::new("/nowhere/sandbox"))).is_err());
        assert!(find_in(None, None, None).is_err());
    }
}
