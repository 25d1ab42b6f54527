/// Why a file could not be fetched. Safe to show: names a source by its place and, at most, its scheme and host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Somebody ended it.
    #[error("fetching was cancelled")]
    Cancelled,
    /// This machine failed: its disk, its cache.
    #[error("{0}")]
    System(String),
}
