//! What operators install, start, watch, save and put back, as `docs/operators.md` says it.

#![expect(clippy::panic, reason = "helpers of tests fail them by panicking")]

mod backup;
mod guide;
mod monitoring;
mod packages;
mod unit;
mod upgrade;
