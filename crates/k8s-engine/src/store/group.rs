use std::{future::Future, mem, sync::Arc};
use tokio::sync::oneshot;

/// Group commit: whatever waits while one write is under way is written together by the next.
///
/// A write goes on when its caller has gone, so that what the store holds does not depend on who still listens.
#[derive(Debug)]
pub(crate) struct Group<I, O> {
    waiting: std::sync::Mutex<Vec<(I, oneshot::Sender<O>)>>,
    turn: tokio::sync::Mutex<()>,
}

impl<I, O> Default for Group<I, O> {
    fn default() -> Self {
        Self { waiting: std::sync::Mutex::default(), turn: tokio::sync::Mutex::default() }
    }
}

impl<I: Send + 'static, O: Send + 'static> Group<I, O> {
    /// Writes an item together with others. `write` gets the items of a group and answers for each, in their order. None if
    /// it did not.
    pub(crate) async fn write<F>(
        self: &Arc<Self>,
        item: I,
        write: impl FnOnce(Vec<I>) -> F + Send + 'static,
    ) -> Option<O>
    where
        F: Future<Output = Vec<O>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((item, sender));
        let group = Arc::clone(self);
        tokio::spawn(async move {
            let _turn = group.turn.lock().await;
            let waiting = mem::take(&mut *group.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
            if waiting.is_empty() {
                return;
            }
            let (items, senders): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
            for (answer, sender) in write(items).await.into_iter().zip(senders) {
                // A caller that has gone hears nothing.
                let _ = sender.send(answer);
            }
        });
        receiver.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_written_together_and_everybody_is_answered() {
        let (group, writes) = (Arc::new(Group::<u32, u32>::default()), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..50)
            .map(|item| {
                let (group, writes) = (Arc::clone(&group), Arc::clone(&writes));
                tokio::spawn(async move {
                    let write = move |items: Vec<u32>| async move {
                        writes.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                        items.into_iter().map(|item| item * 2).collect()
                    };
                    assert_eq!(group.write(item, write).await, Some(item * 2));
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
        let writes = writes.load(Ordering::Relaxed);
        assert!((1..10).contains(&writes), "{writes}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_goes_on_when_its_caller_has_gone() {
        let (group, done) = (Arc::new(Group::<(), ()>::default()), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&done);
        let write = move |items: Vec<()>| async move {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            counted.fetch_add(1, Ordering::Relaxed);
            items
        };
        let gone = tokio::time::timeout(std::time::Duration::from_millis(1), group.write((), write)).await;
        assert!(gone.is_err());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert_eq!(done.load(Ordering::Relaxed), 1);
    }
}
