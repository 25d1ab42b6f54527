mod file;
mod jobs;
mod others;
mod versions;

use super::{Change, OnCommit, Store, Tally};
use cloister_model::{EngineError, Unavailability};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

type Heard = Arc<Mutex<(Tally, Vec<Change>)>>;

/// A store, and what its commit hook was called with.
fn store(path: &Path) -> (Store, Heard) {
    let heard = Arc::new(Mutex::new((Tally::default(), Vec::new())));
    let ears = Arc::clone(&heard);
    let on_commit: OnCommit = Arc::new(move |tally, changes| {
        let mut heard = ears.lock().expect("a lock");
        heard.0 = *tally;
        heard.1.extend(changes);
    });
    (Store::open(path, on_commit).expect("a store"), heard)
}

fn no(text: &str) -> super::Fail<EngineError> {
    super::Fail::Rejected(EngineError::unavailable(Unavailability::Store, text))
}
