//! Clocks that jump: keys and results end by the clock that there is, and no job is lost.

use crate::scenario::Scenario;
use cloister_tests::service::{NOTHING, Setup, faketime, phase, wait_for};
use std::fs;
use tempfile::TempDir;

#[test]
fn a_clock_that_jumps_loses_no_job() {
    let folder = TempDir::new().expect("a folder");
    let clock = folder.path().join("clock");
    // Whole, or not at all: the service reads it whenever it wants to know the time.
    let turn = |by: &str| {
        let draft = folder.path().join("draft");
        fs::write(&draft, by).expect("written");
        fs::rename(&draft, &clock).expect("in its place");
    };
    turn("+0");
    let setup = Setup::new()
        .dynamic()
        .variable("LD_PRELOAD", &faketime().display().to_string())
        .variable("FAKETIME_TIMESTAMP_FILE", &clock.display().to_string())
        .variable("FAKETIME_NO_CACHE", "1")
        .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut scenario = Scenario::with(setup);
    let dataset = scenario.service.open_dataset(&scenario.alice, "d");
    let job = scenario.raw_job(&dataset, NOTHING);
    let first = scenario.service.finish(&scenario.carol, &job);
    // An hour back: as when a machine without a clock finds the network.
    turn("-1h");
    let second = scenario.service.finish(&scenario.carol, &job);
    let listed = scenario.service.get(&scenario.carol, "/v1/jobs").expect(200).text();
    assert!(listed.contains(&first) && listed.contains(&second), "{listed}");
    // A day ahead: nothing that is kept for a month goes.
    turn("+1d");
    let third = scenario.service.finish(&scenario.carol, &job);
    for id in [&first, &second, &third] {
        assert!(phase(&scenario.service.job(&scenario.carol, id)).is_success());
    }
    // After a restart, too.
    assert!(scenario.service.stop().success());
    turn("-1d");
    scenario.service.restart();
    let _ = scenario.service.finish(&scenario.carol, &job);
    // And once the month is over, results go.
    assert!(scenario.service.stop().success());
    turn("+40d");
    scenario.service.restart();
    let target = format!("/v1/jobs/{first}");
    wait_for("old jobs to go", || (scenario.service.get(&scenario.carol, &target).status == 404).then_some(()));
    // The algorithm went, too: an upload expires as results do. Sent again, it runs.
    let job = scenario.raw_job(&dataset, NOTHING);
    let _ = scenario.service.finish(&scenario.carol, &job);
}
