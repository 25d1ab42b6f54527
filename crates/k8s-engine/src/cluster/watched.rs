use super::{CallError, call};
use futures_util::{Stream, StreamExt as _};
use kube::{
    Api, Resource, ResourceExt as _,
    api::ListParams,
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
    time::Duration,
};
use tokio::{sync::broadcast, sync::watch, task::AbortHandle, time::Instant};

/// Changes that a slow follower may be behind before it looks again at everything.
const CHANGES: usize = 1024;

/// After how many seconds the API server ends a watch, so that the next one begins. A connection on which nothing comes for a little
/// longer is given up, without being closed by the server.
const WATCH_SECONDS: u32 = 60;

/// How often it is asked whether the watch has shown what there is.
const CHECK: Duration = Duration::from_secs(300);

/// How far a watch may be behind.
const BEHIND: Duration = Duration::from_secs(60);

/// Objects in one answer to that question. Of each, the metadata alone.
const PAGE: u32 = 500;

/// Objects of users in one answer where a watch begins. Any user with a namespace may have made each as large as one and a half megabytes,
/// and all of an answer is in memory at once.
const MOST_OF_USERS: u32 = 25;

/// Objects of the service in one answer where a watch begins. There may be tens of thousands of them, which are small, and a process that
/// starts waits for all.
const MOST_OF_SERVICE: u32 = 250;

/// A watch of all objects that users apply, with pauses after failures that get longer.
pub(crate) fn watch<K>(api: Api<K>) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    watch_labelled(api, None, MOST_OF_USERS)
}

/// The same of the objects with a label, if one is named, with so many in one answer where it begins.
fn watch_labelled<K>(
    api: Api<K>,
    label: Option<&str>,
    most: u32,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    let wanted = watcher::Config { label_selector: label.map(str::to_owned), ..watcher::Config::default() };
    watcher::watcher(api, wanted.timeout(WATCH_SECONDS).page_size(most)).default_backoff()
}

/// What a process knows of the objects of one kind, kept up to date by a watch. It is compact: of each object only what
/// `read` makes of it.
///
/// It may be behind. What must not be is read from the API server.
pub(crate) struct Watched<V> {
    shared: Arc<Shared<V>>,
    task: AbortHandle,
}

/// Is told of each object that changes: what was kept of it before, and what is kept of it now; none: nothing. It is called in the order
/// of the changes and while nobody can read, so it must neither wait nor ask what is known.
pub(crate) type Observer<V> = Box<dyn Fn(Option<&V>, Option<&V>) + Send + Sync>;

struct Shared<V> {
    entries: RwLock<BTreeMap<String, Entry<V>>>,
    observer: Option<Observer<V>>,
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
        Self::begin(api, None, read, None)
    }

    /// Starts to watch, and tells an observer of each change from the first object on.
    pub(crate) fn start_observed<K>(api: Api<K>, read: fn(&K) -> Option<V>, observer: Observer<V>) -> Self
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
    {
        Self::begin(api, None, read, Some(observer))
    }

    /// Starts to watch the objects with a label, if one is named.
    pub(crate) fn start_labelled<K>(api: Api<K>, label: Option<&'static str>, read: fn(&K) -> Option<V>) -> Self
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
    {
        Self::begin(api, label, read, None)
    }

    fn begin<K>(
        api: Api<K>,
        label: Option<&'static str>,
        read: fn(&K) -> Option<V>,
        observer: Option<Observer<V>>,
    ) -> Self
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
    {
        let (state, _) = watch::channel(State { synced: false, failing_since: None });
        let (changes, _) = broadcast::channel(CHANGES);
        let (entries, shown) = (RwLock::default(), AtomicU64::new(0));
        let shared = Arc::new(Shared { entries, observer, shown, state, changes });
        let watching = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = watching.follow(api.clone(), label, read) => return,
                    newest = watching.is_blind(&api, label) => {
                        tracing::error!(newest, "a watch of the API server shows nothing any more; it begins anew");
                        watching.state.send_modify(|state| {
                            state.failing_since.get_or_insert_with(Instant::now);
                        });
                    }
                }
            }
        });
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

    /// Whether this object is known.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.shared.read().contains_key(name)
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

    /// Tells the observer of a change. The caller holds the entries, so that changes are told in their order.
    fn observe(&self, before: Option<&Entry<V>>, after: Option<&Entry<V>>) {
        if let Some(observer) = &self.observer
            && (before.is_some() || after.is_some())
        {
            observer(before.map(|entry| &entry.value), after.map(|entry| &entry.value));
        }
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
        let before = entries.remove(&name);
        self.observe(before.as_ref(), None);
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
        let before = match read(object) {
            Some(value) => entries.insert(name.clone(), Entry { version, value }),
            None => entries.remove(&name),
        };
        self.observe(before.as_ref(), entries.get(&name));
        drop(entries);
        // Without a follower there is no recipient.
        let _ = self.changes.send(name);
    }

    /// Waits until the API server has had an object for a while that the watch has not shown. The version of that object.
    ///
    /// A watch that says nothing looks like one of objects that do not change, so it is not believed for longer than this.
    async fn is_blind<K>(&self, api: &Api<K>, label: Option<&str>) -> u64
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
    {
        loop {
            tokio::time::sleep(CHECK).await;
            let newest = match newest(api, label).await {
                Ok(newest) => newest,
                Err(error) => {
                    tracing::warn!(%error, "it is not known whether a watch of the API server is behind");
                    continue;
                }
            };
            tokio::time::sleep(BEHIND).await;
            if self.shown.load(Ordering::Acquire) < newest {
                return newest;
            }
        }
    }

    async fn follow<K>(&self, api: Api<K>, label: Option<&str>, read: fn(&K) -> Option<V>)
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
    {
        let stream = watch_labelled(api, label, MOST_OF_SERVICE);
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
                self.observe(Some(entry), None);
                gone.push(name.clone());
            }
            stays
        });
        for name in gone {
            let _ = self.changes.send(name);
        }
    }
}

/// The newest version of any object that there is.
async fn newest<K>(api: &Api<K>, label: Option<&str>) -> Result<u64, CallError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static,
{
    let (mut page, mut newest) = (ListParams::default().limit(PAGE), 0);
    page.label_selector = label.map(str::to_owned);
    loop {
        let listed = call("list what a watch follows", || async { api.list_metadata(&page).await }).await?;
        newest = listed.items.iter().map(version).max().unwrap_or(0).max(newest);
        match listed.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(newest),
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
        let (entries, shown) = (RwLock::default(), AtomicU64::new(0));
        Shared { entries, observer: None, shown, state, changes: broadcast::channel(8).0 }
    }

    fn known(shared: &Shared<u64>) -> Option<u64> {
        shared.read().get("a").map(|entry| entry.value)
    }

    /// An API server that lists one object, and whose watches say nothing.
    fn silent(newest: Arc<AtomicU64>) -> Api<ConfigMap> {
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let newest = Arc::clone(&newest);
            async move {
                if request.uri().query().is_some_and(|query| query.contains("watch=")) {
                    std::future::pending::<()>().await;
                }
                let version = newest.load(Ordering::Acquire).to_string();
                let items = [serde_json::json!({"metadata": {"name": "a", "resourceVersion": version}})];
                let metadata = serde_json::json!({"resourceVersion": version});
                let list = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": metadata, "items": items});
                let body = kube::client::Body::from(list.to_string().into_bytes());
                Ok::<_, std::convert::Infallible>(http::Response::new(body))
            }
        });
        Api::namespaced(kube::Client::new(service, "default"), "default")
    }

    /// An API server that says nothing, and what it is asked.
    fn silence() -> (Api<ConfigMap>, Arc<std::sync::Mutex<Vec<String>>>) {
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let remembers = Arc::clone(&asked);
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            remembers.lock().expect("no panic").push(query);
            std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
        });
        (Api::namespaced(kube::Client::new(service, "default"), "default"), asked)
    }

    /// What users have made large does not come at once, and what the service keeps of many jobs does not take long.
    #[tokio::test(start_paused = true)]
    async fn a_watch_begins_with_few_objects_of_users_and_with_more_of_the_service() {
        let (api, asked) = silence();
        let watched = Watched::start(api, read);
        assert!(!watched.synced(Duration::from_secs(1)).await);
        let query = asked.lock().expect("no panic").first().cloned().unwrap_or_default();
        assert!(query.contains(&format!("limit={MOST_OF_SERVICE}")), "{query}");
        let (api, asked) = silence();
        let stream = watch(api);
        futures_util::pin_mut!(stream);
        let shown = async { while !matches!(stream.next().await, None | Some(Ok(Event::InitDone))) {} };
        assert!(tokio::time::timeout(Duration::from_secs(1), shown).await.is_err());
        let query = asked.lock().expect("no panic").first().cloned().unwrap_or_default();
        assert!(query.split('&').any(|part| part == format!("limit={MOST_OF_USERS}")), "{query}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_shows_nothing_any_more_begins_anew() {
        let newest = Arc::new(AtomicU64::new(5));
        let watched = Watched::start(silent(Arc::clone(&newest)), read);
        assert!(watched.synced(Duration::from_secs(10)).await);
        assert_eq!(watched.get("a"), Some(5));
        newest.store(9, Ordering::Release);
        let mut changes = watched.changes();
        // The clock of this test stands still, except while everything waits.
        let changed = tokio::time::timeout(CHECK * 3, changes.recv()).await;
        assert_eq!(changed.expect("in time").as_deref(), Ok("a"));
        assert_eq!((watched.get("a"), watched.failing()), (Some(9), None));
    }

    /// What does not change is no sign of a watch that has gone blind.
    #[tokio::test(start_paused = true)]
    async fn a_watch_of_what_does_not_change_goes_on() {
        let watched = Watched::start(silent(Arc::new(AtomicU64::new(5))), read);
        assert!(watched.synced(Duration::from_secs(10)).await);
        let mut changes = watched.changes();
        assert!(tokio::time::timeout(CHECK * 5, changes.recv()).await.is_err());
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
    fn an_observer_is_told_of_each_change_and_of_nothing_else() {
        let told = Arc::new(RwLock::new(Vec::new()));
        let telling = Arc::clone(&told);
        let observer: Observer<u64> = Box::new(move |before: Option<&u64>, after: Option<&u64>| {
            telling.write().expect("the lock").push((before.copied(), after.copied()));
        });
        let shared = Shared { observer: Some(observer), ..shared() };
        shared.show(&object("a", 5), read);
        shared.show(&object("b", 6), read);
        shared.take_in(&object("a", 8), read);
        // Older news, and the end of what was not known.
        shared.show(&object("a", 7), read);
        shared.remove(&object("a", 7));
        shared.remove(&object("c", 9));
        shared.remove(&object("a", 10));
        // An object that cannot be read any more, and one that a complete list does not show.
        shared.show(&object("c", 11), read);
        shared.show(&object("c", 12), |_| None);
        shared.forget_all_but(&BTreeMap::from([("d".to_owned(), 13)]));
        let expected = [
            (None, Some(5)),
            (None, Some(6)),
            (Some(5), Some(8)),
            (Some(8), None),
            (None, Some(11)),
            (Some(11), None),
            (Some(6), None),
        ];
        assert_eq!(*told.read().expect("the lock"), expected);
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
