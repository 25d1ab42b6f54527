use crate::problem::Problem;
use cloister_model::Account;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Places for what takes long, so many for each account: whoever takes all of theirs keeps nobody else from anything.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    what: &'static str,
    taken: Mutex<HashMap<String, usize>>,
}

/// One place. Dropped, it is free.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    account: String,
}

impl Places {
    /// So many for each account. `what` takes a place, in the plural.
    pub(crate) fn new(most: usize, what: &'static str) -> Arc<Self> {
        Arc::new(Self { most, what, taken: Mutex::default() })
    }

    /// Takes one.
    pub(crate) fn take(self: &Arc<Self>, account: &Account) -> Result<Place, Problem> {
        let account = account.key().to_owned();
        let mut taken = self.taken();
        let count = taken.entry(account.clone()).or_insert(0);
        if *count >= self.most {
            let detail = format!("you have {} {} under way, which is the most; end one first", self.most, self.what);
            return Err(Problem { detail, ..Problem::rate_limited(5) });
        }
        *count += 1;
        Ok(Place { places: Arc::clone(self), account })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        // Accounts without any are not remembered.
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
    fn one_account_takes_no_place_of_another() {
        let account = |name: &str| name.parse::<Account>().expect("an account");
        let places = Places::new(2, "uploads");
        let one = places.take(&account("bob")).expect("a place");
        let two = places.take(&account("bob")).expect("a place");
        let refused = places.take(&account("bob")).expect_err("no place");
        assert_eq!((refused.status.as_u16(), refused.retry_after), (429, Some(5)));
        places.take(&account("carol")).expect("carol has places of her own");
        drop(one);
        drop(places.take(&account("bob")).expect("a place that is free again"));
        drop(two);
        assert!(places.taken().is_empty(), "nobody is remembered for ever");
    }
}
