use cloister_model::Timestamp;
use std::time::SystemTime;

/// The present moment on the calendar's clock, which may be set.
pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}
