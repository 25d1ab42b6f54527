//! Chance that can be had again: by its seed, which is printed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A generator of Marsaglia's (xorshift64*): nothing here needs a better one.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

/// The seed of this run: `CLOISTERDEV_CRASH_SEED`, or what the clock says.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("CLOISTERDEV_CRASH_SEED")
        .ok()
        .map(|text| text.parse().expect("CLOISTERDEV_CRASH_SEED is a number"));
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    })
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        // No state of zero, and neighbours far apart.
        Self((seed ^ 0x5851_f42d_4c95_7f2d).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Another generator, for another thread.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than this.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        (self.next() >> 11) % most.max(1)
    }

    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let place = usize::try_from(self.below(all.len() as u64)).expect("a place in a list");
        &all[place]
    }

    /// Up to so many milliseconds, in steps of ten microseconds.
    pub(crate) fn up_to_ms(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.below(most * 100) * 10)
    }
}
