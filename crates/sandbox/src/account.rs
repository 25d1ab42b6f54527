//! The guest's resource use so far, in memory shared with the supervisor, so that the numbers survive the worker.

use cloister_isolation::SharedCounters;
use cloister_model::Limit;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The position of each number in the shared memory.
#[derive(Clone, Copy, Debug)]
enum Slot {
    BytesRead,
    BytesWritten,
    Memory,
    MemoryPeak,
    LogDropped,
    DeniedLimit,
    DeniedAllowed,
    DeniedAsked,
    HostError,
    GuestStarted,
}

const SLOTS: usize = 10;

/// The shared memory of one run.
pub type Counters = SharedCounters<SLOTS>;

/// The limits that the worker itself enforces, in the order of their codes in shared memory (from 1).
const DENIABLE: [Limit; 7] = [
    Limit::Memory,
    Limit::TableElements,
    Limit::Instances,
    Limit::Handles,
    Limit::OutputBytes,
    Limit::OutputFiles,
    Limit::OutputDirectories,
];

/// A request that exceeded a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The limit.
    pub limit: Limit,
    /// Its value.
    pub allowed: u64,
    /// The total that the guest would have used.
    pub asked: u64,
}

/// The account of one run. Clones share one account. Only the worker writes to it; the supervisor reads it.
#[derive(Clone, Debug)]
pub struct Account {
    counters: Arc<Counters>,
    memory_limit: u64,
}

impl Account {
    /// An account that may hold `memory_limit` bytes at once.
    #[must_use]
    pub fn new(counters: Arc<Counters>, memory_limit: u64) -> Self {
        Self { counters, memory_limit }
    }

    fn slot(&self, slot: Slot) -> &AtomicU64 {
        self.counters.get(slot as usize)
    }

    /// Takes `bytes` of the memory budget: linear memory, `/tmp`, and what the host keeps for the guest.
    ///
    /// # Errors
    /// The denial, which is also recorded. In this case nothing is taken.
    pub fn take_memory(&self, bytes: u64) -> Result<(), Denial> {
        let asked = self.slot(Slot::Memory).load(Relaxed).saturating_add(bytes);
        if asked > self.memory_limit {
            return Err(self.deny(Limit::Memory, self.memory_limit, asked));
        }
        self.slot(Slot::Memory).store(asked, Relaxed);
        self.slot(Slot::MemoryPeak).fetch_max(asked, Relaxed);
        Ok(())
    }

    /// Returns `bytes` to the memory budget.
    pub fn give_memory(&self, bytes: u64) {
        let held = self.slot(Slot::Memory).load(Relaxed);
        self.slot(Slot::Memory).store(held.saturating_sub(bytes), Relaxed);
    }

    /// Records a request that exceeded a limit. A denied output takes precedence over all other denials, because it makes
    /// the results incomplete; otherwise the latest denial wins.
    pub fn deny(&self, limit: Limit, allowed: u64, asked: u64) -> Denial {
        let denial = Denial { limit, allowed, asked };
        if !self.denial().is_some_and(|earlier| is_output(earlier.limit) && !is_output(limit)) {
            let code = DENIABLE.iter().position(|other| *other == limit).map_or(0, |index| index + 1);
            self.slot(Slot::DeniedLimit).store(code as u64, Relaxed);
            self.slot(Slot::DeniedAllowed).store(allowed, Relaxed);
            self.slot(Slot::DeniedAsked).store(asked, Relaxed);
        }
        denial
    }

    /// The recorded denial, if there was one.
    #[must_use]
    pub fn denial(&self) -> Option<Denial> {
        let code = usize::try_from(self.slot(Slot::DeniedLimit).load(Relaxed)).ok()?;
        Some(Denial {
            limit: *DENIABLE.get(code.checked_sub(1)?)?,
            allowed: self.slot(Slot::DeniedAllowed).load(Relaxed),
            asked: self.slot(Slot::DeniedAsked).load(Relaxed),
        })
    }

    /// Records that the host's storage failed. In this case the outcome says nothing about the algorithm.
    pub fn note_host_error(&self, raw_os_error: i32) {
        self.slot(Slot::HostError).store(u64::try_from(raw_os_error).unwrap_or(u64::MAX), Relaxed);
    }

    /// The recorded error of the host's storage, as an errno.
    #[must_use]
    pub fn host_error(&self) -> Option<i32> {
        i32::try_from(self.slot(Slot::HostError).load(Relaxed)).ok().filter(|errno| *errno != 0)
    }

    /// Counts bytes read from inputs.
    pub fn count_read(&self, bytes: usize) {
        add(self.slot(Slot::BytesRead), bytes);
    }

    /// Counts bytes written to outputs.
    pub fn count_written(&self, bytes: usize) {
        add(self.slot(Slot::BytesWritten), bytes);
    }

    /// Counts dropped bytes of the log.
    pub fn count_log_dropped(&self, bytes: usize) {
        add(self.slot(Slot::LogDropped), bytes);
    }

    /// Marks the moment before the guest's first instruction.
    pub fn start_guest(&self) {
        self.slot(Slot::GuestStarted).store(1, Relaxed);
    }

    /// Whether the guest executed any instruction.
    #[must_use]
    pub fn guest_started(&self) -> bool {
        self.slot(Slot::GuestStarted).load(Relaxed) != 0
    }

    /// Bytes read from inputs.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.slot(Slot::BytesRead).load(Relaxed)
    }

    /// Bytes written to outputs.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.slot(Slot::BytesWritten).load(Relaxed)
    }

    /// The most memory that was held at one time, in bytes.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        self.slot(Slot::MemoryPeak).load(Relaxed)
    }

    /// Bytes of the log that the worker dropped.
    #[must_use]
    pub fn log_dropped(&self) -> u64 {
        self.slot(Slot::LogDropped).load(Relaxed)
    }
}

/// Uses a plain load and store: there is only one writer, and an atomic addition would slow down small reads.
fn add(counter: &AtomicU64, bytes: usize) {
    counter.store(counter.load(Relaxed).saturating_add(bytes as u64), Relaxed);
}

fn is_output(limit: Limit) -> bool {
    matches!(limit, Limit::OutputBytes | Limit::OutputFiles | Limit::OutputDirectories)
}

impl Denial {
    /// Whether the denial makes the results incomplete, however the guest ended.
    #[must_use]
    pub fn spoils_results(&self) -> bool {
        is_output(self.limit)
    }
}
