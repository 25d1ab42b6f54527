//! What the objects of a job show, and what that means for the step that they carry out. Pure: objects and a moment in,
//! facts and verdicts out.
//!
//! - [`pod`]: what a pod does at present, in our words. It is the only file that reads what kubelet, scheduler and node
//!   controller write.
//! - [`canary`]: what is known of the walls of an environment.
//! - [`kernels`]: what runs say of the kernels of their nodes, where no canary is sent.
//! - [`verdict()`]: what comes of a step: wait, create its pod once more, or believe what it said or how it ended.

pub mod canary;
pub mod kernels;
pub mod pod;
pub mod verdict;

pub use pod::{PodEnd, PodFacts, PodState, WaitingOn};
pub use verdict::{Patience, Verdict, verdict};

/// An Environment for tests, which runs these kinds of algorithms.
#[cfg(test)]
pub(crate) fn environment(kinds: &[&str]) -> crate::resources::Environment {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "e", "generation": 3},
        "spec": {
            "limits": {"jobs": 1, "queued": 1, "cpus": 1, "memoryBytes": 1, "jobMemoryBytes": 1, "wallMs": 1},
            "runtimes": {"kinds": kinds, "registries": ["registry.example"]},
        },
    }))
    .expect("an environment")
}
