use super::MOST;
use crate::{
    LocalEngine,
    store::{Durability, Fail, Write, uploads},
};
use cloister_model::{
    Account, FileDigest, Sha256, StoreError, StoreFuture, Timestamp, Upload, UploadLimits, UploadQuery, Uploads,
};
use std::sync::Arc;
use tokio::task::spawn_blocking;

fn interrupted() -> StoreError {
    StoreError::Unavailable("work on an upload was interrupted".to_owned())
}

impl Uploads for LocalEngine {
    fn begin_upload(&self) -> StoreFuture<'_, u64> {
        Box::pin(async {
            let core = Arc::clone(&self.core);
            spawn_blocking(move || core.incoming.begin()).await.map_err(|_| interrupted())?
        })
    }

    fn append_upload(&self, upload: u64, bytes: Vec<u8>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let core = Arc::clone(&self.core);
            spawn_blocking(move || core.incoming.append(upload, &bytes)).await.map_err(|_| interrupted())?
        })
    }

    fn finish_upload(
        &self,
        upload: u64,
        owner: Account,
        at: Timestamp,
        limits: UploadLimits,
    ) -> StoreFuture<'_, Upload> {
        Box::pin(async move {
            let core = Arc::clone(&self.core);
            let finished = spawn_blocking(move || core.incoming.finish(upload)).await;
            let file: FileDigest = finished.map_err(|_| interrupted())??;
            let path = self.core.home.upload(&file.sha256);
            let upload = Upload { file, owner, created: at };
            self.core
                .store
                .write(Durability::Disk, move |write| {
                    // Checked here, where operations are in order: the refusal of another account's upload of the same
                    // file may have removed it.
                    if !path.is_file() {
                        let text = "another upload of the same file was refused at the same time; send it again";
                        return Err(Fail::Rejected(StoreError::Unavailable(text.to_owned())));
                    }
                    let put = uploads::put(write, &upload, &limits);
                    if put.is_err() && !uploads::exists(write.db, &upload.file.sha256)? {
                        // No account may name it. If it cannot be removed, the next start removes it.
                        let _ = std::fs::remove_file(&path);
                    }
                    put
                })
                .await
        })
    }

    fn drop_upload(&self, upload: u64) -> StoreFuture<'_, ()> {
        self.core.incoming.forget(upload);
        Box::pin(std::future::ready(Ok(())))
    }

    fn upload(&self, sha256: Sha256, owner: Account) -> StoreFuture<'_, Option<Upload>> {
        Box::pin(async move { Ok(self.core.store.read(|db| uploads::get(db, &sha256, &owner))?) })
    }

    fn uploads(&self, query: UploadQuery) -> StoreFuture<'_, Vec<Upload>> {
        Box::pin(async move {
            let query = UploadQuery { at_most: query.at_most.min(MOST), ..query };
            Ok(self.core.store.read_long(move |db| uploads::list(db, &query)).await?)
        })
    }

    fn upload_bytes(&self, owner: Account) -> StoreFuture<'_, u64> {
        Box::pin(async move { Ok(self.core.store.read(|db| uploads::bytes(db, &owner))?) })
    }

    fn remove_upload(&self, sha256: Sha256, owner: Account, sent_before: Option<Timestamp>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let remove = move |write: &mut Write<'_>| match uploads::remove(write, &sha256, &owner, sent_before)? {
                true => Ok(()),
                false => Err(Fail::Rejected(StoreError::Missing)),
            };
            self.core.store.write(Durability::Disk, remove).await?;
            // The file goes once the deletion is stored, and only if no account has sent the same one meanwhile. Operations are
            // in order, so none can in between.
            let path = self.core.home.upload(&sha256);
            let remove_file = move |write: &mut Write<'_>| -> Result<(), Fail<StoreError>> {
                if !uploads::exists(write.db, &sha256)? {
                    // If it cannot be removed, the next start removes it.
                    let _ = std::fs::remove_file(&path);
                }
                Ok(())
            };
            self.core.store.write(Durability::Process, remove_file).await
        })
    }
}
