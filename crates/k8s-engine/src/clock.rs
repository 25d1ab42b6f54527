use cloister_model::Timestamp;
use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::SystemTime,
};

/// The present moment on the calendar's clock, which may be set.
pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

/// A number below this one, by which processes that see the same thing at the same time do not all act at once. Not for secrets.
pub(crate) fn random_below(bound: u64) -> u64 {
    RandomState::new().build_hasher().finish() % bound.max(1)
}
