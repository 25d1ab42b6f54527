//! What is in the cache, and in which order it was used. Pure.

use super::Origin;
use cloister_model::{FileDigest, Sha256};
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashMap<Sha256, Entry>,
    origins: HashMap<Origin, Sha256>,
    /// By when they were last used; the first is the oldest.
    order: BTreeMap<u64, Sha256>,
    bytes: u64,
    now: u64,
}

#[derive(Debug)]
struct Entry {
    bytes: u64,
    used: u64,
    /// Who is being given it: it stays for so long.
    pins: u32,
    origins: Vec<Origin>,
}

impl Index {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn holds(&self, sha256: Sha256) -> bool {
        self.entries.contains_key(&sha256)
    }

    /// A file that is here now, held once. If it was here before, only its size counts anew.
    pub(super) fn insert(&mut self, file: FileDigest) {
        let entry =
            self.entries.entry(file.sha256).or_insert(Entry { bytes: 0, used: 0, pins: 0, origins: Vec::new() });
        self.bytes = self.bytes - entry.bytes + file.bytes;
        entry.bytes = file.bytes;
        if entry.pins == 0 {
            entry.pins = 1;
        }
        self.use_now(file.sha256);
    }

    /// Its size, if it is here.
    pub(super) fn use_now(&mut self, sha256: Sha256) -> Option<u64> {
        let entry = self.entries.get_mut(&sha256)?;
        self.order.remove(&entry.used);
        self.now += 1;
        entry.used = self.now;
        self.order.insert(self.now, sha256);
        Some(entry.bytes)
    }

    /// Holds it, and its size; none if it is not here.
    pub(super) fn pin(&mut self, sha256: Sha256) -> Option<u64> {
        self.entries.get_mut(&sha256)?.pins += 1;
        self.use_now(sha256)
    }

    pub(super) fn unpin(&mut self, sha256: Sha256) {
        if let Some(entry) = self.entries.get_mut(&sha256) {
            entry.pins = entry.pins.saturating_sub(1);
        }
    }

    pub(super) fn given_by(&self, origin: Origin) -> Option<Sha256> {
        self.origins.get(&origin).copied()
    }

    /// That a source gave a file; the other one that it gave before.
    pub(super) fn came_from(&mut self, origin: Origin, sha256: Sha256) -> Option<Sha256> {
        let before = self.origins.insert(origin, sha256).filter(|before| *before != sha256);
        if let Some(entry) = before.and_then(|before| self.entries.get_mut(&before)) {
            entry.origins.retain(|other| *other != origin);
        }
        if let Some(entry) = self.entries.get_mut(&sha256)
            && !entry.origins.contains(&origin)
        {
            entry.origins.push(origin);
        }
        before
    }

    /// Takes out what was used least lately and is not held.
    pub(super) fn remove_oldest(&mut self) -> Option<(Sha256, Vec<Origin>)> {
        let free = |sha256: &&Sha256| self.entries.get(*sha256).is_some_and(|entry| entry.pins == 0);
        let sha256 = *self.order.values().find(free)?;
        self.remove(sha256).map(|origins| (sha256, origins))
    }

    /// Takes it out; none if it is not here or is held.
    pub(super) fn remove(&mut self, sha256: Sha256) -> Option<Vec<Origin>> {
        if self.entries.get(&sha256)?.pins > 0 {
            return None;
        }
        let Entry { bytes, used, pins: _, origins } = self.entries.remove(&sha256)?;
        self.bytes -= bytes;
        self.order.remove(&used);
        for origin in &origins {
            self.origins.remove(origin);
        }
        Some(origins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn sha(byte: u8) -> Sha256 {
        Sha256::from_bytes([byte; 32])
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8),
        Use(u8),
        Pin(u8),
        Unpin(u8),
        From(u8, u8),
        Evict,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..8_u8).prop_map(Step::Insert),
            (0..8_u8).prop_map(Step::Use),
            (0..8_u8).prop_map(Step::Pin),
            (0..8_u8).prop_map(Step::Unpin),
            (0..4_u8, 0..8_u8).prop_map(|(origin, file)| Step::From(origin, file)),
            Just(Step::Evict),
        ]
    }

    proptest! {
        /// Against a list in the order of use.
        #[test]
        fn is_a_list_in_the_order_of_use(steps in vec(step(), 0..200)) {
            let mut index = Index::default();
            let mut model: Vec<(u8, u32)> = Vec::new();
            for step in steps {
                let place = |model: &[(u8, u32)], wanted| model.iter().position(|(file, _)| *file == wanted);
                match step {
                    Step::Insert(file) => {
                        index.insert(FileDigest { sha256: sha(file), bytes: u64::from(file) });
                        let pins = place(&model, file).map_or(0, |i| model.remove(i).1);
                        model.push((file, pins.max(1)));
                    }
                    Step::Use(file) => {
                        prop_assert_eq!(index.use_now(sha(file)).is_some(), place(&model, file).is_some());
                        if let Some(i) = place(&model, file) {
                            let entry = model.remove(i);
                            model.push(entry);
                        }
                    }
                    Step::Pin(file) => {
                        prop_assert_eq!(index.pin(sha(file)).is_some(), place(&model, file).is_some());
                        if let Some(i) = place(&model, file) {
                            let (file, pins) = model.remove(i);
                            model.push((file, pins + 1));
                        }
                    }
                    Step::Unpin(file) => {
                        index.unpin(sha(file));
                        if let Some(i) = place(&model, file) {
                            model[i].1 = model[i].1.saturating_sub(1);
                        }
                    }
                    Step::From(origin, file) => {
                        if index.holds(sha(file)) {
                            index.came_from(sha(100 + origin), sha(file));
                            prop_assert_eq!(index.given_by(sha(100 + origin)), Some(sha(file)));
                        }
                    }
                    Step::Evict => {
                        let oldest = model.iter().position(|(_, pins)| *pins == 0).map(|i| model.remove(i).0);
                        prop_assert_eq!(index.remove_oldest().map(|(sha256, _)| sha256), oldest.map(sha));
                    }
                }
                prop_assert_eq!(index.bytes(), model.iter().map(|(file, _)| u64::from(*file)).sum::<u64>());
                prop_assert!(index.origins.values().all(|file| index.holds(*file)));
            }
        }
    }
}
