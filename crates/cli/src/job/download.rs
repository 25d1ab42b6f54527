//! Downloads results. Their names are a guest's text, and the folder may hold anything. Nothing is written outside the
//! folder or through a symbolic link, and a file gets its name only when it is complete and has the listed digest.

#[cfg(unix)]
mod by_descriptor;
#[cfg(any(test, not(unix)))]
mod by_path;
mod names;

#[cfg(unix)]
pub(super) use by_descriptor::Folder;
#[cfg(not(unix))]
pub(super) use by_path::Folder;

#[cfg(unix)]
use by_descriptor::Target;
#[cfg(not(unix))]
use by_path::Target;

use crate::{
    client::{Client, ClientError, ResultFile},
    exit::{Ended, FAILED, Usage},
    output::{Progress, shown},
};
use anyhow::Context as _;
use cloister_model::Sha256;
use names::{HERE, OURS, names};
use reqwest::{
    Method, StatusCode,
    header::{IF_RANGE, RANGE},
};
use sha2::Digest as _;
use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    time::Duration,
};

/// How often a download is resumed without having received a byte in between.
const MOST_FAILURES: u32 = 5;

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
    let names = names(list, HERE);
    for (listed, name) in list.iter().zip(&names) {
        let target = folder.target(name)?;
        match target.present()?.map(|mut file| digest(&mut file)).transpose()?.map(|(found, _)| found) {
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
    let begun = format!("{OURS}{job}-{}.part", listed.index);
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
        // An open file can neither be removed nor renamed on Windows.
        drop(file);
        target.remove(&begun).context("removing a wrong download")?;
        return Err(Ended::error(FAILED, "the downloaded bytes do not have the listed digest; they were deleted"));
    }
    file.sync_all().context("writing")?;
    drop(file);
    target.finish(&begun).context("renaming")
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
