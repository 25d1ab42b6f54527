//! Sequences of file operations, compared with a model of what they should do. `fuzz/run.sh filesystem` runs the same
//! comparison for longer.

#![expect(clippy::panic, reason = "the comparison fails tests by panicking")]

use cloister_sandbox as sandbox;

#[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
mod driver;
mod model;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_file_layer_does_what_the_model_says(bytes in proptest::collection::vec(any::<u8>(), 0..800)) {
        driver::run(&bytes);
    }
}

/// Every kind of operation at least once, so that a driver that does nothing is noticed.
#[test]
fn the_driver_reaches_what_it_tests() {
    let mut seed = 1_u64;
    for _ in 0..200 {
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed.to_le_bytes()[6]
        })
        .take(600)
        .collect();
        driver::run(&bytes);
    }
}
