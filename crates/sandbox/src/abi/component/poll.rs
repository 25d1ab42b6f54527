//! `wasi:io/poll`: waiting.

use crate::guest::{AbiViolation, Guest};
use wasmtime::{Result, component::Resource};
use wasmtime_wasi::p2::bindings::sync::io::poll::{Host, HostPollable, Pollable};

/// The most pollables in one poll.
const MAX_POLLABLES: usize = 4096;

impl Guest {
    /// Waits until `due` and returns the time after that. Reads the clock exactly once, because every reading advances the
    /// virtual clock.
    fn wait(&mut self, due: u64) -> u64 {
        let now = self.clock.monotonic();
        if due <= now {
            return now;
        }
        self.clock.sleep(due - now);
        due
    }
}

impl Host for Guest {
    /// Files and standard streams are always ready, so a poll either returns at once or sleeps until its first clock.
    fn poll(&mut self, pollables: Vec<Resource<Pollable>>) -> Result<Vec<u32>> {
        if pollables.len() > MAX_POLLABLES {
            return Err(AbiViolation("a poll of more than 4096 pollables").into());
        }
        let dues = pollables.iter().map(|pollable| self.resources.pollable(pollable));
        let dues = dues.collect::<std::result::Result<Vec<u64>, AbiViolation>>()?;
        let first = dues.iter().min().ok_or(AbiViolation("a poll of nothing"))?;
        let now = self.wait(*first);
        Ok((0..).zip(dues).filter_map(|(index, due)| (due <= now).then_some(index)).collect())
    }
}

impl HostPollable for Guest {
    fn ready(&mut self, pollable: Resource<Pollable>) -> Result<bool> {
        let due = self.resources.pollable(&pollable)?;
        Ok(due <= self.clock.monotonic())
    }

    fn block(&mut self, pollable: Resource<Pollable>) -> Result<()> {
        let due = self.resources.pollable(&pollable)?;
        self.wait(due);
        Ok(())
    }

    fn drop(&mut self, pollable: Resource<Pollable>) -> Result<()> {
        self.resources.pollable(&pollable)?;
        self.forget(&pollable);
        Ok(())
    }
}
