//! Limits on memory and tables, summed over everything the guest has. wasmtime's own limits are per memory, and a guest
//! can have many memories.

use crate::account::Account;
use cloister_model::Limit;
use wasmtime::ResourceLimiter;

/// Decides every growth of a memory or table.
#[derive(Debug)]
pub struct Limiter {
    account: Account,
    table_elements: usize,
    table_limit: u64,
    instances: usize,
    last_growth: u64,
}

impl Limiter {
    /// Linear memory is charged to `account`; tables and instances have limits of their own.
    #[must_use]
    pub fn new(account: Account, table_limit: u64, instances: u32) -> Self {
        let instances = usize::try_from(instances).unwrap_or(usize::MAX);
        Self { account, table_elements: 0, table_limit, instances, last_growth: 0 }
    }
}

impl ResourceLimiter for Limiter {
    /// After a refusal, `memory.grow` returns -1. The account keeps the denial, so that the abort that usually follows is
    /// reported as an exceeded limit.
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.last_growth = desired.saturating_sub(current) as u64;
        Ok(self.account.take_memory(self.last_growth).is_ok())
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.account.give_memory(std::mem::take(&mut self.last_growth));
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let asked = self.table_elements.saturating_add(desired.saturating_sub(current));
        if asked as u64 > self.table_limit {
            self.account.deny(Limit::TableElements, self.table_limit, asked as u64);
            return Ok(false);
        }
        self.table_elements = asked;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.instances
    }
}
