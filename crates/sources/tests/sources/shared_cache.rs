//! Several processes on one cache: they read each other's files, take nothing away from each other, and leave nothing when
//! they are killed.

use crate::place::{input, job, policy};
use cloister_files::Watch;
use cloister_model::{ConfigureOrder, JobSource, Secret};
use cloister_results::{ResultStore, StoreConfig};
use cloister_sources::{Cache, Fetcher};
use serde_json::json;
use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

/// Where a worker's cache is, and the number of the worker.
const HOME: &str = "SHARED_CACHE_TEST_HOME";
const NUMBER: &str = "SHARED_CACHE_TEST_NUMBER";
/// Rounds of a worker; without it, until the worker is killed.
const ROUNDS: &str = "SHARED_CACHE_TEST_ROUNDS";

/// Contents that the workers share, and their size: four times what the cache may hold, so that one process removes what
/// another is just linking.
const CONTENTS: usize = 32;
const CONTENT_BYTES: usize = 16 * 1024;
const CACHE_BYTES: u64 = 128 * 1024;

fn content(number: usize) -> String {
    char::from(b'a' + u8::try_from(number % 26).expect("a letter")).to_string().repeat(CONTENT_BYTES - number)
}

fn fetcher(home: &Path) -> Fetcher {
    let url = format!("file://{}", home.join("results").display());
    let results = ResultStore::open(&StoreConfig { url, options: [].into() }).expect("a store");
    let cache = Cache::open(&home.join("cache"), CACHE_BYTES).expect("a cache");
    Fetcher::new(policy(), Arc::new(cache), home.join("uploads"), Arc::new(results)).expect("a fetcher")
}

fn worker(home: &Path, number: u64, rounds: Option<u64>) -> Child {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["--exact", "shared_cache::as_a_worker", "--ignored", "--nocapture"]);
    command.env(HOME, home).env(NUMBER, number.to_string()).stdout(Stdio::piped());
    if let Some(rounds) = rounds {
        command.env(ROUNDS, rounds.to_string());
    }
    command.spawn().expect("a process")
}

/// Waits until a worker says that it has laid out its first inputs.
fn wait_for_first_round(worker: &mut Child) {
    let mut lines = BufReader::new(worker.stdout.take().expect("its output")).lines();
    assert!(lines.any(|line| line.expect("a line").contains("round 0 is done")), "the worker ended early");
    // Keep reading, so that it is not stopped by a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
}

#[test]
fn several_processes_share_a_cache_and_one_that_is_killed_leaves_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let (mut killed, mut one, mut other) =
        (worker(home.path(), 0, None), worker(home.path(), 1, Some(150)), worker(home.path(), 2, Some(150)));
    wait_for_first_round(&mut killed);
    killed.kill().expect("killed");
    killed.wait().expect("ended");
    // Opened while two others work: it removes what the dead one left, and nothing of theirs.
    drop(fetcher(home.path()));
    for worker in [&mut one, &mut other] {
        std::thread::scope(|scope| {
            let output = worker.stdout.take().expect("its output");
            scope.spawn(move || BufReader::new(output).lines().for_each(drop));
            assert!(worker.wait().expect("ended").success(), "what it laid out was not what it had asked for");
        });
    }
    let last = fetcher(home.path());
    let folders = fs::read_dir(home.path().join("cache/partial")).expect("a folder");
    assert_eq!(folders.count(), 2, "its own folder and its lock");
    let sizes = fs::read_dir(home.path().join("cache/files")).expect("a folder");
    let bytes: u64 = sizes.map(|entry| entry.expect("an entry").metadata().expect("a file").len()).sum();
    assert!(bytes <= CACHE_BYTES, "{bytes}");
    drop(last);
}

/// Not a test: what a process of the test above does. It lays out inputs again and again, and fails if anything but what it
/// asked for comes out.
#[test]
#[ignore = "a process of another test"]
fn as_a_worker() {
    let home = env::var_os(HOME).map(std::path::PathBuf::from).expect("a folder");
    let number = |name| env::var(name).ok().map(|text| text.parse::<usize>().expect("a number"));
    let (own, rounds) = (number(NUMBER).expect("a number"), number(ROUNDS));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let fetcher = fetcher(&home);
    let into = home.join(format!("data-{own}"));
    for round in (0..).take_while(|round| rounds.is_none_or(|rounds| *round < rounds)) {
        let wanted: Vec<usize> = (0..4).map(|n| (round * 7 + n * 5 + own * 3) % CONTENTS).collect();
        let list = wanted.iter().map(|n| json!({"type": "inline", "content": content(*n)})).collect();
        let code = JobSource::Rawcode(Secret::new("code".to_owned()));
        let order = ConfigureOrder::of(&job(vec![input("d", list)], code));
        runtime.block_on(fetcher.configure(&order, &into, &Watch::unwatched())).expect("laid out");
        for (place, n) in wanted.iter().enumerate() {
            let found = fs::read_to_string(into.join(format!("inputs/d/{place}"))).expect("a file");
            assert!(found == content(*n), "round {round}: another file than the one asked for");
        }
        println!("round {round} is done");
    }
}
