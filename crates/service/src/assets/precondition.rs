/// The state in which a change expects an asset, so that it does not undo another change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Whatever state it is in.
    Any,
    /// One of these revisions.
    Revisions(Vec<u64>),
}
