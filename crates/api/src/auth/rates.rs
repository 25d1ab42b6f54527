use super::addresses::network;
use crate::{
    problem::Problem,
    settings::{RateLimits, SettingsError},
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use cloister_model::Account;
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
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
    limiter: RateLimiter<K, HashMapStateStore<K>, DefaultClock, StateInformationMiddleware>,
    clock: DefaultClock,
    policy: Policy,
    seen: AtomicU32,
}

/// A limit, as it is told to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    name: &'static str,
    /// Requests at once.
    quota: u32,
    /// Seconds until all of the quota is there again.
    window: u32,
}

/// What is left of a limit after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    policy: Policy,
    /// Requests that may follow at once.
    remaining: u32,
    /// Seconds until there is more.
    reset: u32,
}

/// A request too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded(Allowance);

/// The limits that a request counted against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted(Vec<Allowance>);

impl Rates {
    pub(crate) fn new(limits: RateLimits) -> Result<Self, SettingsError> {
        let RateLimits { account_per_second, account_burst, address_per_second, address_burst } = limits;
        Ok(Self {
            accounts: Limiter::new(account_per_second, account_burst, "account")?,
            addresses: Limiter::new(address_per_second, address_burst, "address")?,
        })
    }

    /// Counts a request of an account.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub(crate) fn account(&self, account: &Account) -> Result<Allowance, Exceeded> {
        self.accounts.check(&account.key().to_owned())
    }

    /// Counts a request from a network address. An IPv6 client usually has a whole /64 network, so that is what counts.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub(crate) fn address(&self, address: IpAddr) -> Result<Allowance, Exceeded> {
        self.addresses.check(&network(address))
    }
}

impl<K: Clone + Eq + Hash> Limiter<K> {
    fn new(per_second: u32, burst: u32, name: &'static str) -> Result<Self, SettingsError> {
        let (Some(per_second), Some(burst)) = (NonZeroU32::new(per_second), NonZeroU32::new(burst)) else {
            return Err(SettingsError::Rate(name));
        };
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let policy = Policy { name, quota: burst.get(), window: burst.get().div_ceil(per_second.get()) };
        let limiter = RateLimiter::hashmap(quota).with_middleware::<StateInformationMiddleware>();
        Ok(Self { limiter, clock: DefaultClock::default(), policy, seen: AtomicU32::new(0) })
    }

    fn check(&self, key: &K) -> Result<Allowance, Exceeded> {
        if self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY) {
            self.limiter.retain_recent();
        }
        let policy = self.policy;
        match self.limiter.check_key(key) {
            // At least one request per second is allowed.
            Ok(state) => Ok(Allowance { policy, remaining: state.remaining_burst_capacity(), reset: 1 }),
            Err(not_until) => {
                let seconds = not_until.wait_time_from(self.clock.now()).as_secs().saturating_add(1);
                Err(Exceeded(Allowance { policy, remaining: 0, reset: u32::try_from(seconds).unwrap_or(u32::MAX) }))
            }
        }
    }
}

impl From<Exceeded> for Problem {
    fn from(Exceeded(allowance): Exceeded) -> Self {
        Self::rate_limited(allowance.reset)
    }
}

impl Counted {
    /// Notes that a request counted against a limit.
    ///
    /// # Errors
    /// If it is a request too many.
    pub(super) fn note(&mut self, outcome: Result<Allowance, Exceeded>) -> Result<(), Problem> {
        let (Ok(allowance) | Err(Exceeded(allowance))) = outcome;
        self.0.push(allowance);
        outcome.map(|_| ()).map_err(Problem::from)
    }

    /// Tells the sender of the request (draft-ietf-httpapi-ratelimit-headers-10).
    pub(super) fn describe(&self, headers: &mut HeaderMap) {
        let policy = |Allowance { policy: Policy { name, quota, window }, .. }: &Allowance| {
            format!("\"{name}\";q={quota};w={window}")
        };
        let left = |Allowance { policy: Policy { name, .. }, remaining, reset }: &Allowance| {
            format!("\"{name}\";r={remaining};t={reset}")
        };
        let mut set = |name: &'static str, values: Vec<String>| {
            if !values.is_empty()
                && let Ok(value) = HeaderValue::from_str(&values.join(", "))
            {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        set("ratelimit-policy", self.0.iter().map(policy).collect());
        set("ratelimit", self.0.iter().map(left).collect());
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
        let problem = Problem::from(rates.account(&alice).expect_err("a third at once"));
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
    fn the_sender_learns_what_is_left() {
        let (rates, alice) = (rates(), "alice".parse().expect("alice"));
        for (left, may) in
            [("\"account\";r=1;t=1", true), ("\"account\";r=0;t=1", true), ("\"account\";r=0;t=1", false)]
        {
            let (mut counted, mut headers) = (Counted::default(), HeaderMap::new());
            assert_eq!(counted.note(rates.account(&alice)).is_ok(), may);
            counted.describe(&mut headers);
            assert_eq!(headers["ratelimit-policy"], "\"account\";q=2;w=2");
            assert_eq!(headers["ratelimit"], left);
        }
        let mut headers = HeaderMap::new();
        Counted::default().describe(&mut headers);
        assert!(headers.is_empty(), "nothing was counted");
    }

    #[test]
    fn refuses_a_rate_of_zero() {
        let none = RateLimits { account_per_second: 0, ..RateLimits::default() };
        assert!(matches!(Rates::new(none), Err(SettingsError::Rate("account"))));
    }
}
