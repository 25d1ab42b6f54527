use cloister_model::Timestamp;

/// For how long an ended job is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long after its end, in milliseconds.
    pub keep_ms: u64,
    /// Whether an asset needs its results: then it is kept for as long as the asset is.
    pub needed: bool,
}

impl Retention {
    /// When a job that ended at this moment expires; none: not while its results are needed.
    #[must_use]
    pub fn expires(self, ended: Timestamp) -> Option<Timestamp> {
        let Self { keep_ms, needed } = self;
        (!needed).then(|| Timestamp::from_unix_ms(ended.unix_ms().saturating_add(keep_ms)))
    }
}

/// When a job expires whose results no asset needs any more, as of now: its time starts anew, so that its consumer can still
/// fetch them.
#[must_use]
pub fn expires_once_unneeded(now: Timestamp, keep_ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(now.unix_ms().saturating_add(keep_ms))
}
