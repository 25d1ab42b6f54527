//! Any bytes are a request for a job or not. If they are, they become one submission, and another spelling of the request has
//! the same digest: an idempotency key finds the same job.

#![no_main]
#![allow(dead_code, reason = "the service uses the rest")]

// The modules by themselves: the whole service would bring an HTTP server along, to be compiled with coverage. Where they name
// `cloister_service`, they find here what it hands on.
extern crate self as cloister_service;

#[path = "../../crates/api/src/native/job_request.rs"]
mod job_request;
#[path = "../../crates/service/src/labels.rs"]
mod labels;
#[path = "../../crates/api/src/native/schemas.rs"]
mod schemas;
#[path = "../../crates/service/src/submission/request.rs"]
mod submission;

pub(crate) use labels::*;
pub(crate) use submission::*;

/// Stands for the answer that the sender gets.
mod problem {
    #[derive(Debug)]
    pub(crate) struct Problem;

    impl Problem {
        pub(crate) fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
            let texts = [field.into(), detail.into()];
            assert!(texts.iter().all(|text| !text.chars().any(char::is_control)), "{texts:?}");
            Self
        }
    }
}

use job_request::JobRequest;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = serde_json::from_slice::<JobRequest>(bytes) else { return };
    // As it is written, and with its fields in another order.
    let written = serde_json::to_vec(&request).expect("JSON");
    let sorted: Value = serde_json::from_slice(&written).expect("JSON");
    for spelling in [written, sorted.to_string().into_bytes()] {
        let again: JobRequest = serde_json::from_slice(&spelling).expect("what was read once is read again");
        assert_eq!(again.digest(), request.digest());
    }
    if let Ok(submission) = request.into_submission(Identity::Random) {
        assert!((1..=100).contains(&submission.datasets.len()));
    }
});
