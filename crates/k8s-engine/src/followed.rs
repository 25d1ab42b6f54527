//! What is done about objects that people apply in their namespaces: when each is looked at, and what is remembered of it meanwhile.
//! When that is, and what is done, the caller decides.

use kube::{Resource, ResourceExt as _};
use std::collections::{BTreeMap, BTreeSet};

/// The namespace and the name of an object.
pub(crate) type Key = (String, String);

/// The objects of a namespace that are looked at together, by their names.
pub(crate) type Look<T> = Vec<(String, T)>;

/// What a look has made of them, with the moment from which each is looked at again; none: it is forgotten until it changes.
pub(crate) type Looked<T, At> = Vec<(String, T, Option<At>)>;

/// Objects of all namespaces that have to be looked at, each from some moment on. What takes long in one namespace holds up the objects of the
/// same namespace, and no others: there is one look at a time in each.
pub(crate) struct Followed<T, At> {
    /// Those that nothing is done about now, by namespace and name.
    waiting: BTreeMap<String, BTreeMap<String, Waiting<T, At>>>,
    /// What is looked at in each namespace, with what has happened to it meanwhile.
    under_way: BTreeMap<String, BTreeMap<String, Meanwhile<T, At>>>,
    updated: fn(&T, T) -> Option<T>,
}

/// An object that waits.
struct Waiting<T, At> {
    object: T,
    /// The moment from which it is looked at.
    at: At,
}

/// What happens to an object while it is looked at.
enum Meanwhile<T, At> {
    Nothing,
    Changed(Waiting<T, At>),
    Deleted,
}

impl<T, At: Copy + Ord> Followed<T, At> {
    /// `updated` says what is followed of an object that is known and of what the watch shows of it; none: it stays as it is known,
    /// because what is shown is older.
    pub(crate) fn new(updated: fn(&T, T) -> Option<T>) -> Self {
        Self { waiting: BTreeMap::new(), under_way: BTreeMap::new(), updated }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many objects of a namespace wait of which this holds.
    pub(crate) fn count(&self, namespace: &str, holds: impl Fn(&T) -> bool) -> usize {
        let waiting = self.waiting.get(namespace).into_iter().flat_map(BTreeMap::values);
        waiting.filter(|waiting| holds(&waiting.object)).count()
    }

    /// The watch shows an object. It is looked at from this moment on.
    pub(crate) fn put(&mut self, key: Key, object: T, at: At) {
        let (namespace, name) = key;
        let shown = Waiting { object, at };
        let under_way = self.under_way.get_mut(&namespace).and_then(|look| look.get_mut(&name));
        if let Some(meanwhile) = under_way {
            *meanwhile = Meanwhile::Changed(shown);
            return;
        }
        let waiting = self.waiting.entry(namespace).or_default();
        let next = match waiting.remove(&name) {
            Some(known) => shown.after(known, self.updated),
            None => shown,
        };
        waiting.insert(name, next);
    }

    /// The watch shows that an object is gone.
    pub(crate) fn remove(&mut self, key: &Key) {
        let (namespace, name) = key;
        if let Some(meanwhile) = self.under_way.get_mut(namespace).and_then(|look| look.get_mut(name)) {
            *meanwhile = Meanwhile::Deleted;
        }
        let Some(waiting) = self.waiting.get_mut(namespace) else { return };
        waiting.remove(name);
        if waiting.is_empty() {
            self.waiting.remove(namespace);
        }
    }

    /// What can be looked at now, by namespace. The caller says later what each look has made of it: [`Self::looked`].
    pub(crate) fn due(&mut self, present: At) -> Vec<(String, Look<T>)> {
        let mut due = Vec::new();
        for (namespace, waiting) in &mut self.waiting {
            if self.under_way.contains_key(namespace) {
                continue;
            }
            let is_due = |(_, object): &(&String, &Waiting<T, At>)| object.at <= present;
            let names: BTreeSet<String> = waiting.iter().filter(is_due).map(|(name, _)| name.clone()).collect();
            if names.is_empty() {
                continue;
            }
            let taken = names.iter().filter_map(|name| waiting.remove_entry(name));
            let look: Look<T> = taken.map(|(name, Waiting { object, .. })| (name, object)).collect();
            due.push((namespace.clone(), look));
            let under_way = names.into_iter().map(|name| (name, Meanwhile::Nothing)).collect();
            self.under_way.insert(namespace.clone(), under_way);
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
        due
    }

    /// A look has ended.
    pub(crate) fn looked(&mut self, namespace: &str, looked: Looked<T, At>) {
        let mut under_way = self.under_way.remove(namespace).unwrap_or_default();
        let mut waiting = self.waiting.remove(namespace).unwrap_or_default();
        for (name, object, next) in looked {
            let next = match (under_way.remove(&name).unwrap_or(Meanwhile::Nothing), next) {
                (Meanwhile::Deleted, _) | (Meanwhile::Nothing, None) => None,
                (Meanwhile::Nothing, Some(at)) => Some(Waiting { object, at }),
                (Meanwhile::Changed(shown), Some(at)) => Some(shown.after(Waiting { object, at }, self.updated)),
                // It would not be looked at again, unless what was shown is newer.
                (Meanwhile::Changed(Waiting { object: shown, at }), None) => {
                    (self.updated)(&object, shown).map(|object| Waiting { object, at })
                }
            };
            waiting.extend(next.map(|next| (name, next)));
        }
        if !waiting.is_empty() {
            self.waiting.insert(namespace.to_owned(), waiting);
        }
    }
}

impl<T, At> Waiting<T, At> {
    /// What waits of an object that is shown, where another state of it is known.
    fn after(self, known: Self, updated: fn(&T, T) -> Option<T>) -> Self {
        let Self { object: shown, at } = self;
        updated(&known.object, shown).map_or(known, |object| Self { object, at })
    }
}

/// The namespace and the name of an object.
pub(crate) fn key<K: Resource>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows versions, of which the greatest is the newest.
    fn followed() -> Followed<u32, u64> {
        Followed::new(|known, shown| Some(shown).filter(|shown| shown > known))
    }

    fn key(namespace: &str, name: &str) -> Key {
        (namespace.to_owned(), name.to_owned())
    }

    /// The versions that can be looked at, with their namespaces.
    fn due(followed: &mut Followed<u32, u64>, present: u64) -> Vec<(String, Vec<u32>)> {
        let versions = |look: Look<u32>| look.into_iter().map(|(_, version)| version).collect();
        followed.due(present).into_iter().map(|(namespace, look)| (namespace, versions(look))).collect()
    }

    fn looked(followed: &mut Followed<u32, u64>, namespace: &str, objects: &[(&str, u32, Option<u64>)]) {
        let objects = objects.iter().map(|(name, version, next)| ((*name).to_owned(), *version, *next));
        followed.looked(namespace, objects.collect());
    }

    fn only(namespace: &str, versions: &[u32]) -> Vec<(String, Vec<u32>)> {
        vec![(namespace.to_owned(), versions.to_vec())]
    }

    #[test]
    fn a_namespace_is_looked_at_once_at_a_time_and_none_waits_for_another() {
        let mut followed = followed();
        followed.put(key("a", "slow"), 1, 0);
        assert_eq!(due(&mut followed, 0), only("a", &[1]));
        // Meanwhile, what is new in another namespace is looked at, and what is new in this one waits, in its last version.
        for (name, version) in [("slow", 2), ("slow", 3), ("other", 4), ("gone", 5)] {
            followed.put(key("a", name), version, 0);
        }
        followed.remove(&key("a", "gone"));
        followed.put(key("b", "quick"), 6, 0);
        assert_eq!(due(&mut followed, 0), only("b", &[6]));
        assert!(due(&mut followed, 9).is_empty());
        looked(&mut followed, "b", &[("quick", 6, None)]);
        looked(&mut followed, "a", &[("slow", 1, Some(9))]);
        assert_eq!(due(&mut followed, 0), only("a", &[4, 3]));
        looked(&mut followed, "a", &[("other", 4, None), ("slow", 3, None)]);
        assert!(followed.is_empty() && due(&mut followed, 9).is_empty());
    }

    #[test]
    fn each_object_is_looked_at_again_from_its_moment_on() {
        let mut followed = followed();
        followed.put(key("a", "one"), 1, 5);
        followed.put(key("a", "two"), 2, 6);
        followed.put(key("b", "three"), 3, 6);
        assert!(due(&mut followed, 4).is_empty());
        assert_eq!(due(&mut followed, 5), only("a", &[1]));
        looked(&mut followed, "a", &[("one", 1, Some(7))]);
        assert_eq!(due(&mut followed, 6), [("a".to_owned(), vec![2]), ("b".to_owned(), vec![3])]);
        looked(&mut followed, "a", &[("two", 2, None)]);
        assert_eq!(due(&mut followed, 9), only("a", &[1]));
        assert!(followed.is_empty());
    }

    #[test]
    fn what_is_deleted_while_it_is_looked_at_is_not_looked_at_again() {
        let mut followed = followed();
        for name in ["gone", "new", "stays"] {
            followed.put(key("a", name), 1, 0);
        }
        assert_eq!(due(&mut followed, 0), only("a", &[1, 1, 1]));
        followed.put(key("a", "gone"), 2, 0);
        followed.remove(&key("a", "gone"));
        // Deleted, and applied again.
        followed.remove(&key("a", "new"));
        followed.put(key("a", "new"), 3, 0);
        looked(&mut followed, "a", &[("gone", 1, Some(0)), ("new", 1, Some(0)), ("stays", 1, Some(0))]);
        assert_eq!(due(&mut followed, 0), only("a", &[3, 1]));
        followed.remove(&key("a", "stays"));
        looked(&mut followed, "a", &[("new", 3, Some(0)), ("stays", 1, Some(0))]);
        followed.remove(&key("a", "new"));
        assert!(followed.is_empty() && due(&mut followed, 9).is_empty());
    }

    #[test]
    fn older_news_of_an_object_change_nothing() {
        let mut followed = followed();
        followed.put(key("a", "one"), 2, 5);
        followed.put(key("a", "one"), 1, 0);
        assert!(due(&mut followed, 4).is_empty(), "it is looked at from the same moment on, too");
        followed.put(key("a", "one"), 3, 4);
        assert_eq!(due(&mut followed, 4), only("a", &[3]));
        // The look has written a newer version than the one that is shown.
        for (version, next, expected) in [(4, Some(8), only("a", &[5])), (6, None, Vec::new())] {
            followed.put(key("a", "one"), version, 0);
            looked(&mut followed, "a", &[("one", version + 1, next)]);
            assert!(due(&mut followed, 7).is_empty());
            assert_eq!(due(&mut followed, 8), expected);
        }
        // What is newer than what the look has written is looked at, even if nothing else was to be done.
        followed.put(key("a", "one"), 8, 0);
        assert_eq!(due(&mut followed, 0), only("a", &[8]));
        followed.put(key("a", "one"), 10, 3);
        looked(&mut followed, "a", &[("one", 9, None)]);
        assert_eq!((due(&mut followed, 2), due(&mut followed, 3)), (Vec::new(), only("a", &[10])));
    }

    /// What is shown of an object need not matter to the one who follows it.
    #[test]
    fn what_does_not_matter_is_no_reason_to_look_sooner() {
        let mut followed: Followed<u32, u64> = Followed::new(|known, shown| Some(shown).filter(|shown| shown != known));
        followed.put(key("a", "one"), 1, 0);
        assert_eq!(due(&mut followed, 0), only("a", &[1]));
        // It is shown while it is looked at, and again and again afterwards.
        followed.put(key("a", "one"), 1, 0);
        looked(&mut followed, "a", &[("one", 1, Some(9))]);
        for moment in 1..9 {
            followed.put(key("a", "one"), 1, moment);
            assert!(due(&mut followed, 8).is_empty(), "{moment}");
        }
        assert_eq!((followed.count("a", |_| true), followed.count("b", |_| true)), (1, 0));
        assert_eq!(due(&mut followed, 9), only("a", &[1]));
        // What matters is looked at at once, and what does not is forgotten with the rest.
        followed.put(key("a", "one"), 2, 0);
        looked(&mut followed, "a", &[("one", 1, Some(9))]);
        assert_eq!(due(&mut followed, 0), only("a", &[2]));
        followed.put(key("a", "one"), 2, 0);
        looked(&mut followed, "a", &[("one", 2, None)]);
        assert!(followed.is_empty());
    }
}
