//! What this machine has, for settings that say "all of it".

/// Memory for jobs: three quarters of what there is, in bytes.
pub(super) fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit).max(1)) / 4 * 3
}

/// Processors for jobs: those that this process may use.
pub(super) fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_something() {
        assert!(memory_bytes() > 64 << 20 && cpus() > 0);
    }
}
