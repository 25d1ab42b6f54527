use std::collections::{BTreeMap, BTreeSet};

/// What is to be done at some moment: for each key one moment, and the earliest one first.
#[derive(Debug)]
pub(crate) struct Due<At, K> {
    order: BTreeSet<(At, K)>,
    of_key: BTreeMap<K, At>,
}

impl<At, K> Default for Due<At, K> {
    fn default() -> Self {
        Self { order: BTreeSet::new(), of_key: BTreeMap::new() }
    }
}

impl<At: Copy + Ord, K: Copy + Ord> Due<At, K> {
    /// Sets the moment of a key, in place of an earlier one.
    pub(crate) fn set(&mut self, key: K, at: At) {
        self.remove(key);
        self.of_key.insert(key, at);
        self.order.insert((at, key));
    }

    /// Takes the moment of a key away, if it has one.
    pub(crate) fn remove(&mut self, key: K) {
        if let Some(at) = self.of_key.remove(&key) {
            self.order.remove(&(at, key));
        }
    }

    /// Whether a key has a moment.
    pub(crate) fn has(&self, key: K) -> bool {
        self.of_key.contains_key(&key)
    }

    /// The earliest moment.
    pub(crate) fn next_at(&self) -> Option<At> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes out a key whose moment has come, the earliest first.
    pub(crate) fn next(&mut self, now: At) -> Option<K> {
        let (_, key) = self.order.first().copied().filter(|(at, _)| *at <= now)?;
        self.remove(key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_the_order_of_their_moments_and_once() {
        let mut due = Due::default();
        assert_eq!((due.next_at(), due.next(9)), (None, None));
        for (key, at) in [('a', 5), ('b', 3), ('c', 7), ('d', 3), ('a', 1), ('c', 8)] {
            due.set(key, at);
        }
        due.remove('d');
        assert!(due.has('a') && !due.has('d'));
        assert_eq!((due.next_at(), due.next(0)), (Some(1), None));
        assert_eq!([due.next(7), due.next(7), due.next(7)], [Some('a'), Some('b'), None]);
        assert_eq!((due.next(8), due.next_at(), due.has('c')), (Some('c'), None, false));
    }
}
