//! Memory and processors of this machine, for settings without a value.

/// Default memory for jobs: three quarters of the machine's, in bytes.
pub(super) fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit).max(1)) / 4 * 3
}

/// Default processors for jobs: those that this process may use.
pub(super) fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_memory_and_processors() {
        assert!(memory_bytes() > 64 << 20 && cpus() > 0);
    }
}
