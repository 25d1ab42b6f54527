use super::results::part;
use crate::{
    LocalEngine,
    engine::core::blocking,
    store::{Durability, Fail, uploads},
};
use cloister_files::Watch;
use cloister_model::{
    Account, ByteRange, FileDigest, Files, Sha256, Sources, StoreError, StoreFuture, Timestamp, Upload,
};
use std::{fs::File, io, sync::Arc};
use tokio::task::spawn_blocking;

fn cut_off() -> StoreError {
    StoreError::Unavailable("work on an upload was cut off".to_owned())
}

impl Files for LocalEngine {
    fn begin_upload(&self) -> StoreFuture<'_, u64> {
        Box::pin(async {
            let core = Arc::clone(&self.core);
            spawn_blocking(move || core.uploads.begin()).await.map_err(|_| cut_off())?
        })
    }

    fn append_upload(&self, upload: u64, bytes: Vec<u8>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let core = Arc::clone(&self.core);
            spawn_blocking(move || core.uploads.append(upload, &bytes)).await.map_err(|_| cut_off())?
        })
    }

    fn finish_upload(&self, upload: u64, owner: Account, at: Timestamp) -> StoreFuture<'_, Upload> {
        Box::pin(async move {
            let core = Arc::clone(&self.core);
            let file: FileDigest =
                spawn_blocking(move || core.uploads.finish(upload)).await.map_err(|_| cut_off())??;
            let path = self.core.home.upload(&file.sha256);
            let upload = Upload { file, owner, created: at };
            let most = self.core.uploads.most_bytes();
            self.core
                .store
                .write(Durability::Disk, move |write| {
                    // Here, where one comes after another: the file may have gone with somebody else's refusal.
                    if !path.is_file() {
                        let text = "the upload was crossed by another one of the same file; send it again";
                        return Err(Fail::Said(StoreError::Unavailable(text.to_owned())));
                    }
                    let put = uploads::put(write, &upload, most);
                    if put.is_err() && !uploads::exists(write.db, &upload.file.sha256)? {
                        // Nobody may name it. What cannot be removed goes with the next start.
                        let _ = std::fs::remove_file(&path);
                    }
                    put
                })
                .await
        })
    }

    fn drop_upload(&self, upload: u64) -> StoreFuture<'_, ()> {
        self.core.uploads.forget(upload);
        Box::pin(std::future::ready(Ok(())))
    }

    fn upload(&self, sha256: Sha256, owner: Account) -> StoreFuture<'_, Option<Upload>> {
        Box::pin(async move { Ok(self.core.store.read(|db| uploads::get(db, &sha256, &owner))?) })
    }

    fn fetch_files(&self, files: Sources) -> StoreFuture<'_, Vec<FileDigest>> {
        Box::pin(async move {
            let fetched = self.core.fetcher.fetch(&files, &Watch::unwatched()).await;
            fetched.map_err(|error| StoreError::Source(error.to_string()))
        })
    }

    fn read_file(&self, sha256: Sha256, range: ByteRange) -> StoreFuture<'_, Vec<u8>> {
        Box::pin(async move {
            let core = Arc::clone(&self.core);
            let read = blocking(move || {
                let paths = [core.cache.path(sha256), Some(core.home.upload(&sha256))];
                for path in paths.into_iter().flatten() {
                    match File::open(path) {
                        Ok(file) => return part(&file, range).map(Some),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(None)
            });
            read.await?.ok_or(StoreError::Missing)
        })
    }
}
