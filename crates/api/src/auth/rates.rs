use super::addresses::network;
use crate::{
    problem::Problem,
    settings::{RateLimits, SettingsError},
};
use cloister_model::Account;
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::HashMapStateStore,
};
use std::{
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
};

/// After how many requests those that have sent none for long are forgotten.
const SWEEP_EVERY: u32 = 4096;

/// Limits the rate of requests: of network addresses before a request is authenticated, of accounts afterwards.
pub(crate) struct Rates {
    accounts: Limiter<String>,
    addresses: Limiter<IpAddr>,
}

struct Limiter<K: Clone + Eq + Hash> {
    limiter: RateLimiter<K, HashMapStateStore<K>, DefaultClock>,
    clock: DefaultClock,
    seen: AtomicU32,
}

impl Rates {
    pub(crate) fn new(limits: RateLimits) -> Result<Self, SettingsError> {
        let RateLimits { account_per_second, account_burst, address_per_second, address_burst } = limits;
        Ok(Self {
            accounts: Limiter::new(account_per_second, account_burst, "account")?,
            addresses: Limiter::new(address_per_second, address_burst, "address")?,
        })
    }

    /// Counts a request of an account.
    pub(crate) fn account(&self, account: &Account) -> Result<(), Problem> {
        self.accounts.check(&account.key().to_owned())
    }

    /// Counts a request from a network address. An IPv6 client usually has a whole /64 network, so that is what counts.
    pub(crate) fn address(&self, address: IpAddr) -> Result<(), Problem> {
        self.addresses.check(&network(address))
    }
}

impl<K: Clone + Eq + Hash> Limiter<K> {
    fn new(per_second: u32, burst: u32, name: &'static str) -> Result<Self, SettingsError> {
        let (Some(per_second), Some(burst)) = (NonZeroU32::new(per_second), NonZeroU32::new(burst)) else {
            return Err(SettingsError::Rate(name));
        };
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Ok(Self { limiter: RateLimiter::hashmap(quota), clock: DefaultClock::default(), seen: AtomicU32::new(0) })
    }

    fn check(&self, key: &K) -> Result<(), Problem> {
        if self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY) {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(key).map_err(|not_until| {
            let seconds = not_until.wait_time_from(self.clock.now()).as_secs().saturating_add(1);
            Problem::rate_limited(u32::try_from(seconds).unwrap_or(u32::MAX))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates() -> Rates {
        let one = RateLimits { account_per_second: 1, account_burst: 2, address_per_second: 1, address_burst: 1 };
        Rates::new(one).expect("rates")
    }

    #[test]
    fn each_account_has_a_limit_of_its_own() {
        let (rates, alice, bob) = (rates(), "alice".parse().expect("alice"), "bob".parse().expect("bob"));
        assert!(rates.account(&alice).is_ok() && rates.account(&alice).is_ok());
        let problem = rates.account(&alice).expect_err("a third at once");
        assert!(problem.retry_after.is_some_and(|seconds| seconds >= 1));
        assert!(rates.account(&bob).is_ok());
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let (rates, address) = (rates(), |text: &str| text.parse::<IpAddr>().expect("an address"));
        assert!(rates.address(address("2001:db8::1")).is_ok());
        assert!(rates.address(address("2001:db8::ffff")).is_err());
        assert!(rates.address(address("2001:db8:0:1::1")).is_ok());
        assert!(rates.address(address("::ffff:192.0.2.1")).is_ok());
        assert!(rates.address(address("192.0.2.1")).is_err());
    }

    #[test]
    fn refuses_a_rate_of_zero() {
        let none = RateLimits { account_per_second: 0, ..RateLimits::default() };
        assert!(matches!(Rates::new(none), Err(SettingsError::Rate("account"))));
    }
}
