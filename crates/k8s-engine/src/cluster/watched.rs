use futures_util::StreamExt as _;
use kube::{
    Api, Resource, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::broadcast, sync::watch, task::AbortHandle};

/// Changes that a slow follower may be behind before it looks again at everything.
const CHANGES: usize = 1024;

/// What a process knows of the objects of one kind, kept up to date by a watch. It is compact: of each object only what
/// `read` makes of it.
///
/// It may be behind. What must not be is read from the API server.
pub(crate) struct Watched<V> {
    shared: Arc<Shared<V>>,
    task: AbortHandle,
}

struct Shared<V> {
    entries: RwLock<BTreeMap<String, Entry<V>>>,
    /// The newest version that the watch has shown of any object.
    shown: AtomicU64,
    state: watch::Sender<State>,
    changes: broadcast::Sender<String>,
}

struct Entry<V> {
    version: u64,
    value: V,
}

#[derive(Clone, Copy, Debug)]
struct State {
    synced: bool,
    failing_since: Option<Instant>,
}

impl<V> fmt::Debug for Watched<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("state", &*self.shared.state.borrow()).finish_non_exhaustive()
    }
}

impl<V> Drop for Watched<V> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The number of a resource version; versions of one kind only grow (KEP-5504).
pub(crate) fn version<K: Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

impl<V: Clone + Send + Sync + 'static> Watched<V> {
    /// Starts to watch. `read` makes of an object what is kept; none: the object is as good as absent.
    pub(crate) fn start<K>(api: Api<K>, read: fn(&K) -> Option<V>) -> Self
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
    {
        let (state, _) = watch::channel(State { synced: false, failing_since: None });
        let (changes, _) = broadcast::channel(CHANGES);
        let shared = Arc::new(Shared { entries: RwLock::default(), shown: AtomicU64::new(0), state, changes });
        let watching = Arc::clone(&shared);
        let task = tokio::spawn(async move { watching.follow(api, read).await });
        Self { shared, task: task.abort_handle() }
    }

    /// Waits until everything that existed when the watch began is known. False if that takes too long.
    pub(crate) async fn synced(&self, patience: Duration) -> bool {
        let mut state = self.shared.state.subscribe();
        let synced = async { state.wait_for(|state| state.synced).await.is_ok() };
        tokio::time::timeout(patience, synced).await.unwrap_or(false)
    }

    /// For how long the watch has been failing; none: it is not.
    pub(crate) fn failing(&self) -> Option<Duration> {
        self.shared.state.borrow().failing_since.map(|since| since.elapsed())
    }

    /// What is known of one object.
    pub(crate) fn get(&self, name: &str) -> Option<V> {
        self.shared.read().get(name).map(|entry| entry.value.clone())
    }

    /// Calls for every object, sorted by name.
    pub(crate) fn each(&self, mut visit: impl FnMut(&V)) {
        self.shared.read().values().for_each(|entry| visit(&entry.value));
    }

    /// Takes in an object that this process has just written or read, so that it sees its own changes at once. One that the
    /// watch has shown to be gone meanwhile stays gone.
    pub(crate) fn take_in<K: Resource>(&self, object: &K, read: fn(&K) -> Option<V>) {
        self.shared.take_in(object, read);
    }

    /// The names of objects that change from now on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<String> {
        self.shared.changes.subscribe()
    }
}

impl<V: Clone> Shared<V> {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Entry<V>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Entry<V>>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watch shows an object.
    fn show<K: Resource>(&self, object: &K, read: fn(&K) -> Option<V>) {
        self.shown.fetch_max(version(object), Ordering::AcqRel);
        self.put(object, read);
    }

    /// The watch shows that an object is gone. Another one of its name may have come since.
    fn remove<K: Resource>(&self, object: &K) {
        let (name, version) = (object.name_any(), version(object));
        self.shown.fetch_max(version, Ordering::AcqRel);
        let mut entries = self.write();
        if entries.get(&name).is_some_and(|entry| entry.version > version) {
            return;
        }
        entries.remove(&name);
        drop(entries);
        let _ = self.changes.send(name);
    }

    fn take_in<K: Resource>(&self, object: &K, read: fn(&K) -> Option<V>) {
        let is_known = self.read().contains_key(&object.name_any());
        // The watch shows changes in their order: it has shown this version, and a later one without the object.
        if is_known || version(object) > self.shown.load(Ordering::Acquire) {
            self.put(object, read);
        }
    }

    fn put<K: Resource>(&self, object: &K, read: fn(&K) -> Option<V>) {
        let (name, version) = (object.name_any(), version(object));
        let mut entries = self.write();
        if entries.get(&name).is_some_and(|entry| entry.version > version) {
            return;
        }
        match read(object) {
            Some(value) => entries.insert(name.clone(), Entry { version, value }),
            None => entries.remove(&name),
        };
        drop(entries);
        // Without a follower there is nobody to tell.
        let _ = self.changes.send(name);
    }

    async fn follow<K>(&self, api: Api<K>, read: fn(&K) -> Option<V>)
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
    {
        let stream = watcher::watcher(api, watcher::Config::default()).default_backoff();
        futures_util::pin_mut!(stream);
        // What is listed while the watch begins anew; what is not among it afterwards is gone.
        let mut listed: Option<BTreeMap<String, u64>> = None;
        while let Some(event) = stream.next().await {
            match event {
                Err(error) => {
                    tracing::warn!(%error, "a watch of the API server failed; it is tried again");
                    self.state.send_modify(|state| {
                        state.failing_since.get_or_insert_with(Instant::now);
                    });
                    continue;
                }
                Ok(Event::Init) => listed = Some(BTreeMap::new()),
                Ok(Event::InitApply(object)) => {
                    if let Some(listed) = &mut listed {
                        listed.insert(object.name_any(), version(&object));
                    }
                    self.show(&object, read);
                }
                Ok(Event::InitDone) => {
                    self.forget_all_but(&listed.take().unwrap_or_default());
                    self.state.send_modify(|state| state.synced = true);
                }
                Ok(Event::Apply(object)) => self.show(&object, read),
                Ok(Event::Delete(object)) => self.remove(&object),
            }
            self.state.send_if_modified(|state| state.failing_since.take().is_some());
        }
    }

    /// Forgets what a complete list does not show. What this process wrote meanwhile is newer than anything in the list.
    fn forget_all_but(&self, listed: &BTreeMap<String, u64>) {
        let newest = listed.values().max().copied().unwrap_or(0);
        let mut gone = Vec::new();
        self.write().retain(|name, entry| {
            let stays = listed.contains_key(name) || entry.version > newest;
            if !stays {
                gone.push(name.clone());
            }
            stays
        });
        for name in gone {
            let _ = self.changes.send(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn object(name: &str, version: u64) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.to_owned());
        object.metadata.resource_version = Some(version.to_string());
        object
    }

    fn read(object: &ConfigMap) -> Option<u64> {
        Some(version(object))
    }

    fn shared() -> Shared<u64> {
        let (state, _) = watch::channel(State { synced: true, failing_since: None });
        Shared { entries: RwLock::default(), shown: AtomicU64::new(0), state, changes: broadcast::channel(8).0 }
    }

    fn known(shared: &Shared<u64>) -> Option<u64> {
        shared.read().get("a").map(|entry| entry.value)
    }

    #[test]
    fn an_answer_that_comes_after_the_end_of_its_object_does_not_bring_it_back() {
        let shared = shared();
        shared.show(&object("a", 5), read);
        shared.remove(&object("a", 6));
        shared.take_in(&object("a", 5), read);
        assert_eq!(known(&shared), None);
        // Another one of its name counts, whether the watch has shown it or not.
        shared.take_in(&object("a", 8), read);
        assert_eq!(known(&shared), Some(8));
    }

    #[test]
    fn news_of_an_earlier_object_do_not_remove_a_later_one() {
        let shared = shared();
        shared.take_in(&object("a", 8), read);
        shared.remove(&object("a", 6));
        assert_eq!(known(&shared), Some(8));
        shared.show(&object("a", 7), read);
        assert_eq!(known(&shared), Some(8), "it is older than what this process wrote");
        shared.remove(&object("a", 9));
        assert_eq!(known(&shared), None);
    }
}
