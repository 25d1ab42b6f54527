//! Requests whose status another hand has written.

use crate::{assets::ALONE, controller::Installation};
use cloister_k8s_engine::{ACCOUNT, Decide, Decided, Deciding, Results, decide_what_is_requested};
use cloister_model::{Account, JobId};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// Has every request wait.
#[derive(Debug)]
struct Full;

impl Decide for Full {
    fn request(&self, _account: Account, _key: String, _request: Value) -> Deciding<'_, Decided> {
        Box::pin(std::future::ready(Decided::Later { reason: "the queue is full".to_owned() }))
    }

    fn results(&self, _account: Account, _job: JobId) -> Deciding<'_, Results> {
        Box::pin(std::future::ready(Results::Unavailable("there are none".to_owned())))
    }

    fn stop(&self, _account: Account, _job: JobId) -> Deciding<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A user who may write the status of a request learns nothing of the jobs of other accounts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_request_follows_no_job_of_another_account() {
    let _alone = ALONE.lock().await;
    let installation = Installation::open(10).await;
    let room = &installation.room;
    // No controller runs: it stays in the queue.
    let (of_alice, of_mallory) = (installation.submit(1).await, installation.submit_as(2, belong_to_mallory).await);
    let namespaces: Api<Namespace> = Api::all(room.client());
    let label = Patch::Merge(json!({"metadata": {"labels": {ACCOUNT: "mallory"}}}));
    namespaces.patch(&room.cluster.namespaces().jobs, &PatchParams::default(), &label).await.expect("a label");
    let store = Arc::clone(&installation.store);
    let task = tokio::spawn(decide_what_is_requested(room.cluster.clone(), store, Arc::new(Full)));
    for (name, job, said) in [("own", of_mallory, "Queued"), ("other", of_alice, "its job was removed")] {
        let request = json!({
            "apiVersion": "cloister.dev/v1alpha1",
            "kind": "JobRequest",
            "metadata": {"name": name},
            "spec": {"datasets": [{"did": "did:op:abc"}], "algorithm": {"did": "did:op:def"}},
        });
        room.create("jobrequests", &request).await.expect("a request");
        let forged = json!({"status": {"job": job.to_string(), "conditions": []}});
        room.patch("jobrequests", &format!("{name}/status"), &forged).await.expect("a status");
        let mut last = Value::Null;
        for _ in 0..crate::LOOKS {
            last = room.read("jobrequests", name).await["status"].take();
            if [&last["phase"], &last["reason"]].contains(&&json!(said)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!([&last["phase"], &last["reason"]].contains(&&json!(said)), "{name}: {last}");
        assert!(name == "own" || last["phase"] != "Queued", "{last}");
    }
    task.abort();
}

fn belong_to_mallory(job: &mut cloister_model::JobSpec) {
    job.record.owner = "mallory".parse().expect("an account");
}
