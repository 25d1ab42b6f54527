//! A run ends at its time limit, whatever its guest does.

use crate::runs::{Run as _, assert_limit, fixture};
use cloister_model::Limit;
use cloister_tests::Ended;

/// Runs it to its end, for which less time is waited than the standard limit allows.
#[track_caller]
fn ends_in_time(name: &str, arguments: &[&str], limit: Limit) -> Ended {
    let ended = fixture(name).with(arguments).finish();
    assert_limit(&ended, limit);
    ended
}

const ONE_SECOND: &[&str] = &["--limits", "wall=1s"];

#[test]
pub(crate) fn endless_loop() {
    ends_in_time("endless_loop", ONE_SECOND, Limit::WallTime);
    let ended = ends_in_time("endless_loop", &["--limits", "fuel=10000000"], Limit::Fuel);
    assert_eq!(ended.report().usage.fuel, Some(10_000_000));
    ends_in_time("endless_loop", &["--limits", "cpu=1s,wall=150s"], Limit::CpuTime);
}

#[test]
pub(crate) fn endless_start_section() {
    ends_in_time("endless_start_section", ONE_SECOND, Limit::WallTime);
    ends_in_time("endless_start_section", &["--limits", "fuel=10000000"], Limit::Fuel);
}

#[test]
pub(crate) fn endless_fill() {
    ends_in_time("endless_fill", ONE_SECOND, Limit::WallTime);
}

#[test]
pub(crate) fn endless_poll() {
    ends_in_time("endless_poll", ONE_SECOND, Limit::WallTime);
}

/// Sleeping takes no time on the virtual clock, and real time on the real one.
#[test]
pub(crate) fn endless_sleep() {
    fixture("endless_sleep").finish().assert_succeeded();
    ends_in_time("endless_sleep", &["--profile", "standard", "--limits", "wall=1s"], Limit::WallTime);
}

#[test]
pub(crate) fn endless_sleep_absolute() {
    fixture("endless_sleep_absolute").finish().assert_succeeded();
    ends_in_time("endless_sleep_absolute", &["--profile", "standard", "--limits", "wall=1s"], Limit::WallTime);
}
