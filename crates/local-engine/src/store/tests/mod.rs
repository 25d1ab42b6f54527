mod file;
mod jobs;
mod others;
mod speed;

use super::{Change, OnCommit, Store, Tally};
use cloister_model::EngineError;
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

type Heard = Arc<Mutex<(Tally, Vec<Change>)>>;

/// A store, and what it tells of its commits.
fn store(path: &Path) -> (Store, Heard) {
    let heard = Arc::new(Mutex::new((Tally::default(), Vec::new())));
    let ears = Arc::clone(&heard);
    let told: OnCommit = Arc::new(move |tally, changes| {
        let mut heard = ears.lock().expect("a lock");
        heard.0 = *tally;
        heard.1.extend(changes);
    });
    (Store::open(path, told).expect("a store"), heard)
}

fn no(text: &str) -> super::Fail<EngineError> {
    super::Fail::Said(EngineError::Unavailable(text.to_owned()))
}
