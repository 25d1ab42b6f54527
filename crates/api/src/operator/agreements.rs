use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::OwnedMutexGuard;

/// Agreements for which a job is being started: one start at a time for each, so that two that come together do not both
/// find that there is none yet.
#[derive(Debug, Default)]
pub(super) struct Agreements(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

/// The right to start a job for an agreement.
#[derive(Debug)]
pub(super) struct Starting<'a> {
    agreements: &'a Agreements,
    name: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Agreements {
    /// Waits until no other start for this agreement is under way.
    pub(super) async fn start(&self, name: &str) -> Starting<'_> {
        let lock = Arc::clone(self.lock().entry(name.to_owned()).or_default());
        // Made first: whoever is dropped while it waits leaves nothing behind, either.
        let mut starting = Starting { agreements: self, name: name.to_owned(), guard: None };
        starting.guard = Some(lock.lock_owned().await);
        starting
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut agreements = self.agreements.lock();
        // Others that wait hold it, too.
        if agreements.get(&self.name).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            agreements.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn one_at_a_time_for_each_and_nothing_is_left() {
        let agreements = Agreements::default();
        let inside = AtomicU32::new(0);
        let start = |name: &'static str| async {
            let _starting = agreements.start(name).await;
            let before = inside.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            inside.fetch_sub(1, Ordering::SeqCst);
            before
        };
        let (one, two, three) = tokio::join!(start("a"), start("a"), start("a"));
        assert_eq!((one, two, three), (0, 0, 0));
        let (one, other) = tokio::join!(start("a"), start("b"));
        assert_eq!(one + other, 1, "others do not wait");
        assert!(agreements.lock().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_nothing() {
        let agreements = Agreements::default();
        let held = agreements.start("a").await;
        let mut waiting = Box::pin(agreements.start("a"));
        assert!(futures_util::FutureExt::now_or_never(&mut waiting).is_none());
        drop(waiting);
        drop(held);
        assert!(agreements.lock().is_empty());
    }
}
