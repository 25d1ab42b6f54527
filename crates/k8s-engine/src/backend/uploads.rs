use super::{
    ClusterStore,
    files::{blocking, cut_off},
};
use cloister_model::{Account, Sha256, StoreError, StoreFuture, Timestamp, Upload, Uploads};
use std::sync::Arc;

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

    fn finish_upload(&self, upload: u64, owner: Account, at: Timestamp) -> StoreFuture<'_, Upload> {
        Box::pin(async move {
            let inner = Arc::clone(&self.inner);
            // In a task of its own, because a sender that hangs up must not leave content that counts for nobody.
            let stored = self.inner.tasks.spawn(async move {
                let arrived = inner.incoming.end(upload)?;
                let most = inner.incoming.most_bytes();
                let stored = inner.results.put_upload(arrived.path(), arrived.file(), &owner, at, most).await;
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
        Box::pin(async move {
            let found = self.inner.results.upload(sha256, &owner).await;
            found.map_err(|error| StoreError::Unavailable(error.to_string()))
        })
    }
}
