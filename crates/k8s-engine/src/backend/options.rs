use cloister_results::ResultStore;
use std::sync::Arc;
/// The settings of a replica.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The store of results and uploads, which all replicas share.
    pub results: Arc<ResultStore>,
}
