//! `wasi:clocks`.

use super::resources::Entry;
use crate::guest::Guest;
use std::time::Duration;
use wasmtime::{Result, component::Resource};
use wasmtime_wasi::p2::{
    DynPollable,
    bindings::clocks::{monotonic_clock, wall_clock, wall_clock::Datetime},
};

fn datetime(time: Duration) -> Datetime {
    Datetime { seconds: time.as_secs(), nanoseconds: time.subsec_nanos() }
}

impl wall_clock::Host for Guest {
    fn now(&mut self) -> Result<Datetime> {
        Ok(datetime(self.clock.wall()))
    }

    fn resolution(&mut self) -> Result<Datetime> {
        Ok(datetime(Duration::from_nanos(self.clock.resolution())))
    }
}

impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> Result<u64> {
        Ok(self.clock.monotonic())
    }

    fn resolution(&mut self) -> Result<u64> {
        Ok(self.clock.resolution())
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        self.keep_or_trap(Entry::Pollable(when))
    }

    fn subscribe_duration(&mut self, duration: u64) -> Result<Resource<DynPollable>> {
        let due = self.clock.monotonic().saturating_add(duration);
        self.keep_or_trap(Entry::Pollable(due))
    }
}
