use super::StoreFuture;
use crate::{Account, Timestamp};
use std::fmt;

/// Which nonces were used: a signed request counts once.
pub trait Nonces: fmt::Debug + Send + Sync {
    /// Uses a nonce up. False if it was used before. It is remembered until the given moment at least, a restart of the
    /// program included; the caller refuses nonces that are older by then.
    fn claim_nonce(&self, account: Account, nonce: String, until: Timestamp) -> StoreFuture<'_, bool>;
}
