use super::{
    ClusterStore,
    files::{blocking, cut_off},
};
use cloister_model::{Account, Sha256, StoreError, StoreFuture, Timestamp, Upload, UploadLimits, UploadQuery, Uploads};
use cloister_results::PublishError;
use std::sync::Arc;

/// The most uploads in one answer.
const MOST: u32 = 10_000;

/// What arrives is in the folder of this replica until it is whole; then it is in the store, and every replica finds it.
impl Uploads for ClusterStore {
    fn begin_upload(&self) -> StoreFuture<'_, u64> {
        let inner = Arc::clone(&self.inner);
        Box::pin(blocking(move || inner.incoming.begin()))
    }

    fn append_upload(&self, upload: u64, bytes: Vec<u8>) -> StoreFuture<'_, ()> {
        let inner = Arc::clone(&self.inner);
        Box::pin(blocking(move || inner.incoming.append(upload, &bytes)))
    }

    fn finish_upload(
        &self,
        upload: u64,
        owner: Account,
        at: Timestamp,
        limits: UploadLimits,
    ) -> StoreFuture<'_, Upload> {
        Box::pin(async move {
            let inner = Arc::clone(&self.inner);
            // In a task of its own, because a sender that hangs up must not leave content that counts for no account.
            let stored = self.inner.tasks.spawn(async move {
                let arrived = inner.incoming.end(upload)?;
                let stored = inner.results.put_upload(arrived.path(), arrived.file(), &owner, at, limits).await;
                Ok::<_, StoreError>(stored?)
            });
            stored.await.map_err(|_| cut_off())?
        })
    }

    fn drop_upload(&self, upload: u64) -> StoreFuture<'_, ()> {
        self.inner.incoming.forget(upload);
        Box::pin(std::future::ready(Ok(())))
    }

    fn upload(&self, sha256: Sha256, owner: Account) -> StoreFuture<'_, Option<Upload>> {
        Box::pin(async move { self.inner.results.upload(sha256, &owner).await.map_err(failed) })
    }

    fn uploads(&self, query: UploadQuery) -> StoreFuture<'_, Vec<Upload>> {
        Box::pin(async move {
            let query = UploadQuery { at_most: query.at_most.min(MOST), ..query };
            self.inner.results.uploads(&query).await.map_err(failed)
        })
    }

    fn upload_bytes(&self, owner: Account) -> StoreFuture<'_, u64> {
        Box::pin(async move { self.inner.results.upload_bytes(&owner).await.map_err(failed) })
    }

    /// The bytes go when a replica next looks for those that no account can name.
    fn remove_upload(&self, sha256: Sha256, owner: Account, sent_before: Option<Timestamp>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            match self.inner.results.remove_upload(sha256, &owner, sent_before).await.map_err(failed)? {
                true => Ok(()),
                false => Err(StoreError::Missing),
            }
        })
    }
}

fn failed(error: PublishError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
