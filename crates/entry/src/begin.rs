use crate::Begin;
use cloister_model::ContainerEnd;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

/// Claims the run, and copies this program to where the container of the algorithm finds it.
///
/// The claim comes first, and the container of the algorithm never mounts it: what runs there cannot give it back. A pod that
/// ends after the claim and before the algorithm costs the run, and never makes it two.
///
/// # Errors
/// [`ContainerEnd::BegunBefore`] if the claim is taken, [`ContainerEnd::HostFault`] with the reason on stderr otherwise.
pub fn begin(order: &Begin) -> Result<(), (ContainerEnd, String)> {
    let fault = |what: &str, path: &Path, error: io::Error| {
        (ContainerEnd::HostFault, format!("{what} `{}`: {error}", path.display()))
    };
    let mut claim = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&order.claim) {
        Ok(claim) => claim,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err((ContainerEnd::BegunBefore, "the run was begun before, and is not begun twice".to_owned()));
        }
        Err(error) => return Err(fault("the claim", &order.claim, error)),
    };
    let parent = order.claim.parent().unwrap_or(Path::new("/"));
    claim
        .write_all(b"container\n")
        // The entry of the folder survives a power cut if any effect of the run does.
        .and_then(|()| File::open(parent)?.sync_all())
        .map_err(|error| fault("the claim", &order.claim, error))?;
    fs::copy("/proc/self/exe", &order.copy_to)
        .and_then(|_| fs::set_permissions(&order.copy_to, fs::Permissions::from_mode(0o555)))
        .map_err(|error| fault("this program cannot be copied to", &order.copy_to, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_begun_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let order = Begin { claim: folder.path().join("claim"), copy_to: folder.path().join("entry") };
        begin(&order).expect("begun");
        let copied = fs::metadata(&order.copy_to).expect("the program");
        assert_eq!((copied.permissions().mode() & 0o777, copied.len() > 1000), (0o555, true));
        fs::remove_file(&order.copy_to).expect("removed");
        let (end, _) = begin(&order).expect_err("begun before");
        assert_eq!((end, order.copy_to.exists()), (ContainerEnd::BegunBefore, false));
        let elsewhere = Begin { claim: folder.path().join("none/claim"), ..order };
        assert_eq!(begin(&elsewhere).expect_err("no folder").0, ContainerEnd::HostFault);
    }
}
