//! The guest's clock.

use cloister_model::Profile;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The start of the virtual clock and the timestamp of every file: 2026-01-01T00:00:00Z, in seconds since 1970.
pub const EPOCH_SECONDS: u64 = 1_767_225_600;

/// By how much each reading advances the virtual clock, in nanoseconds. If the clock stood still, programs that wait for
/// it to advance would hang.
const TICK: u64 = 1_000;

const NANOS: u64 = 1_000_000_000;

/// The guest's clock: the machine's clock, or a virtual one that advances only when the guest reads it or sleeps.
#[derive(Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Machine { start: Instant },
    Virtual { nanos: u64 },
}

impl Clock {
    /// The clock of a profile, starting now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the standard profile gives the real time")]
    pub fn new(profile: Profile) -> Self {
        let source = match profile {
            Profile::Deterministic => Source::Virtual { nanos: 0 },
            Profile::Standard => Source::Machine { start: Instant::now() },
        };
        Self { source }
    }

    /// Nanoseconds since the run began. Never decreases.
    pub fn monotonic(&mut self) -> u64 {
        match &mut self.source {
            Source::Machine { start } => u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
            Source::Virtual { nanos } => {
                *nanos = nanos.saturating_add(TICK);
                *nanos
            }
        }
    }

    /// Time since 1970.
    #[expect(clippy::disallowed_methods, reason = "the standard profile gives the real time")]
    pub fn wall(&mut self) -> Duration {
        match &self.source {
            Source::Machine { .. } => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            Source::Virtual { .. } => Duration::from_secs(EPOCH_SECONDS) + Duration::from_nanos(self.monotonic()),
        }
    }

    /// The smallest step of both clocks, in nanoseconds.
    #[must_use]
    pub fn resolution(&self) -> u64 {
        match self.source {
            Source::Machine { .. } => 1,
            Source::Virtual { .. } => TICK,
        }
    }

    /// Sleeps. The virtual clock only advances its value and returns at once.
    #[expect(clippy::disallowed_methods, reason = "the standard profile sleeps in real time")]
    pub fn sleep(&mut self, duration_nanos: u64) {
        match &mut self.source {
            Source::Machine { .. } => {
                std::thread::sleep(Duration::new(duration_nanos / NANOS, (duration_nanos % NANOS) as u32));
            }
            Source::Virtual { nanos } => *nanos = nanos.saturating_add(duration_nanos),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_virtual_clock_advances_only_when_used() {
        let readings = || {
            let mut clock = Clock::new(Profile::Deterministic);
            let first = clock.monotonic();
            clock.sleep(3_600 * NANOS);
            (first, clock.monotonic(), clock.wall())
        };
        assert_eq!(readings(), readings());
        let (first, second, wall) = readings();
        assert_eq!(second - first, 3_600 * NANOS + TICK);
        assert_eq!(wall.as_secs(), EPOCH_SECONDS + 3_600);
    }
}
