use crate::{
    LocalEngine,
    store::{Durability, Fail, uploads},
};
use cloister_model::{Account, FileDigest, Sha256, StoreError, StoreFuture, Timestamp, Upload, Uploads};
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

    fn finish_upload(&self, upload: u64, owner: Account, at: Timestamp) -> StoreFuture<'_, Upload> {
        Box::pin(async move {
            let core = Arc::clone(&self.core);
            let finished = spawn_blocking(move || core.incoming.finish(upload)).await;
            let file: FileDigest = finished.map_err(|_| interrupted())??;
            let path = self.core.home.upload(&file.sha256);
            let upload = Upload { file, owner, created: at };
            let most = self.core.incoming.most_bytes();
            self.core
                .store
                .write(Durability::Disk, move |write| {
                    // Checked here, where operations are in order: the refusal of another account's upload of the same
                    // file may have removed it.
                    if !path.is_file() {
                        let text = "another upload of the same file was refused at the same time; send it again";
                        return Err(Fail::Rejected(StoreError::Unavailable(text.to_owned())));
                    }
                    let put = uploads::put(write, &upload, most);
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
}
