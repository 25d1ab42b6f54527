use crate::{LocalEngine, engine::core::blocking};
use cloister_files::read_part;
use cloister_model::{
    Account, ByteRange, Inspection, Inspections, Sha256, SourceCheck, Sources, StoreError, StoreFuture,
};
use cloister_sources::inspect::Runner;
use std::{fs::File, io, sync::Arc, time::Duration};

impl Inspections for LocalEngine {
    fn inspect(&self, account: Account, sources: Sources, patience: Duration) -> StoreFuture<'_, Inspection> {
        Box::pin(async move {
            let core = &self.core;
            core.refuse_if_ending()?;
            let runner = Runner { tasks: &core.tasks, ending: &core.shared.ending };
            let there = |sha256: Sha256| core.cache.path(sha256).is_some() || core.home.upload(&sha256).is_file();
            core.inspecting.inspect(account, sources, patience, runner, |file| there(file.sha256)).await
        })
    }

    fn check_sources(
        &self,
        account: Account,
        sources: Sources,
        patience: Duration,
    ) -> StoreFuture<'_, Option<Vec<SourceCheck>>> {
        Box::pin(async move {
            let core = &self.core;
            core.refuse_if_ending()?;
            let runner = Runner { tasks: &core.tasks, ending: &core.shared.ending };
            core.inspecting.check(account, sources, patience, runner).await
        })
    }

    fn read_inspected(&self, sha256: Sha256, range: ByteRange) -> StoreFuture<'_, Vec<u8>> {
        Box::pin(async move {
            let core = Arc::clone(&self.core);
            let read = blocking(move || {
                let paths = [core.cache.path(sha256), Some(core.home.upload(&sha256))];
                for path in paths.into_iter().flatten() {
                    match File::open(path) {
                        Ok(file) => return read_part(&file, range).map(Some),
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
