use crate::{
    LocalEngine,
    store::{Durability, Write, claims, claims::Holder},
    times::now,
};
use cloister_model::{Claim, Claims, StoreFuture};

impl Claims for LocalEngine {
    /// Stored with an fsync, because a power cut must not make an old signature good again. Callers share it: see
    /// `store/writer.rs`.
    fn claim(&self, claim: Claim) -> StoreFuture<'_, bool> {
        let take = move |write: &mut Write<'_>| {
            claims::purge(write, now())?;
            Ok(claims::take(write, &claim, Holder::Other)?)
        };
        Box::pin(self.core.store.write(Durability::Disk, take))
    }
}
