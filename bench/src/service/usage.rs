//! What processes use, and what the disk can do.

use anyhow::{Context as _, Result};
use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

/// Processor time in seconds, in user and kernel mode together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu(pub(crate) f64);

/// Of another process. Counted by the kernel in hundredths of a second.
pub(super) fn cpu_of(pid: u32) -> Result<Cpu> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything, blanks included.
    let (_, fields) = text.rsplit_once(')').context("a process's statistics")?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Cpu(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Of this process.
pub(crate) fn own_cpu() -> Result<Cpu> {
    cpu_of(std::process::id())
}

/// The memory of a process, each page that others map as well divided among them, in bytes.
pub(super) fn proportional(pid: u32) -> Result<u64> {
    size(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?, "Pss")
}

/// A size in `/proc/<pid>/status`, in bytes.
pub(super) fn status_field(pid: u32, name: &str) -> Result<u64> {
    size(&fs::read_to_string(format!("/proc/{pid}/status"))?, name)
}

fn size(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).context("a field of a process's status")?;
    let kib: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// How often in a second four KiB can be added to a file and reach the disk, one after the other: what a program can
/// promise at most that promises each thing by itself.
pub(crate) fn flushes_per_second(folder: &Path) -> Result<f64> {
    const FOR: Duration = Duration::from_secs(2);
    let path = folder.join("flushes");
    let mut file = fs::OpenOptions::new().create(true).append(true).open(&path)?;
    let (since, mut count) = (Instant::now(), 0_u32);
    while since.elapsed() < FOR {
        file.write_all(&[b'x'; 4096])?;
        file.sync_data()?;
        count += 1;
    }
    let seconds = since.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(f64::from(count) / seconds)
}
