//! The deterministic profile: the same inputs give the same bytes, whatever the machine, the moment and the order in
//! which files were made. The standard profile: a real clock and real chance.

use cloister_tests::{Ended, Trial, guest, install_python, not_run_outside_ci, root};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

const HOUR: u64 = 3_600_000_000_000;

fn fixture(name: &str) -> Trial {
    Trial::wat_file(&format!("fixtures/{name}.wat"))
}

/// Everything a run leaves that an outsider can see of it.
fn left(ended: &Ended) -> impl PartialEq + std::fmt::Debug {
    ended.assert_succeeded();
    let report = ended.report();
    (ended.outputs(), ended.log.clone(), report.outputs.clone(), report.log.clone(), report.inputs.clone())
}

#[track_caller]
fn assert_repeats(trial: impl Fn() -> Trial) -> Ended {
    let (first, second) = (trial().run(), trial().run());
    assert_eq!(left(&first), left(&second));
    second
}

/// The little-endian numbers of a log.
fn numbers(ended: &Ended) -> Vec<u64> {
    ended.assert_succeeded();
    let (chunks, rest) = ended.log.as_chunks::<8>();
    assert!(rest.is_empty());
    chunks.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect()
}

/// A `/data` directory with a dataset `d` of these files, made in this order.
fn data(names: impl Iterator<Item = u32>) -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    let dataset = directory.path().join("inputs/d");
    fs::create_dir_all(&dataset).expect("made");
    for name in names {
        fs::write(dataset.join(format!("{name:x}")), "x".repeat(name as usize)).expect("written");
    }
    directory
}

fn with_data(name: &str, data: &Path) -> Trial {
    fixture(name).with(&["--data", &data.display().to_string()])
}

#[test]
fn every_sample_repeats() {
    install_python();
    let penguins = fs::read(root().join("data/penguins.csv")).expect("the penguins");
    let (python, algorithms) = (["--runtime", "python"], root().join("algorithms"));
    for (algorithm, parameters, more) in [
        (guest("column-stats.p1.wasm"), r#"{"groupBy":"species"}"#, [].as_slice()),
        (guest("column-stats.p2.wasm"), r#"{"groupBy":"species"}"#, &[]),
        (guest("histogram.wasm"), r#"{"column":"body_mass_g","groupBy":"species"}"#, &[]),
        (guest("logistic-regression.wasm"), r#"{"target":"sex","features":["body_mass_g"]}"#, &[]),
        (root().join("target/guests/line-count-c.wasm"), "{}", &[]),
        (root().join("target/guests/line-count-go.wasm"), "{}", &[]),
        (algorithms.join("python-hello/algorithm.py"), "{}", &python),
        (algorithms.join("python-summary/algorithm.py"), "{}", &python),
    ] {
        if !algorithm.exists() && std::env::var_os("CI").is_none() {
            not_run_outside_ci(&format!("`{}` is not built on this machine", algorithm.display()));
            continue;
        }
        let ended = assert_repeats(|| {
            Trial::file(&algorithm).dataset("penguins", &penguins).with_file("--params", parameters).with(more)
        });
        assert!(!ended.outputs().is_empty(), "{}", algorithm.display());
    }
}

/// Where CPython, unlike a compiled program, could differ from itself: hashes, identities, temporary names, times.
#[test]
fn python_output_is_deterministic() {
    install_python();
    let script = root().join("tests/fixtures/differences.py");
    let ended = assert_repeats(|| Trial::file(&script).with(&["--runtime", "python"]));
    assert!(ended.log.len() > 200, "{}", String::from_utf8_lossy(&ended.log));
}

#[test]
fn the_clock_is_virtual() {
    let seen = numbers(&assert_repeats(|| fixture("clock")));
    let [wall, monotonic, wall_step, monotonic_step, wall_after, monotonic_after] = seen[..] else {
        panic!("{seen:?}")
    };
    let day = 24 * HOUR;
    assert_eq!(wall / day * day, 1_767_225_600_000_000_000, "2026-01-01T00:00:00Z");
    assert!(wall_step == monotonic_step && wall_step > 0);
    assert!(monotonic < monotonic_after && wall < wall_after, "a clock that stands still hangs those who wait for it");
}

#[test]
fn a_sleep_takes_no_time() {
    let start = Instant::now();
    let seen = numbers(&assert_repeats(|| fixture("sleep")));
    assert!(start.elapsed() < Duration::from_secs(3600), "two hours passed in {:?}", start.elapsed());
    assert!((HOUR..HOUR + 1_000_000).contains(&(seen[1] - seen[0])), "{seen:?}");
}

#[test]
fn randomness_is_seeded_by_the_algorithm() {
    let drawn = assert_repeats(|| fixture("random")).log;
    assert_ne!(drawn[..32], drawn[32..], "the second draw goes on where the first ended");
    // The same program but for a comment in it: a custom section.
    let mut other = wat::parse_file(root().join("tests/fixtures/random.wat")).expect("a module");
    other.extend(b"\x00\x04\x03abc");
    let other = Trial::bytes(&other).run();
    other.assert_succeeded();
    assert_ne!(drawn, other.log);
}

#[test]
fn directory_listings_are_sorted_and_independent_of_the_host() {
    let (forwards, backwards) = (data(0..64), data((0..64).rev()));
    let first = with_data("listing", forwards.path()).run();
    let second = with_data("listing", backwards.path()).run();
    assert_eq!(left(&first), left(&second));
    let mut names = Vec::new();
    let mut rest = first.log.as_slice();
    while rest.len() >= 24 {
        let length = u32::from_le_bytes(rest[16..20].try_into().expect("four bytes")) as usize;
        names.push(String::from_utf8_lossy(&rest[24..24 + length]).into_owned());
        rest = &rest[24 + length..];
    }
    names.retain(|name| !matches!(name.as_str(), "." | ".."));
    assert_eq!(names.len(), 64);
    assert!(names.is_sorted(), "{names:?}");
}

#[test]
fn file_metadata_is_independent_of_the_host() {
    let (forwards, backwards) = (data(0..4), data((0..4).rev()));
    let old = SystemTime::now() - Duration::from_secs(1_000_000);
    let file = fs::File::options().write(true).open(backwards.path().join("inputs/d/0")).expect("a file");
    file.set_modified(old).expect("an old file");
    let first = with_data("stat", forwards.path()).run();
    let second = with_data("stat", backwards.path()).run();
    assert_eq!(left(&first), left(&second));
    for stat in first.log.as_chunks::<64>().0 {
        let number = |at: usize| u64::from_le_bytes(stat[at..at + 8].try_into().expect("eight bytes"));
        assert_eq!(number(24), 1, "links");
        assert_eq!([number(40), number(48), number(56)], [1_767_225_600_000_000_000; 3], "times");
    }
}

#[test]
fn every_nan_is_the_same() {
    let seen = numbers(&assert_repeats(|| fixture("nan")));
    assert_eq!(seen, vec![0x7ff8_0000_0000_0000; 10], "{seen:x?}");
}

#[test]
fn the_standard_profile_has_the_machines_clock_and_chance() {
    let standard = |name| fixture(name).with(&["--profile", "standard"]).run();
    let now = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("now").as_nanos()).expect("now");
    let before = now();
    let seen = numbers(&standard("clock"));
    assert!((before..now()).contains(&seen[0]) && seen[0] <= seen[4], "{seen:?}");
    assert!(seen[1] <= seen[5] && seen[1] < HOUR, "monotonic time starts with the run: {seen:?}");
    assert!(numbers(&standard("clock"))[0] > seen[4], "the clock moves between runs");
    let (first, second) = (standard("random"), standard("random"));
    assert!(!first.log.is_empty());
    assert_ne!(first.log, second.log);
}

#[test]
fn a_standard_sleep_takes_its_time_and_the_limit_ends_it() {
    let ended = fixture("sleep").with(&["--profile", "standard", "--limits", "wall=1s"]).run();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.report().usage.wall_ms >= 1000);
}
