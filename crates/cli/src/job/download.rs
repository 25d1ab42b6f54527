//! Downloads results. Their names are a guest's text, and the folder may hold anything. Nothing is written outside the
//! folder or through a symbolic link, and a file gets its name only when it is complete and has the listed digest.

use crate::{
    client::{Client, ClientError, ResultFile},
    exit::{Ended, FAILED, Usage},
    output::{Progress, shown},
};
use anyhow::Context as _;
use cloister_model::{ResultKind, Sha256, escape};
use reqwest::{
    Method, StatusCode,
    header::{IF_RANGE, RANGE},
};
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, renameat, unlinkat},
    io::Errno,
};
use sha2::Digest as _;
use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    os::fd::OwnedFd,
    path::Path,
    time::Duration,
};

/// How often a download is resumed without having received a byte in between.
const MOST_FAILURES: u32 = 5;

/// Maximum segments of a name. The host lets no guest create more.
const MOST_SEGMENTS: usize = 32;

/// The folder that results are downloaded to.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

/// Where one result goes: an open folder, and a name in it.
struct Target {
    parent: OwnedFd,
    name: String,
}

impl Folder {
    /// Opens the folder, and creates it if it does not exist. Links in this path are followed: the caller chose it.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| Usage::error(format!("`{}`: {error}", path.display())))?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = openat(CWD, path, flags, Mode::empty());
        Ok(Self(folder.map_err(|error| Usage::error(format!("`{}`: {error}", path.display())))?))
    }

    /// Opens the directory that a name is in, and creates it if it does not exist. Follows no links.
    fn target(&self, name: &str) -> anyhow::Result<Target> {
        let (above, last) = name.rsplit_once('/').map_or(("", name), |(above, last)| (above, last));
        let mut parent = self.0.try_clone().context("the folder")?;
        for segment in above.split('/').filter(|segment| !segment.is_empty()) {
            match mkdirat(&parent, segment, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(Usage::error(format!("`{}`: {error}", shown(name)))),
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
            parent = openat(&parent, segment, flags, Mode::empty()).map_err(|error| {
                Usage::error(format!("`{}`: `{}` is a link or not a folder ({error})", shown(name), shown(segment)))
            })?;
        }
        Ok(Target { parent, name: last.to_owned() })
    }
}

impl Target {
    /// The digest of the file that exists under this name, if there is one.
    fn present(&self) -> anyhow::Result<Option<Sha256>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match openat(&self.parent, self.name.as_str(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => {
                return Err(Usage::error(format!("`{}` exists and cannot be read: {error}", shown(&self.name))));
            }
        };
        if !file.metadata().context("reading an existing file")?.is_file() {
            return Err(Usage::error(format!("`{}` exists and is not a file", shown(&self.name))));
        }
        Ok(Some(digest(&mut file)?.0))
    }

    /// Opens the file that holds the download until it is complete.
    fn part(&self, name: &str) -> anyhow::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.parent, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| Usage::error(format!("`{}` cannot be written: {error}", shown(name))))?;
        let file = File::from(file);
        let metadata = file.metadata().context("reading an interrupted download")?;
        if metadata.is_file() { Ok(file) } else { Err(Usage::error(format!("`{}` is not a file", shown(name)))) }
    }
}

/// Names below the folder, one for each result. They are distinct, and none leads out of the folder. A guest's name is
/// kept where that is safe.
fn names(list: &[ResultFile]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut folders = BTreeSet::new();
    list.iter()
        .map(|listed| {
            let plain = is_plain(&listed.name) && (listed.kind == ResultKind::Output || !listed.name.contains('/'));
            let mut name = if plain { listed.name.clone() } else { format!("result-{}", listed.index) };
            let fits = |name: &str, taken: &BTreeSet<String>, folders: &BTreeSet<String>| {
                !taken.contains(name) && !folders.contains(name) && above(name).all(|folder| !taken.contains(folder))
            };
            let mut attempt = 0_u32;
            while !fits(&name, &taken, &folders) {
                attempt += 1;
                name = format!("result-{}-{attempt}", listed.index);
            }
            folders.extend(above(&name).map(str::to_owned));
            taken.insert(name.clone());
            name
        })
        .collect()
}

/// The folders that a name is in.
fn above(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(end, _)| &name[..end])
}

/// Whether a guest's name can be used as a path: relative, without `..`, without characters that hide or control text, and
/// not a name of our own.
fn is_plain(name: &str) -> bool {
    let segment = |segment: &str| {
        (1..=255).contains(&segment.len()) && !matches!(segment, "." | "..") && !segment.starts_with(".cloister-")
    };
    name.len() <= 1024
        && escape(name.as_bytes(), usize::MAX).to_string() == name
        && name.split('/').count() <= MOST_SEGMENTS
        && name.split('/').all(segment)
}

/// Downloads every result that is missing. Returns their names below the folder.
///
/// # Errors
/// If one cannot be downloaded, or differs from the list. Those before it are complete.
pub(super) async fn fetch_all(
    client: &Client,
    path: &[&str],
    job: &str,
    list: &[ResultFile],
    folder: &Folder,
    replace: bool,
) -> anyhow::Result<Vec<String>> {
    let names = names(list);
    for (listed, name) in list.iter().zip(&names) {
        let target = folder.target(name)?;
        match target.present()? {
            Some(present) if present == listed.sha256 => continue,
            Some(_) if !replace => {
                return Err(Usage::error(format!(
                    "`{}` exists with other content; --force overwrites it",
                    shown(name)
                )));
            }
            _ => {}
        }
        fetch(client, path, job, listed, &target)
            .await
            .with_context(|| format!("result {} ({})", listed.index, shown(name)))?;
    }
    Ok(names)
}

async fn fetch(client: &Client, path: &[&str], job: &str, listed: &ResultFile, target: &Target) -> anyhow::Result<()> {
    let begun = format!(".cloister-{job}-{}.part", listed.index);
    let mut file = target.part(&begun)?;
    let (mut progress, mut failures) = (Progress::new(), 0);
    loop {
        // Hashed from the beginning: another program may have written the file.
        let (_, mut have) = digest(&mut file)?;
        if have > listed.bytes {
            file.set_len(0).context("writing")?;
            have = 0;
        }
        if have == listed.bytes {
            break;
        }
        let before = have;
        match gather(client, path, listed, &mut file, have, &mut progress).await {
            Ok(()) => {}
            Err(error)
                if error.downcast_ref::<ClientError>().is_some_and(ClientError::is_passing)
                    && failures < MOST_FAILURES => {}
            Err(error) => return Err(error),
        }
        let now = file.metadata().context("reading a download")?.len();
        failures = if now > before { 0 } else { failures + 1 };
        if failures > MOST_FAILURES {
            return Err(ClientError::Broken("the download makes no progress".to_owned()).into());
        }
        if now < listed.bytes {
            tokio::time::sleep(Duration::from_millis(200 << failures.min(5))).await;
        }
    }
    progress.clear();
    let (found, _) = digest(&mut file)?;
    if found != listed.sha256 {
        unlinkat(&target.parent, begun.as_str(), AtFlags::empty()).context("removing a wrong download")?;
        return Err(Ended::error(FAILED, "the downloaded bytes do not have the listed digest; they were deleted"));
    }
    file.sync_all().context("writing")?;
    renameat(&target.parent, begun.as_str(), &target.parent, target.name.as_str()).context("renaming")?;
    Ok(())
}

async fn gather(
    client: &Client,
    path: &[&str],
    listed: &ResultFile,
    file: &mut File,
    have: u64,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let index = listed.index.to_string();
    let segments: Vec<&str> = path.iter().copied().chain([index.as_str()]).collect();
    let mut request = client.request(Method::GET, &segments, &[])?;
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-")).header(IF_RANGE, format!("\"{}\"", listed.sha256));
    }
    let mut response = client.send(request).await?;
    let mut have = have;
    if response.status() != StatusCode::PARTIAL_CONTENT {
        file.set_len(0).context("writing")?;
        have = 0;
    }
    file.seek(SeekFrom::Start(have)).context("writing")?;
    while let Some(chunk) = response.chunk().await.map_err(|error| client.fault(&error))? {
        have += chunk.len() as u64;
        if have > listed.bytes {
            return Err(Ended::error(FAILED, "the service sends more bytes than it lists"));
        }
        file.write_all(&chunk).context("writing")?;
        progress.show(&format!("{have} of {} bytes", listed.bytes));
    }
    Ok(())
}

fn digest(file: &mut File) -> anyhow::Result<(Sha256, u64)> {
    file.seek(SeekFrom::Start(0)).context("reading")?;
    let (mut hash, mut bytes, mut buffer) = (sha2::Sha256::new(), 0, vec![0; 256 * 1024]);
    loop {
        let read = file.read(&mut buffer).context("reading")?;
        if read == 0 {
            return Ok((Sha256::from_bytes(hash.finalize().into()), bytes));
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests;
