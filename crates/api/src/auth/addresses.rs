//! What one network address may take before a request is authenticated. A stranger has no account to count against.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Authentications that may fail from one network within [`WINDOW`] before those that cost most are refused unseen.
const MOST_FAILURES: u32 = 60;

/// How long failed authentications count.
const WINDOW: Duration = Duration::from_secs(60);

/// Networks whose failures are remembered. When there are more, those of earlier windows are forgotten, and then all.
const MOST_KNOWN: usize = 16 * 1024;

/// What counts as one client: an IPv4 address, or the /64 network that an IPv6 client usually has.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => IpAddr::V4(four),
            None => IpAddr::V6((u128::from(six) & !u128::from(u64::MAX)).into()),
        },
    }
}

/// Things that networks have at once: connections, requests that are being authenticated. A number for each.
#[derive(Debug)]
pub(crate) struct PerNetwork {
    most: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    all: Arc<PerNetwork>,
    network: IpAddr,
}

impl PerNetwork {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// Takes one; none if the network of this address has the most there may be.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Taken> {
        let network = network(address);
        let mut taken = self.taken();
        let count = taken.entry(network).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Taken { all: Arc::clone(self), network })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = self.all.taken();
        if let Some(count) = taken.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

/// Failed authentications of networks.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Failures {
    /// Counts one.
    pub(crate) fn count(&self, address: IpAddr) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.retain(|_, (_, began)| began.elapsed() < WINDOW);
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
        }
        let (count, began) = known.entry(network(address)).or_insert((0, Instant::now()));
        if began.elapsed() >= WINDOW {
            (*count, *began) = (0, Instant::now());
        }
        *count = count.saturating_add(1);
    }

    /// The seconds after which this address may try again; none: it may now.
    pub(crate) fn wait(&self, address: IpAddr) -> Option<u32> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, began) = known.get(&network(address))?;
        let left = WINDOW.checked_sub(began.elapsed()).filter(|_| *count >= MOST_FAILURES)?;
        Some(u32::try_from(left.as_secs()).unwrap_or(u32::MAX).saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_takes_nothing_of_another() {
        let all = PerNetwork::new(2);
        let one = all.take(address("2001:db8::1")).expect("the first");
        let _two = all.take(address("2001:db8::2")).expect("the second of the same network");
        assert!(all.take(address("2001:db8::3")).is_none());
        let _other = all.take(address("192.0.2.1")).expect("another network");
        drop(one);
        let _again = all.take(address("2001:db8::3")).expect("one was given back");
    }

    #[test]
    fn what_is_given_back_is_forgotten() {
        let all = PerNetwork::new(1);
        drop(all.take(address("192.0.2.1")));
        assert!(all.taken().is_empty());
    }

    #[test]
    fn a_network_that_fails_often_has_to_wait_and_no_other() {
        let (failures, one) = (Failures::default(), address("192.0.2.1"));
        for _ in 0..MOST_FAILURES {
            assert_eq!(failures.wait(one), None);
            failures.count(one);
        }
        assert!(failures.wait(one).is_some_and(|seconds| (1..=61).contains(&seconds)));
        assert_eq!(failures.wait(address("192.0.2.2")), None);
    }
}
