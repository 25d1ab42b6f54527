//! Results on their way to this machine's disk. Their names are a guest's text, and the folder may hold anything: nothing
//! is written outside it, through no link, and nothing appears under its name before it is whole and what it should be.

use super::results::Listed;
use crate::{
    client::{Client, ClientError},
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

/// How often a download is taken up again without a byte in between.
const MOST_FAILURES: u32 = 5;

/// Segments of a name; no guest can make more.
const MOST_SEGMENTS: usize = 32;

/// Where results go.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

/// An open place for one result.
struct Place {
    parent: OwnedFd,
    name: String,
}

impl Folder {
    /// Opens the folder, and makes it if it is not there. Links on the way to it are the caller's own business.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| Usage::error(format!("`{}`: {error}", path.display())))?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let folder = openat(CWD, path, flags, Mode::empty());
        Ok(Self(folder.map_err(|error| Usage::error(format!("`{}`: {error}", path.display())))?))
    }

    /// The directory that a name is in, made if it is not there, through no link.
    fn place(&self, name: &str) -> anyhow::Result<Place> {
        let (above, last) = name.rsplit_once('/').map_or(("", name), |(above, last)| (above, last));
        let mut parent = self.0.try_clone().context("the folder")?;
        for segment in above.split('/').filter(|segment| !segment.is_empty()) {
            match mkdirat(&parent, segment, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(Usage::error(format!("`{}`: {error}", shown(name)))),
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
            parent = openat(&parent, segment, flags, Mode::empty()).map_err(|error| {
                Usage::error(format!("`{}`: `{}` is no folder, or a link ({error})", shown(name), shown(segment)))
            })?;
        }
        Ok(Place { parent, name: last.to_owned() })
    }
}

impl Place {
    /// What is there already under the name: its digest; none if there is nothing.
    fn present(&self) -> anyhow::Result<Option<Sha256>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match openat(&self.parent, self.name.as_str(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => {
                return Err(Usage::error(format!("`{}` is there and cannot be read: {error}", shown(&self.name))));
            }
        };
        if !file.metadata().context("reading what is there")?.is_file() {
            return Err(Usage::error(format!("`{}` is there and is no file", shown(&self.name))));
        }
        Ok(Some(digest(&mut file)?.0))
    }

    /// The file that bytes are gathered in.
    fn part(&self, name: &str) -> anyhow::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.parent, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| Usage::error(format!("`{}` cannot be written: {error}", shown(name))))?;
        let file = File::from(file);
        let metadata = file.metadata().context("reading what was begun")?;
        if metadata.is_file() { Ok(file) } else { Err(Usage::error(format!("`{}` is no file", shown(name)))) }
    }
}

/// Names below the folder, one for each result, all different, none of them a way out. A guest's name is kept if it can be.
fn names(list: &[Listed]) -> Vec<String> {
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

/// Whether a guest's name can be a path as it is: relative, no way up, nothing that hides or acts, and not one of ours.
fn is_plain(name: &str) -> bool {
    let segment = |segment: &str| {
        (1..=255).contains(&segment.len()) && !matches!(segment, "." | "..") && !segment.starts_with(".cloister-")
    };
    name.len() <= 1024
        && escape(name.as_bytes(), usize::MAX).to_string() == name
        && name.split('/').count() <= MOST_SEGMENTS
        && name.split('/').all(segment)
}

/// Fetches every result that is not there yet. Answers with their names below the folder.
///
/// # Errors
/// If one cannot be fetched, or is not what the list says; those before it are there.
pub(super) async fn fetch_all(
    client: &Client,
    path: &[&str],
    job: &str,
    list: &[Listed],
    folder: &Folder,
    replace: bool,
) -> anyhow::Result<Vec<String>> {
    let names = names(list);
    for (listed, name) in list.iter().zip(&names) {
        let place = folder.place(name)?;
        match place.present()? {
            Some(present) if present == listed.sha256 => continue,
            Some(_) if !replace => {
                return Err(Usage::error(format!(
                    "`{}` is there and is another file; --force replaces it",
                    shown(name)
                )));
            }
            _ => {}
        }
        fetch(client, path, job, listed, &place)
            .await
            .with_context(|| format!("result {} ({})", listed.index, shown(name)))?;
    }
    Ok(names)
}

async fn fetch(client: &Client, path: &[&str], job: &str, listed: &Listed, place: &Place) -> anyhow::Result<()> {
    let begun = format!(".cloister-{job}-{}.part", listed.index);
    let mut file = place.part(&begun)?;
    let (mut progress, mut failures) = (Progress::new(), 0);
    loop {
        // Hashed again: what was begun may be anybody's.
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
        let now = file.metadata().context("reading what was written")?.len();
        failures = if now > before { 0 } else { failures + 1 };
        if failures > MOST_FAILURES {
            return Err(ClientError::Broken("no more bytes come".to_owned()).into());
        }
        if now < listed.bytes {
            tokio::time::sleep(Duration::from_millis(200 << failures.min(5))).await;
        }
    }
    progress.clear();
    let (found, _) = digest(&mut file)?;
    if found != listed.sha256 {
        unlinkat(&place.parent, begun.as_str(), AtFlags::empty()).context("removing what is wrong")?;
        return Err(Ended::error(FAILED, "the bytes are not those that the service lists; they are thrown away"));
    }
    file.sync_all().context("writing")?;
    renameat(&place.parent, begun.as_str(), &place.parent, place.name.as_str()).context("renaming")?;
    Ok(())
}

async fn gather(
    client: &Client,
    path: &[&str],
    listed: &Listed,
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
#[path = "download_tests.rs"]
mod tests;
