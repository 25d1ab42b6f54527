//! Hostile guests of the sandbox as jobs in pods: they come to what they come to on one machine (`tests/tests/hostile`), and nothing of them
//! is released.

use super::jobs::{Installation, TABLE, hostile, program, text};
use cloister_model::{Fault, JobSpec, Outputs as _, Phase, Profile, Reason, ResultSet, Secret};
use cloister_tests::{Trial, cluster, guest};
use serde_json::json;

/// The program of `algorithms/hostile-component`, as a preview 1 module, which writes without end.
fn floods(what: &str) -> impl FnOnce(&mut JobSpec) {
    let source = program(&std::fs::read(guest("hostile.p1.wasm")).expect("a guest"));
    let parameters = json!({ "flood": what });
    move |job| {
        job.algorithm.source = source;
        job.parameters = Some(Secret::new(parameters));
        job.terms.output_contract.max_bytes = 99_999;
        job.terms.output_contract.max_files = 7;
    }
}

/// A program of `tests/hostile` that never ends by itself.
fn endless(name: &str, profile: Profile) -> impl FnOnce(&mut JobSpec) {
    let source = text(&hostile(name));
    move |job| {
        job.algorithm.source = source;
        job.limits.wall_ms = 2000;
        job.terms.profile = profile;
        job.terms.profiles = [profile].into();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn hostile_guests_come_to_the_same_in_pods_and_nothing_of_them_is_released() {
    let mut environment = cluster::environment();
    environment["spec"]["limits"]["jobs"] = json!(9);
    let installation = Installation::open_with("guests", &environment).await;
    let everything = guest("hostile.p2.wasm");
    let component = program(&std::fs::read(&everything).expect("a guest"));
    let memories = text(&hostile("memory_growth_many"));
    let mut jobs = Vec::new();
    // After it has tried everything, it makes an output larger than its contract allows.
    let job = installation.submit(1, |job| job.algorithm.source = component).await;
    jobs.push(("everything", job, "limit exceeded: output-bytes"));
    let job = installation.submit(2, floods("bytes")).await;
    jobs.push(("bytes of outputs", job, "limit exceeded: output-bytes"));
    let job = installation.submit(3, floods("files")).await;
    jobs.push(("outputs", job, "limit exceeded: output-files"));
    let job = installation.submit(4, |job| job.algorithm.source = memories).await;
    jobs.push(("memory", job, "limit exceeded: memory ("));
    let job = installation.submit(5, endless("endless_poll", Profile::Deterministic)).await;
    jobs.push(("calls without end", job, "limit exceeded: wall-time"));
    let job = installation.submit(6, endless("endless_sleep", Profile::Standard)).await;
    jobs.push(("sleep without end", job, "limit exceeded: wall-time"));
    for (what, job, words) in jobs {
        let status = installation.ended(job).await;
        let reason = status.reason.as_ref();
        let whose = reason.map(Reason::fault);
        assert_eq!((status.phase, whose), (Phase::LimitExceeded, Some(Fault::Algorithm)), "{what}: {status:?}");
        assert!(reason.is_some_and(|reason| reason.text().contains(words)), "{what}: {status:?}");
        let released = installation.store.results(job, ResultSet::Released).await.expect("a list");
        assert!(released.is_empty(), "{what}: {released:?}");
    }
    installation.nothing_is_left();
    if cluster::own_cluster().is_some() {
        // What each attempt was answered, line for line.
        let here = Trial::file(&everything).dataset("d", TABLE.as_bytes()).run();
        let logs = installation.stored("log");
        let shown = || logs.iter().map(|log| String::from_utf8_lossy(log)).collect::<Vec<_>>();
        assert!(!here.log.is_empty() && logs.contains(&here.log), "{:#?}", shown());
        // And no output is anywhere.
        let kept = installation.stored("");
        let is_output =
            |content: &Vec<u8>| content == b"secret+" || content == b"below" || content.starts_with(&[b'x'; 1000]);
        assert!(!kept.iter().any(is_output), "an output was stored");
    }
}
