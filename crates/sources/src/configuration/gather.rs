//! Files of all kinds of sources, into the cache: several at a time, each under one set of bounds.

use super::{Fetcher, origin::origin, place::Place};
use crate::{
    FetchError,
    cache::{Fresh, Held, Origin, Partial},
    fetch::{Bounds, Failure, LocalFile, Meter, Remote, transfer},
};
use bytes::Bytes;
use cloister_model::{ByteRange, JobId, Location, Sha256, Source, StoredResultsError, StoredResultsFuture};
use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use sha2::Digest as _;
use std::{
    io::{self, Read},
    path::PathBuf,
    sync::Arc,
};

/// Bytes of a local file or a result that are in memory at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

impl Fetcher {
    /// All of these files, in their order. The first failure ends the others.
    pub(super) async fn gather(&self, sources: &[Source], meter: &Meter) -> Result<Vec<Held>, FetchError> {
        self.gather_some(sources.iter().enumerate().collect(), meter).await
    }

    /// Some files of a list, each with its place in it.
    pub(super) async fn gather_some(
        &self,
        sources: Vec<(usize, &Source)>,
        meter: &Meter,
    ) -> Result<Vec<Held>, FetchError> {
        let first = meter.expect(sources.iter().map(|(_, source)| source.bytes()));
        let mut work = Vec::with_capacity(sources.len());
        for (nth, (index, source)) in sources.into_iter().enumerate() {
            let (bytes, sha256, max_bytes) = (source.bytes(), source.sha256(), self.policy.max_file_bytes);
            let bounds = Bounds { max_bytes, bytes, sha256, file: first + nth };
            let fetch = self.fetch_one(source.location(), origin(source), bounds, meter);
            work.push(async move { fetch.await.map_err(|failure| failure.of(index, source.location().describe())) });
        }
        stream::iter(work).buffered(self.policy.parallel).try_collect().await
    }

    /// Boxed, so that it is compiled here, and not again in each program.
    fn fetch_one<'a>(
        &'a self,
        location: &'a Location,
        origin: Origin,
        bounds: Bounds,
        meter: &'a Meter,
    ) -> BoxFuture<'a, Result<Held, Failure>> {
        Box::pin(self.one(location, origin, bounds, meter))
    }

    async fn one(&self, location: &Location, origin: Origin, bounds: Bounds, meter: &Meter) -> Result<Held, Failure> {
        let remote = match Place::of(location, &self.clients, &self.policy)? {
            Place::Remote(remote) => remote,
            Place::Local(path) => return self.local(path.to_owned(), bounds, meter).await,
            Place::Inline(content) => return self.inline(content, origin, bounds, meter).await,
            Place::Upload(sha256) => return self.upload(sha256, origin, bounds, meter).await,
            Place::Result { job, index } => return self.result(job, index, origin, bounds, meter).await,
        };
        // Only what cannot change is the same the next time: what is named by a digest, or by its own.
        if bounds.sha256.is_none() && !matches!(location, Location::Ipfs(_)) {
            return self.keep(self.remote(&remote, bounds, meter).await?, None).await;
        }
        // Waiting for another fetch of the same source takes no turn.
        let lock = self.under_way(origin);
        let _alone = lock.lock().await;
        if let Some(held) = self.known(origin, bounds, meter)? {
            return Ok(held);
        }
        self.keep(self.remote(&remote, bounds, meter).await?, Some(origin)).await
    }

    async fn remote(&self, remote: &Remote, bounds: Bounds, meter: &Meter) -> Result<Fresh, Failure> {
        let partial = self.begin()?;
        transfer(remote, &self.clients, &self.policy, partial, bounds, meter).await
    }

    async fn local(&self, path: PathBuf, bounds: Bounds, meter: &Meter) -> Result<Held, Failure> {
        let roots = self.roots.clone();
        let local = blocking(move || roots.open(&path)).await?;
        // The same version of the same file need not be read again.
        let origin = local.version().map(Sha256::from_bytes);
        if let Some(held) = origin.map(|origin| self.known(origin, bounds, meter)).transpose()?.flatten() {
            return Ok(held);
        }
        bounds.fits(local.bytes)?;
        meter.total(bounds.file, local.bytes);
        let _turn = meter.turn().await?;
        let (fresh, origin) = self.copy_local(local, bounds, meter).await?;
        self.keep(fresh, origin).await
    }

    async fn copy_local(
        &self,
        local: LocalFile,
        bounds: Bounds,
        meter: &Meter,
    ) -> Result<(Fresh, Option<Origin>), Failure> {
        let mut partial = self.begin()?;
        let (mut local, mut bytes) = (local, 0_u64);
        loop {
            let (file, chunk) = blocking(move || {
                let mut chunk = Vec::with_capacity(CHUNK_BYTES);
                let most = u64::try_from(CHUNK_BYTES).map_err(io::Error::other)?;
                local.file.by_ref().take(most).read_to_end(&mut chunk)?;
                Ok::<_, io::Error>((local, chunk))
            })
            .await
            .map_err(|error| Failure::Source(format!("it cannot be read ({})", error.kind())))?;
            local = file;
            if chunk.is_empty() {
                break;
            }
            bytes = arrive(&mut partial, chunk, bytes, bounds, meter).await?;
        }
        let fresh = finish(partial, bounds).await?;
        if !local.is_unchanged() {
            return Err(Failure::Source("it was changed while it was read".to_owned()));
        }
        let origin = local.version().map(Sha256::from_bytes);
        Ok((fresh, origin))
    }

    async fn inline(&self, content: &[u8], origin: Origin, bounds: Bounds, meter: &Meter) -> Result<Held, Failure> {
        if let Some(held) = self.known(origin, bounds, meter)? {
            return Ok(held);
        }
        let mut partial = self.begin()?;
        arrive(&mut partial, content.to_vec(), 0, bounds, meter).await?;
        self.keep(finish(partial, bounds).await?, Some(origin)).await
    }

    async fn upload(&self, sha256: Sha256, origin: Origin, bounds: Bounds, meter: &Meter) -> Result<Held, Failure> {
        if let Some(held) = self.known(origin, bounds, meter)? {
            return Ok(held);
        }
        // Whatever keeps it, it is what its name says or nothing.
        let bounds = Bounds { sha256: Some(sha256), ..bounds };
        let path = self.uploads.join(sha256.to_string());
        let cache = self.cache.clone();
        let fresh = blocking(move || match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => cache.adopt(&path).map(Some).map_err(|error| Failure::disk(&error)),
            _ => Ok(None),
        })
        .await?;
        let Some(fresh) = fresh else { return self.stored_upload(sha256, origin, bounds, meter).await };
        bounds.check(fresh.file())?;
        meter.total(bounds.file, fresh.file().bytes);
        meter.charge(fresh.file().bytes)?;
        self.keep(fresh, Some(origin)).await
    }

    /// An upload that the store of results keeps, because no folder of this machine has it.
    async fn stored_upload(
        &self,
        sha256: Sha256,
        origin: Origin,
        bounds: Bounds,
        meter: &Meter,
    ) -> Result<Held, Failure> {
        let size = self.results.upload_size(sha256).await.map_err(stored_failure)?;
        let bytes = size.ok_or_else(|| stored_failure(StoredResultsError::NoUpload(sha256)))?;
        let bounds = Bounds { bytes: bounds.bytes.or(Some(bytes)), ..bounds };
        let part = |range| self.results.upload_part(sha256, range);
        let fresh = self.copy_stored(part, bytes, bounds, meter).await?;
        self.keep(fresh, Some(origin)).await
    }

    async fn result(
        &self,
        job: JobId,
        index: u32,
        origin: Origin,
        bounds: Bounds,
        meter: &Meter,
    ) -> Result<Held, Failure> {
        let file = self.results.describe(job, index).await.map_err(stored_failure)?;
        let bounds =
            Bounds { bytes: bounds.bytes.or(Some(file.bytes)), sha256: bounds.sha256.or(Some(file.sha256)), ..bounds };
        // A result is what its job's manifest says, also if another job of that name should come.
        let mut hash = sha2::Sha256::new_with_prefix(origin.as_bytes());
        hash.update(file.sha256.as_bytes());
        let origin = Sha256::from_bytes(hash.finalize().into());
        if let Some(held) = self.known(origin, bounds, meter)? {
            return Ok(held);
        }
        let part = |range| self.results.read_part(job, index, range);
        let fresh = self.copy_stored(part, file.bytes, bounds, meter).await?;
        self.keep(fresh, Some(origin)).await
    }

    /// A file of the store of results, which has this size.
    async fn copy_stored<'a>(
        &self,
        part: impl Fn(ByteRange) -> StoredResultsFuture<'a, Vec<u8>>,
        size: u64,
        bounds: Bounds,
        meter: &Meter,
    ) -> Result<Fresh, Failure> {
        bounds.fits(size)?;
        meter.total(bounds.file, size);
        let _turn = meter.turn().await?;
        let (mut partial, mut bytes) = (self.begin()?, 0_u64);
        while bytes < size {
            let range = ByteRange { offset: bytes, at_most: u32::try_from(CHUNK_BYTES).unwrap_or(u32::MAX) };
            let chunk = part(range).await.map_err(stored_failure)?;
            if chunk.is_empty() {
                break;
            }
            bytes = arrive(&mut partial, chunk, bytes, bounds, meter).await?;
        }
        finish(partial, bounds).await
    }

    /// What this source gave before, counted as if it had come again.
    fn known(&self, origin: Origin, bounds: Bounds, meter: &Meter) -> Result<Option<Held>, Failure> {
        let Some(held) = self.cache.hold_from(origin, bounds.sha256) else { return Ok(None) };
        bounds.check(held.file())?;
        meter.total(bounds.file, held.file().bytes);
        meter.charge(held.file().bytes)?;
        Ok(Some(held))
    }

    fn begin(&self) -> Result<Partial, Failure> {
        self.cache.begin().map_err(|error| Failure::disk(&error))
    }

    async fn keep(&self, fresh: Fresh, origin: Option<Origin>) -> Result<Held, Failure> {
        let cache = Arc::clone(&self.cache);
        blocking(move || cache.keep(fresh, origin)).await.map_err(|error| Failure::disk(&error))
    }
}

pub(super) fn stored_failure(error: StoredResultsError) -> Failure {
    match error {
        StoredResultsError::Missing(_) => Failure::Source("the job has no such result any more".to_owned()),
        StoredResultsError::NoUpload(_) => Failure::Source("there is no such upload; send it again".to_owned()),
        StoredResultsError::Unavailable(_) => Failure::System(error.to_string()),
    }
}

/// A chunk more of a file of this machine; the bytes so far.
async fn arrive(
    partial: &mut Partial,
    chunk: Vec<u8>,
    before: u64,
    bounds: Bounds,
    meter: &Meter,
) -> Result<u64, Failure> {
    let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
    let bytes = before.saturating_add(length);
    bounds.fits(bytes)?;
    meter.charge(length)?;
    partial.write(Bytes::from(chunk)).await.map_err(|error| Failure::disk(&error))?;
    Ok(bytes)
}

async fn finish(partial: Partial, bounds: Bounds) -> Result<Fresh, Failure> {
    let fresh = partial.finish().await.map_err(|error| Failure::disk(&error))?;
    bounds.check(fresh.file())?;
    Ok(fresh)
}

trait Broken {
    fn broken() -> Self;
}

impl Broken for Failure {
    fn broken() -> Self {
        Self::System("a step of fetching broke".to_owned())
    }
}

impl Broken for io::Error {
    fn broken() -> Self {
        Self::other("a step of fetching broke")
    }
}

/// Disk work, on a thread that may wait.
async fn blocking<T: Send + 'static, E: Broken + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(E::broken()))
}
