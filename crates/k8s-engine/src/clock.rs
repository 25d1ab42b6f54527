use cloister_model::Timestamp;
use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::SystemTime,
};

/// The present moment on the calendar's clock, which may be set. Before 1970 counts as 1970.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A number below this one, by which processes that see the same thing at the same time do not all act at once. Not for secrets.
pub(crate) fn random_below(bound: u64) -> u64 {
    RandomState::new().build_hasher().finish() % bound.max(1)
}
