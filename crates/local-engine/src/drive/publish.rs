use super::{Drive, Unrecorded, filter::digest};
use crate::{
    engine::core::blocking,
    store::{DbError, jobs},
};
use cloister_lifecycle::{PublishFailure, StoredResult};
use cloister_model::{Fault, FileDigest, ResultFile, ResultKind};
use cloister_runner::OUTPUTS;
use cloister_stages::{Outgoing, PublishError, Watch};
use rustix::fs::{Mode, OFlags, open};
use std::{fs::File, io, path::Path, sync::Arc};

impl Drive<'_> {
    /// Stores the checked files where the consumer can fetch them. They cannot be read there before the release is stored.
    pub(super) async fn publish(&self) -> Result<Result<Vec<StoredResult>, PublishFailure>, Unrecorded> {
        let job = self.job();
        let Some(files) = self.core.store.read(|db| jobs::outgoing(db, job))?.ok_or(Unrecorded::Gone)? else {
            return Err(DbError::Damaged(format!("job {job} has nothing to publish")).into());
        };
        let outputs = self.core.home.job(job).join(OUTPUTS);
        let outgoing: Vec<Outgoing> = files
            .iter()
            .map(|file| Outgoing {
                name: file.name.clone(),
                kind: file.kind,
                path: match file.kind {
                    ResultKind::Output => outputs.join(&file.name),
                    _ => self.core.log_file(job),
                },
            })
            .collect();
        // If this future is dropped, the thread that reads and writes must end, too.
        let cancel = self.lease.cancel.child_token();
        let _ended = cancel.clone().drop_guard();
        let watch = Watch { cancel, progress: Arc::new(|_| ()) };
        let stored = self.core.results.publish(job, &outgoing, self.spec.delivery.encrypt_to.as_deref(), &watch).await;
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => {
                let fault = if error == PublishError::Recipient { Fault::Algorithm } else { Fault::System };
                return Ok(Err(PublishFailure::NotStored { text: error.to_string(), fault }));
            }
        };
        let contents =
            blocking(move || outgoing.iter().map(|file| content(&file.path)).collect::<io::Result<Vec<_>>>());
        let pair = |(file, content): (ResultFile, FileDigest)| StoredResult { file, content };
        Ok(Ok(stored.into_iter().zip(contents.await?).map(pair).collect()))
    }
}

/// The digest of what was read to be stored. Links are not followed.
fn content(path: &Path) -> io::Result<FileDigest> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = File::from(open(path, flags, Mode::empty())?);
    let (bytes, sha256) = digest(&mut file)?;
    Ok(FileDigest { sha256, bytes })
}
