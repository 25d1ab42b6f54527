//! Files that stay where they are: in folders that are mounted where the algorithm runs. They are checked, and not copied.

use crate::fetch::{Failure, look_below};
use cloister_model::{Did, Location, MountedFile, Source};
use std::path::PathBuf;

/// A folder that the operator has given to the publisher of a dataset, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountedRoot {
    /// The dataset. Another one of the same job does not reach into this folder.
    pub did: Did,
    /// What the paths of sources begin with.
    pub path: PathBuf,
    /// Where the folder is mounted, here and where the algorithm runs.
    pub folder: PathBuf,
}

/// The file that a source of a dataset names in one of these folders; none: it is in none of them. Blocking.
pub(super) fn find(
    roots: &[MountedRoot],
    did: &Did,
    number: usize,
    source: &Source,
) -> Result<Option<MountedFile>, Failure> {
    let Location::Local(path) = source.location() else { return Ok(None) };
    let below = roots.iter().filter(|root| root.did == *did);
    let below = below.filter_map(|root| Some((root, path.as_path().strip_prefix(&root.path).ok()?)));
    // Of nested folders, the innermost.
    let Some((root, rest)) = below.min_by_key(|(_, rest)| rest.components().count()) else { return Ok(None) };
    let found = look_below(&root.folder, rest)?;
    if let Some(bytes) = source.bytes().filter(|bytes| *bytes != found) {
        return Err(Failure::Content(format!("{bytes} bytes are expected, these are {found}")));
    }
    let number = u32::try_from(number).map_err(|_| Failure::Refused("it has too many files before it".to_owned()))?;
    Ok(Some(MountedFile {
        did: did.clone(),
        number,
        root: root.folder.clone(),
        path: rest.to_owned(),
        sha256: source.sha256(),
    }))
}
