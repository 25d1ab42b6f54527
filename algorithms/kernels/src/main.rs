//! Small kernels for benchmarks of the sandbox against the same source compiled natively.
//!
//! Reads   as the kernel requires; `read` and `list` read everything below the inputs folder.
//! Writes  one JSON line to stdout: kernel, size, chunk, elapsed_ns (by its own clock), bytes, files, checksum.
//!         `write` also writes the result `big`.
//! Params  `kernel`  nop     nothing: measures the start
//!                   matmul  product of two `size` x `size` matrices of doubles (700)
//!                   hash    `size` rounds of a dependent integer hash (200 000 000)
//!                   sort    sorts `size` 64-bit integers (5 000 000)
//!                   read    reads every input file once, `chunk` bytes (64 KiB) per call
//!                   write   writes `size` bytes (1 GiB), `chunk` bytes (64 KiB) per call
//!                   list    lists the input folders and reads every file whole, `size` times (1)
//!         `size`, `chunk`   as above; the default in brackets

use job::{Job, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kernel {
    Nop,
    Matmul,
    Hash,
    Sort,
    Read,
    Write,
    List,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    kernel: Kernel,
    size: Option<u64>,
    chunk: Option<usize>,
}

/// The result of a kernel. The checksum prevents the compiler from removing the work; it must not depend on the platform.
#[derive(Debug, Default, Serialize)]
struct Work {
    bytes: u64,
    files: u64,
    checksum: u64,
}

#[derive(Debug, Serialize)]
struct Line {
    kernel: Kernel,
    size: u64,
    chunk: usize,
    elapsed_ns: u64,
    #[serde(flatten)]
    work: Work,
}

fn mixed(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn matmul(n: usize) -> Work {
    // Small integers: sums are exact, so the checksum is the same however additions are grouped.
    let matrix = |seed: u64| -> Vec<f64> { (0..n * n).map(|i| (mixed(seed + i as u64) % 16) as f64).collect() };
    let (a, b) = (matrix(1), matrix(2));
    let mut c = vec![0.0; n * n];
    // Adds four rows of `b` at a time to a row of `c`: contiguous memory for vector instructions, and one access to the
    // sums for four products.
    for (row, a) in c.chunks_exact_mut(n).zip(a.chunks_exact(n)) {
        let (fours, rest) = (a.chunks_exact(4), b.chunks_exact(4 * n).remainder());
        for (&factor, b) in fours.remainder().iter().zip(rest.chunks_exact(n)) {
            for (sum, &value) in row.iter_mut().zip(b) {
                *sum += factor * value;
            }
        }
        for (factors, b) in fours.zip(b.chunks_exact(4 * n)) {
            let (b0, b) = b.split_at(n);
            let (b1, b) = b.split_at(n);
            let (b2, b3) = b.split_at(n);
            let others = b1.iter().zip(b2).zip(b3);
            for ((sum, &v0), ((&v1, &v2), &v3)) in row.iter_mut().zip(b0).zip(others) {
                *sum += (factors[0] * v0 + factors[1] * v1) + (factors[2] * v2 + factors[3] * v3);
            }
        }
    }
    Work { checksum: c.iter().fold(0, |sum, &value| mixed(sum ^ value as u64)), ..Work::default() }
}

fn hash(rounds: u64) -> Work {
    let mut checksum = black_box(1);
    for round in 0..rounds {
        checksum = mixed(checksum ^ round);
    }
    Work { checksum, ..Work::default() }
}

fn sort(size: usize) -> Result<Work> {
    let mut numbers: Vec<u64> = (0..size as u64).map(mixed).collect();
    numbers.sort_unstable();
    if !numbers.is_sorted() {
        return Err("sorting did not sort".to_owned());
    }
    Ok(Work { checksum: numbers.get(size / 2).copied().unwrap_or(0), ..Work::default() })
}

/// Calls `visit` with every file below `folder`, in order of their names.
fn walk(folder: &Path, visit: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    let failed = |e| format!("cannot list {}: {e}", folder.display());
    let mut entries = fs::read_dir(folder).map_err(failed)?.collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().map_err(failed)?.is_dir() {
            walk(&path, visit)?;
        } else {
            visit(&path)?;
        }
    }
    Ok(())
}

/// The first eight bytes: enough to notice wrong data, and too few to affect the measurement.
fn first_word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

fn read(inputs: &Path, chunk: usize) -> Result<Work> {
    let mut work = Work::default();
    let mut buffer = vec![0; chunk];
    walk(inputs, &mut |path| {
        let failed = |e| format!("cannot read {}: {e}", path.display());
        let mut file = File::open(path).map_err(failed)?;
        work.files += 1;
        loop {
            let read = file.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                return Ok(());
            }
            work.bytes += read as u64;
            work.checksum ^= first_word(&buffer[..read]);
        }
    })?;
    Ok(work)
}

fn write(outputs: &Path, size: u64, chunk: usize) -> Result<Work> {
    let failed = |e| format!("cannot write big: {e}");
    let mut file = File::create(outputs.join("big")).map_err(failed)?;
    let pattern: Vec<u8> = (0..chunk as u64).map(|i| mixed(i) as u8).collect();
    let mut left = size;
    while left > 0 {
        let part = left.min(chunk as u64);
        file.write_all(&pattern[..part as usize]).map_err(failed)?;
        left -= part;
    }
    Ok(Work { bytes: size, files: 1, checksum: first_word(&pattern) })
}

fn list(inputs: &Path, rounds: u64) -> Result<Work> {
    let mut work = Work::default();
    for _ in 0..rounds {
        walk(inputs, &mut |path| {
            let content = fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
            work.files += 1;
            work.bytes += content.len() as u64;
            work.checksum = work.checksum.rotate_left(1) ^ first_word(&content);
            Ok(())
        })?;
    }
    Ok(work)
}

fn run() -> Result<()> {
    let job = Job::from_environment();
    let Parameters { kernel, size, chunk } = job.parameters()?;
    let size = size.unwrap_or(match kernel {
        Kernel::Nop | Kernel::Read => 0,
        Kernel::List => 1,
        Kernel::Matmul => 700,
        Kernel::Hash => 200_000_000,
        Kernel::Sort => 5_000_000,
        Kernel::Write => 1 << 30,
    });
    let chunk = chunk.unwrap_or(64 * 1024);
    if chunk == 0 {
        return Err("chunk must be 1 or more".to_owned());
    }
    let count = usize::try_from(size).ok();
    let too_large = || format!("size {size} is too large for this kernel");
    let start = Instant::now();
    let work = match kernel {
        Kernel::Nop => Work::default(),
        Kernel::Matmul => matmul(count.filter(|&n| (1..=10_000).contains(&n)).ok_or_else(too_large)?),
        Kernel::Hash => hash(size),
        Kernel::Sort => sort(count.filter(|&n| n <= 1 << 27).ok_or_else(too_large)?)?,
        Kernel::Read => read(job.inputs(), chunk)?,
        Kernel::Write => write(job.outputs(), size, chunk)?,
        Kernel::List => list(job.inputs(), size)?,
    };
    let elapsed_ns = start.elapsed().as_nanos() as u64;
    let line = serde_json::to_string(&Line { kernel, size, chunk, elapsed_ns, work }).map_err(|e| e.to_string())?;
    println!("{line}");
    Ok(())
}

fn main() -> ExitCode {
    job::exit(run())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_by_hand() {
        for n in [1, 3, 4, 6] {
            let at = |seed: u64, row: usize, column: usize| mixed(seed + (row * n + column) as u64) % 16;
            let cells = (0..n * n).map(|i| (0..n).map(|k| at(1, i / n, k) * at(2, k, i % n)).sum::<u64>());
            assert_eq!(matmul(n).checksum, cells.fold(0, |sum, cell| mixed(sum ^ cell)), "{n}");
        }
    }

    #[test]
    fn files_are_read_and_written() {
        let folder = std::env::temp_dir().join(format!("kernels-{}", std::process::id()));
        fs::create_dir_all(folder.join("in/d")).unwrap();
        fs::create_dir_all(folder.join("out")).unwrap();
        fs::write(folder.join("in/d/0"), [7; 100]).unwrap();
        fs::write(folder.join("in/d/1"), [1; 3]).unwrap();
        let read = read(&folder.join("in"), 64).unwrap();
        assert_eq!((read.bytes, read.files, read.checksum), (103, 2, 0), "7s twice cancel, 36 and 3 bytes: one word");
        let listed = list(&folder.join("in"), 3).unwrap();
        assert_eq!((listed.bytes, listed.files), (309, 6));
        write(&folder.join("out"), 1000, 64).unwrap();
        assert_eq!(fs::metadata(folder.join("out/big")).unwrap().len(), 1000);
        fs::remove_dir_all(folder).unwrap();
    }
}
