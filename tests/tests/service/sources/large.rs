//! Files larger than what the service may keep in memory.

use super::{fetch, near};
use crate::scenario::Scenario;
use cloister_tests::service::Server;
use serde_json::json;
use std::fs;

/// How much more memory the service may take.
const MOST_BYTES: u64 = 50 << 20;

/// A value of `/proc/<pid>/status`, in bytes.
fn memory(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running service");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a value");
    let kilobytes: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes << 10
}

/// Sends so many zeros, and cuts the transfer once.
fn zeros(bytes: u64) -> Server {
    Server::start(move |conversation| {
        let start = conversation.range_start().unwrap_or(0) as u64;
        let (status, range) = if start > 0 {
            ("206 Partial Content", format!("Content-Range: bytes {start}-{}/{bytes}\r\n", bytes - 1))
        } else {
            ("200 OK", String::new())
        };
        let length = bytes - start;
        conversation.send(format!("HTTP/1.1 {status}\r\nETag: \"z\"\r\nContent-Length: {length}\r\n{range}\r\n"))?;
        let (block, mut left) = (vec![0; 1 << 20], if start > 0 { length } else { length / 2 });
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
            conversation.send(&block[..part])?;
            left -= part as u64;
        }
        Ok(())
    })
}

fn arrives(bytes: u64) {
    let scenario = Scenario::with(near());
    let server = zeros(bytes);
    // Warm: what a first job takes is not what a large one takes.
    super::assert_arrives(&scenario, &json!({"type": "inline", "content": "x"}), b"x");
    let pid = scenario.service.pid();
    let before = memory(pid, "VmRSS");
    let arrived = fetch(&scenario, &json!({"type": "url", "url": server.url("/zeros")}));
    let (_, size) = arrived.unwrap_or_else(|ended| panic!("{ended:#}"));
    assert_eq!(size, bytes);
    let (peak, after) = (memory(pid, "VmHWM"), memory(pid, "VmRSS"));
    assert!(peak - before < MOST_BYTES, "from {before} to {peak}");
    assert!(after.saturating_sub(before) < MOST_BYTES, "from {before} to {after}");
    assert_eq!(server.seen().len(), 2, "it went on where it was cut");
}

#[test]
fn a_gigabyte_passes_through_without_staying_in_memory() {
    arrives(1 << 30);
}

/// Five times as much, on request, because it needs 12 GiB of disk and minutes: `CLOISTERDEV_LARGE=1`.
#[test]
fn five_gigabytes_pass_through_as_well() {
    if std::env::var_os("CLOISTERDEV_LARGE").is_some_and(|value| value == "1") {
        arrives(5 << 30);
    }
}
