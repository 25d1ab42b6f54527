//! What an Ocean workflow names, and what of it a job gets.

use crate::ocean::Ocean;
use serde_json::json;

/// Every file of a dataset reaches the job, whatever the request says of files.
#[tokio::test(flavor = "multi_thread")]
async fn all_files_of_a_dataset_arrive() {
    let ocean = Ocean::new().await;
    let files = ["a", "bb", "ccc"].map(|text| json!({"type": "inline", "content": text}));
    let compute = json!({"allowRawAlgorithm": true, "publisherTrustedAlgorithmPublishers": ["*"]});
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "three"},
        "spec": {"files": files, "compute": compute, "oceanProviders": ["*"]}
    });
    let dataset = ocean.service.post("alice", "/v1/datasets", &manifest).await.expect(201).json();
    let mut start = ocean.start_of(&ocean.algorithm, 1, "0x2875");
    start["workflow"]["stages"][0]["input"][1]["id"] = dataset["did"].clone();
    let job = ocean.started(&start).await;
    ocean.service.until_seen("olga", &job, "Finished").await;
    let receipt = ocean.service.get("olga", &format!("/v1/jobs/{job}/receipt")).await.expect(200).json();
    let openings = receipt["openings"].as_array().expect("openings");
    let files = openings.iter().find(|opening| opening["pointer"] == "/datasets/1/files").expect("an opening");
    let sizes: Vec<_> = files["value"].as_array().expect("files").iter().map(|file| file["bytes"].clone()).collect();
    assert_eq!(sizes, [1, 2, 3], "{files}");
}
