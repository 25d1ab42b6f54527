use super::{ClusterStore, files::blocking};
use cloister_files::read_part;
use cloister_model::{
    Account, ByteRange, Inspection, Inspections, Sha256, SourceCheck, Sources, StoreError, StoreFuture,
};
use cloister_sources::inspect::Runner;
use std::{fs::File, io, sync::Arc, time::Duration};

/// Each replica inspects for itself. A file that another one fetched is missing here until it is inspected here.
impl Inspections for ClusterStore {
    fn inspect(&self, account: Account, sources: Sources, patience: Duration) -> StoreFuture<'_, Inspection> {
        Box::pin(async move {
            let inner = &self.inner;
            let runner = Runner { tasks: &inner.tasks, ending: &inner.ending };
            let there = |sha256: Sha256| inner.cache.path(sha256).is_some();
            inner.inspecting.inspect(account, sources, patience, runner, |file| there(file.sha256)).await
        })
    }

    fn check_sources(
        &self,
        account: Account,
        sources: Sources,
        patience: Duration,
    ) -> StoreFuture<'_, Option<Vec<SourceCheck>>> {
        Box::pin(async move {
            let inner = &self.inner;
            let runner = Runner { tasks: &inner.tasks, ending: &inner.ending };
            inner.inspecting.check(account, sources, patience, runner).await
        })
    }

    fn read_inspected(&self, sha256: Sha256, range: ByteRange) -> StoreFuture<'_, Vec<u8>> {
        Box::pin(async move {
            let inner = Arc::clone(&self.inner);
            let cached = blocking(move || {
                let Some(path) = inner.cache.path(sha256) else { return Ok(None) };
                match File::open(path).and_then(|file| read_part(&file, range)) {
                    Ok(part) => Ok(Some(part)),
                    // It was removed a moment ago.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(StoreError::Unavailable(format!("a file of the cache cannot be read: {error}"))),
                }
            });
            if let Some(part) = cached.await? {
                return Ok(part);
            }
            let uploaded = self.inner.results.read_upload(sha256, range).await;
            uploaded.map_err(|error| StoreError::Unavailable(error.to_string()))?.ok_or(StoreError::Missing)
        })
    }
}
