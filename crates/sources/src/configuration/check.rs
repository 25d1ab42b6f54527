//! A look at sources before a job needs them: does each answer, how large is it, is it what was agreed.
//!
//! It asks as a fetch does, under the same rules, once, and keeps nothing.

use super::{Fetcher, place::Place};
use crate::fetch::{Bounds, Failure, LookedAt, MOST_COMPARED_BYTES, look};
use cloister_model::{FileDigest, JobId, Location, Sha256, Source, SourceCheck, SourceOutcome, Sources};
use futures_util::{StreamExt as _, stream};
use sha2::Digest as _;
use std::{io::Read as _, path::PathBuf, time::Duration};

/// The most sources of one check: a check is for a person who waits, and asks the servers of strangers.
const MOST_CHECKED: usize = 100;

/// How long one source may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of a local file that are read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

impl Fetcher {
    /// Looks at each of these files, a few at a time. In their order.
    pub(crate) async fn check(&self, sources: &Sources) -> Vec<SourceCheck> {
        let one = |(index, source): (usize, &Source)| {
            let (place, location) = (source.location().describe(), source.location().clone());
            let bounds = Bounds {
                max_bytes: self.policy.max_file_bytes,
                bytes: source.bytes(),
                sha256: source.sha256(),
                file: index,
            };
            async move {
                if index >= MOST_CHECKED {
                    return SourceCheck { place, outcome: SourceOutcome::Skipped };
                }
                let looked = tokio::time::timeout(PATIENCE, self.look_at(&location, bounds)).await;
                let late = || Failure::Source(format!("it did not answer within {} s", PATIENCE.as_secs()));
                let outcome = match looked.unwrap_or_else(|_| Err(late())) {
                    Ok(LookedAt { bytes, sha256 }) => SourceOutcome::Found { bytes, sha256 },
                    Err(failure) => SourceOutcome::Failed(failure.to_string()),
                };
                SourceCheck { place, outcome }
            }
        };
        let checks: Vec<_> = sources.files().iter().enumerate().map(one).collect();
        stream::iter(checks).buffered(self.policy.parallel).collect().await
    }

    async fn look_at(&self, location: &Location, bounds: Bounds) -> Result<LookedAt, Failure> {
        match Place::of(location, &self.clients, &self.policy)? {
            Place::Remote(remote) => look(&remote, &self.clients, &self.policy, bounds).await,
            Place::Local(path) => self.look_at_local(path.to_owned(), bounds).await,
            Place::Inline(content) => {
                let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
                known(FileDigest { sha256: Sha256::of(content), bytes }, bounds)
            }
            Place::Upload(sha256) => self.look_at_upload(sha256, bounds).await,
            Place::Result { job, index } => self.look_at_result(job, index, bounds).await,
        }
    }

    async fn look_at_local(&self, path: PathBuf, bounds: Bounds) -> Result<LookedAt, Failure> {
        let roots = self.roots.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let mut local = roots.open(&path)?;
            bounds.has_size(local.bytes)?;
            let compared = bounds.sha256.filter(|_| local.bytes <= MOST_COMPARED_BYTES);
            let mut chunk = vec![0; if compared.is_some() { CHUNK_BYTES } else { 1 }];
            let (mut hash, mut bytes) = (sha2::Sha256::new(), 0_u64);
            loop {
                let read = local.file.read(&mut chunk);
                let read = read.map_err(|error| Failure::Source(format!("it cannot be read ({})", error.kind())))?;
                bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
                if read == 0 {
                    return known(FileDigest { sha256: Sha256::from_bytes(hash.finalize().into()), bytes }, bounds);
                }
                // It may grow while it is read.
                if compared.is_none() || bytes > MOST_COMPARED_BYTES {
                    return Ok(LookedAt { bytes: Some(local.bytes), sha256: None });
                }
                hash.update(chunk.get(..read).unwrap_or_default());
            }
        });
        looked.await.unwrap_or_else(|_| Err(Failure::System("a look at a file broke".to_owned())))
    }

    async fn look_at_upload(&self, sha256: Sha256, bounds: Bounds) -> Result<LookedAt, Failure> {
        let path = self.uploads.join(sha256.to_string());
        let here = tokio::fs::symlink_metadata(&path).await.ok().filter(std::fs::Metadata::is_file);
        let bytes = match here {
            Some(found) => Some(found.len()),
            None => self.results.upload_size(sha256).await.map_err(super::gather::stored_failure)?,
        };
        let bytes = bytes.ok_or_else(|| Failure::Source("there is no such upload; send it again".to_owned()))?;
        known(FileDigest { sha256, bytes }, bounds)
    }

    async fn look_at_result(&self, job: JobId, index: u32, bounds: Bounds) -> Result<LookedAt, Failure> {
        let file = self.results.describe(job, index).await.map_err(super::gather::stored_failure)?;
        known(FileDigest { sha256: file.sha256, bytes: file.bytes }, bounds)
    }
}

/// A file whose size and digest are known.
fn known(file: FileDigest, bounds: Bounds) -> Result<LookedAt, Failure> {
    bounds.check(file)?;
    Ok(LookedAt { bytes: Some(file.bytes), sha256: bounds.sha256 })
}
