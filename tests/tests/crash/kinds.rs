//! The kinds of jobs, and how each has to end whatever happens to the service.

use cloister_model::Phase;
use cloister_tests::service::{EXITS_WITH_7, Service, Who};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// What every job that finishes has written.
pub(crate) const RESULT: &[u8] = b"sixteen letters\n";

/// A recipient whose secret key does not exist.
const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    request: Value,
    /// One of these.
    pub(crate) ends: &'static [Phase],
    /// Whose fault that is.
    pub(crate) fault: &'static str,
    pub(crate) also: Also,
}

/// What else is done with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Also {
    Nothing,
    /// It is stopped as soon as it is known.
    Stop,
    /// Its results are registered as a dataset.
    Register,
    /// Its results cannot be read here.
    Encrypt,
}

impl Kind {
    /// The request for one job; `name` is unique.
    pub(crate) fn request(&self, name: &str) -> Value {
        let mut request = self.request.clone();
        if self.also == Also::Register {
            request["register"] = json!({"name": name});
        }
        request
    }
}

/// Publishes what jobs need, and gives the kinds, and what a reviewer says of datasets with a review.
pub(crate) fn prepare(service: &Service, publisher: &Who, consumer: &Who, source: SocketAddr) -> (Vec<Kind>, Reviews) {
    let data = json!([{"type": "inline", "content": "data"}]);
    let slow = |count: u64| -> Vec<Value> {
        (0..count).map(|number| json!({"type": "url", "url": format!("http://{source}/slow/{number}")})).collect()
    };
    let dataset = |name: &str, files: Value, mut contract: Value| {
        // What is large, and what is printed, may leave.
        for (limit, most) in [("maxBytes", 100 << 20), ("maxFiles", 1000), ("maxLogBytes", 1 << 20)] {
            if contract.get(limit).is_none() {
                contract[limit] = json!(most);
            }
        }
        let compute = json!({
            "allowRawAlgorithm": true,
            "profiles": ["deterministic", "standard"],
            "outputContract": contract,
        });
        service.publish_dataset(publisher, name, &json!({"files": files, "compute": compute}))
    };
    let check = |name: &str, wat: &str| {
        let sha256 = service.upload(publisher, &wat::parse_str(wat).expect("a valid WAT text"));
        json!({"checks": [{"name": name, "sha256": sha256}]})
    };
    let open = dataset("open", data.clone(), json!({}));
    let fetched = dataset("fetched", slow(3).into(), json!({}));
    let other = dataset("fetched-too", slow(2).into(), json!({}));
    let gone = dataset("gone", json!([{"type": "url", "url": format!("http://{source}/absent")}]), json!({}));
    let approved = dataset("approved", data.clone(), json!({"review": true}));
    let held_back = dataset("held-back", data.clone(), json!({"review": true}));
    let checked = dataset("checked", data.clone(), check("patient", &busy("")));
    let rejected = dataset("rejected", data, check("strict", &busy("unreachable")));

    let program = |wat: &str| service.raw(consumer, wat);
    let (quick, short, long) = (program(&pausing(0)), program(&pausing(100)), program(&pausing(300)));
    let (asleep, fails, large) = (program(&pausing(3_600_000)), program(EXITS_WITH_7), program(&large(12)));
    let kind = |name, datasets: &[&String], algorithm: &Value, ends, fault| Kind {
        name,
        request: json!({"datasets": datasets, "algorithm": algorithm, "profile": "standard"}),
        ends,
        fault,
        also: Also::Nothing,
    };
    let with = |mut kind: Kind, field: &str, value: Value| {
        kind.request[field] = value;
        kind
    };
    let finished =
        |name, datasets: &[&String], algorithm| kind(name, datasets, algorithm, &[Phase::Finished], "nobody");
    let failed = |name, datasets: &[&String], algorithm, ends| kind(name, datasets, algorithm, ends, "algorithm");
    let kinds = vec![
        finished("quick", &[&open], &quick),
        finished("short", &[&open], &short),
        finished("long", &[&open], &long),
        finished("fetched", &[&fetched], &quick),
        finished("several", &[&fetched, &open, &other], &short),
        finished("large", &[&open], &large),
        finished("approved", &[&approved], &quick),
        finished("checked", &[&checked], &quick),
        Kind { also: Also::Register, ..finished("registered", &[&open], &quick) },
        Kind { also: Also::Encrypt, ..with(finished("encrypted", &[&open], &large), "encryptTo", RECIPIENT.into()) },
        failed("fails", &[&open], &fails, &[Phase::AlgorithmFailed]),
        with(failed("late", &[&open], &asleep, &[Phase::LimitExceeded]), "limits", json!({"wallMs": 150})),
        failed("held back", &[&held_back], &quick, &[Phase::OutputRefused]),
        failed("rejected", &[&rejected], &quick, &[Phase::OutputRefused]),
        kind("gone", &[&gone], &quick, &[Phase::DataProvisioningFailed], "publisher"),
        Kind { also: Also::Stop, ..kind("stopped", &[&open], &long, &[Phase::Stopped, Phase::Finished], "nobody") },
    ];
    (kinds, Reviews { approved, held_back })
}

/// Datasets whose publisher reviews outputs.
#[derive(Clone, Debug)]
pub(crate) struct Reviews {
    approved: String,
    held_back: String,
}

impl Reviews {
    /// What is said of a job on this dataset.
    pub(crate) fn verdict(&self, did: &str) -> Value {
        assert!(did == self.approved || did == self.held_back, "a job on {did} waits for a review");
        if did == self.approved { json!({"verdict": "approve"}) } else { json!({"verdict": "refuse", "reason": "no"}) }
    }
}

const IMPORTS: &str = r#"
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 17)
  (data (i32.const 0) "\20\00\00\00\10\00\00\00")
  (data (i32.const 32) "sixteen letters\n")
  (data (i32.const 64) "data/outputs/result.txt")
  (data (i32.const 96) "data/outputs/zeros")
  (data (i32.const 128) "\00\00\01\00\00\00\10\00") ;; 1 MiB at 65536
  (data (i32.const 272) "\01\00\00\00")
  (func $done (param $errno i32) (if (local.get $errno) (then unreachable)))
  (func $create (param $at i32) (param $bytes i32)
    (call $done (call $open (i32.const 3) (i32.const 0) (local.get $at) (local.get $bytes) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16))))
  (func $result
    (call $create (i32.const 64) (i32.const 23))
    (call $done (call $write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 20))))"#;

/// Does nothing for some time, by a real clock, and writes a result.
fn pausing(ms: u64) -> String {
    format!(
        "(module {IMPORTS}
  (func (export \"_start\")
    (i64.store (i32.const 280) (i64.const {}))
    (call $done (call $poll (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 8)))
    (call $result)))",
        ms * 1_000_000
    )
}

/// Writes so many MiB besides a result.
fn large(mib: u64) -> String {
    format!(
        "(module {IMPORTS}
  (func (export \"_start\")
    (local $left i32)
    (call $result)
    (call $create (i32.const 96) (i32.const 18))
    (local.set $left (i32.const {mib}))
    (loop $again
      (call $done (call $write (i32.load (i32.const 16)) (i32.const 128) (i32.const 1) (i32.const 20)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))"
    )
}

/// Takes some time, by no clock, and ends with this.
fn busy(end: &str) -> String {
    format!(
        "(module
  (memory (export \"memory\") 1)
  (func (export \"_start\")
    (local $left i64)
    (local.set $left (i64.const 60000000))
    (loop $again (br_if $again (i64.ne (i64.const 0) (local.tee $left (i64.sub (local.get $left) (i64.const 1))))))
    {end}))"
    )
}
