use crate::UseCases;
use cloister_model::{Account, Asset, AssetKind, Ddo, Did, StoreError};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

/// Assets of one account's submissions that are decided about at once. Their descriptions are in memory meanwhile, and may have
/// a megabyte each.
const MOST_ASSETS: u32 = 32;

/// Bytes of descriptions that one account makes the service read and write in a second, over time. That is work for processors and a disk
/// that all accounts share: a request of two kilobytes can name descriptions of eight megabytes.
const BYTES_PER_SECOND: u64 = 8 * 1024 * 1024;

/// What a description counts that is not there for the account, in bytes: one that is hidden as much as one that is missing. Otherwise how
/// long the next request waits would tell that there is one, and how large.
const ABSENT_BYTES: usize = 32 * 1024;

/// What an account that was idle may do at once, in time of its share.
const BURST: Duration = Duration::from_secs(1);

/// What a request takes of a share, in assets, whose answer is found among many other things: a receipt or the parameters of a job that was
/// archived with others, the records that are about one publisher's assets.
pub(crate) const MANY: usize = 16;

/// Accounts that are remembered beyond those that submit at present.
const MOST_IDLE: usize = 1024;

/// What each account may have in memory of descriptions, and how many of them it makes the service read and write. A request waits for
/// others of its account, and for no other.
#[derive(Debug, Default)]
pub(crate) struct Shares(Mutex<HashMap<String, Arc<AccountShare>>>);

#[derive(Debug)]
struct AccountShare {
    room: Arc<Semaphore>,
    /// When the time is over that everything took so far.
    due: Mutex<Instant>,
}

/// A part of an account's share.
#[derive(Debug)]
pub(crate) struct Share {
    account: Arc<AccountShare>,
    _room: Option<OwnedSemaphorePermit>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shares {
    /// Waits for room for a request that names so many assets, and until the time is over that earlier requests of the account took.
    pub(crate) async fn take(&self, account: &Account, assets: usize) -> Share {
        let account = self.account(account);
        // A submission of many assets takes the whole share.
        let assets = u32::try_from(assets).unwrap_or(u32::MAX).clamp(1, MOST_ASSETS);
        // None only if it were closed, which nothing does.
        let room = Arc::clone(&account.room).acquire_many_owned(assets).await.ok();
        let due = *locked(&account.due);
        if let Some(begin) = due.checked_sub(BURST)
            && begin > Instant::now()
        {
            sleep_until(begin).await;
        }
        Share { account, _room: room }
    }

    fn account(&self, account: &Account) -> Arc<AccountShare> {
        let mut shares = locked(&self.0);
        if shares.len() >= MOST_IDLE {
            let now = Instant::now();
            shares.retain(|_, share| Arc::strong_count(share) > 1 || *locked(&share.due) > now);
        }
        let new = || {
            let room = Arc::new(Semaphore::new(MOST_ASSETS as usize));
            Arc::new(AccountShare { room, due: Mutex::new(Instant::now()) })
        };
        Arc::clone(shares.entry(account.key().to_owned()).or_insert_with(new))
    }
}

impl Share {
    /// Counts a description that was read; none: there is none that the account may have.
    pub(crate) fn read(&self, asset: Option<&Asset>) {
        self.moved(asset.map_or(ABSENT_BYTES, |asset| asset.ddo.size()));
    }

    /// Counts descriptions that were read or written.
    pub(crate) fn moved(&self, bytes: usize) {
        let micros = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000) / BYTES_PER_SECOND;
        let mut due = locked(&self.account.due);
        *due = (*due).max(Instant::now()) + Duration::from_micros(micros);
    }
}

/// That a description counts in the share of an account: what stores one takes it.
#[derive(Debug)]
pub(crate) struct Counted(());

impl UseCases {
    /// An asset, if the account may have it, which `may` says. It counts in the account's share.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn read_asset(
        &self,
        account: &Account,
        did: Did,
        may: impl Fn(&Asset) -> bool,
    ) -> Result<Option<Asset>, StoreError> {
        let share = self.shares().take(account, 1).await;
        let asset = self.backend().asset(did).await?.filter(may);
        share.read(asset.as_ref());
        Ok(asset)
    }

    /// The same, of an asset by its owner's name for it.
    ///
    /// # Errors
    /// If the store fails.
    pub(crate) async fn read_asset_named(
        &self,
        account: &Account,
        (owner, kind, name): (Account, AssetKind, String),
        may: impl Fn(&Asset) -> bool,
    ) -> Result<Option<Asset>, StoreError> {
        let share = self.shares().take(account, 1).await;
        let asset = self.backend().asset_named(owner, kind, name).await?.filter(may);
        share.read(asset.as_ref());
        Ok(asset)
    }

    /// Waits for the account's share, and counts a description in it that is to be stored. What is stored is written by one thread, for
    /// everybody, and as a whole, whatever of it changes.
    pub(crate) async fn count(&self, account: &Account, ddo: &Ddo) -> Counted {
        self.shares().take(account, 1).await.moved(ddo.size());
        Counted(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt as _, future::join_all};

    const MEGABYTE: usize = 1024 * 1024;

    fn account(name: &str) -> Account {
        name.parse().expect("an account")
    }

    #[tokio::test]
    async fn large_submissions_of_an_account_wait_for_each_other_and_for_no_other() {
        let shares = Shares::default();
        let first = shares.take(&account("alice"), 100).await;
        assert!(shares.take(&account("alice"), 1).now_or_never().is_none(), "it waits");
        let bobs = shares.take(&account("bob"), 100).now_or_never();
        assert!(bobs.is_some(), "bob has a share of his own");
        drop(first);
        let again = shares.take(&account("alice"), 1).now_or_never();
        assert!(again.is_some(), "room again");
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_names_large_descriptions_waits_and_no_other_does() {
        let (shares, began) = (Shares::default(), Instant::now());
        let one = async || {
            let share = shares.take(&account("mallory"), 1).await;
            share.moved(4 * MEGABYTE);
            share.moved(4 * MEGABYTE);
        };
        // As many at once as it likes.
        for _ in 0..10 {
            join_all((0..4).map(|_| one())).await;
        }
        let seconds = began.elapsed().as_secs();
        assert!(
            (32..=40).contains(&seconds),
            "320 MiB at eight a second, of which the last need not be over: {seconds} s"
        );
        for _ in 0..100 {
            let others = shares.take(&account("alice"), 1).now_or_never();
            others.expect("no other account waits").moved(2000);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn small_submissions_wait_for_nothing() {
        let (shares, began) = (Shares::default(), Instant::now());
        for _ in 0..5000 {
            // One after the other, each decided in a millisecond.
            shares.take(&account("alice"), 1).await.moved(8000);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(began.elapsed().as_millis(), 5000);
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_account_owes_is_not_forgotten_while_many_others_come() {
        let shares = Shares::default();
        shares.take(&account("mallory"), 1).await.moved(80 * MEGABYTE);
        for number in 0..2 * MOST_IDLE {
            shares.take(&account(&format!("stranger-{number}")), 1).await.moved(1);
        }
        assert!(shares.take(&account("mallory"), 1).now_or_never().is_none(), "it waits");
        assert!(shares.0.lock().expect("no panic").len() <= MOST_IDLE + 1, "strangers are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_that_asks_for_what_is_not_there_waits_after_a_while() {
        let (shares, began) = (Shares::default(), Instant::now());
        for _ in 0..512 {
            shares.take(&account("mallory"), 1).await.read(None);
        }
        let passed = began.elapsed().as_millis();
        assert!((900..=1000).contains(&passed), "16 MiB at eight a second, of which one is at once: {passed} ms");
    }
}
