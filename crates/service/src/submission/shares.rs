use cloister_model::Account;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Assets of one account's submissions that are decided about at once. Their descriptions are in memory meanwhile, and may have
/// a megabyte each.
const MOST_ASSETS: u32 = 32;

/// Accounts that are remembered beyond those that submit at present.
const MOST_IDLE: usize = 1024;

/// What the submissions of each account may have in memory. A submission waits for others of its account, and for no other.
#[derive(Debug, Default)]
pub(crate) struct Shares(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Shares {
    /// Waits for room for a submission that names so many assets.
    pub(crate) async fn take(&self, account: &Account, assets: usize) -> Option<OwnedSemaphorePermit> {
        let share = {
            let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if shares.len() >= MOST_IDLE {
                shares.retain(|_, share| Arc::strong_count(share) > 1);
            }
            let share = shares.entry(account.key().to_owned());
            Arc::clone(share.or_insert_with(|| Arc::new(Semaphore::new(MOST_ASSETS as usize))))
        };
        // A submission of many assets takes the whole share.
        let assets = u32::try_from(assets).unwrap_or(u32::MAX).clamp(1, MOST_ASSETS);
        share.acquire_many_owned(assets).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn large_submissions_of_an_account_wait_for_each_other_and_for_no_other() {
        let (shares, account) = (Shares::default(), |name: &str| name.parse::<Account>().expect("an account"));
        let first = shares.take(&account("alice"), 100).await.expect("room");
        assert!(shares.take(&account("alice"), 1).now_or_never().is_none(), "it waits");
        let _bobs = shares.take(&account("bob"), 100).now_or_never().flatten().expect("bob has a share of his own");
        drop(first);
        let again = shares.take(&account("alice"), 1).now_or_never().flatten();
        assert!(again.is_some(), "room again");
    }
}
