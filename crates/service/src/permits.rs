use cloister_model::Account;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Permits for things that take long, a number for each account: an account that uses all of its own takes none from the
/// others.
#[derive(Debug)]
pub struct Permits {
    most: usize,
    what: &'static str,
    taken: Mutex<HashMap<String, usize>>,
}

/// A permit, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    permits: Arc<Permits>,
    account: String,
}

/// The account has all of its permits in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("you have {most} {what} under way, which is the most; end one first")]
pub struct TooMany {
    most: usize,
    what: &'static str,
}

impl Permits {
    /// `most` permits for each account. `what` needs a permit, in the plural.
    #[must_use]
    pub fn new(most: usize, what: &'static str) -> Arc<Self> {
        Arc::new(Self { most, what, taken: Mutex::default() })
    }

    /// Takes a permit.
    ///
    /// # Errors
    /// If the account has none left.
    pub fn take(self: &Arc<Self>, account: &Account) -> Result<Permit, TooMany> {
        let account = account.key().to_owned();
        let mut taken = self.taken();
        let count = taken.entry(account.clone()).or_insert(0);
        if *count >= self.most {
            return Err(TooMany { most: self.most, what: self.what });
        }
        *count += 1;
        Ok(Permit { permits: Arc::clone(self), account })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.permits.taken();
        // An account without permits in use is forgotten.
        if let Some(count) = taken.get_mut(&self.account) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_takes_no_permit_of_another() {
        let account = |name: &str| name.parse::<Account>().expect("an account");
        let permits = Permits::new(2, "uploads");
        let one = permits.take(&account("bob")).expect("a permit");
        let two = permits.take(&account("bob")).expect("a permit");
        assert!(permits.take(&account("bob")).is_err());
        permits.take(&account("carol")).expect("carol has permits of her own");
        drop(one);
        drop(permits.take(&account("bob")).expect("a permit that was given back"));
        drop(two);
        assert!(permits.taken().is_empty(), "accounts without permits are forgotten");
    }
}
