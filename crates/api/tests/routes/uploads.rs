//! Uploads.

use crate::test_service::{guest, service, service_with};
use axum::body::{Body, Bytes};
use futures_util::stream;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_looked_at() {
    let service = service().await;
    let upload = service.with("bob", "POST", "/v1/uploads", &[], Body::from(guest("column-stats.p1.wasm"))).await;
    let upload = upload.expect(201).json();
    assert_eq!(upload["admission"]["verdict"]["verdict"], "admitted", "{upload}");
    let text = service.with("bob", "POST", "/v1/uploads", &[], Body::from("print(1)")).await.expect(201).json();
    assert_eq!((text["bytes"].as_u64(), text["admission"].is_null()), (Some(8), true));
    let broken =
        service.with("bob", "POST", "/v1/uploads", &[], Body::from("\0asm\x01\0\0\0\x07")).await.expect(201).json();
    assert_eq!(broken["admission"]["verdict"]["verdict"], "refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_and_too_little_leave_nothing() {
    let service = service_with(|settings| settings.max_upload_bytes = 100).await;
    let pieces = || stream::iter((0..3).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![7; 50]))));
    service.with("bob", "POST", "/v1/uploads", &[], Body::from_stream(pieces())).await.expect(413);
    service
        .with("bob", "POST", "/v1/uploads", &[("content-length", "101")], Body::from(vec![7; 101]))
        .await
        .expect(413);
    let cut = stream::iter([Ok(Bytes::from_static(b"abc")), Err(std::io::Error::other("gone"))]);
    service.with("bob", "POST", "/v1/uploads", &[], Body::from_stream(cut)).await.expect(400);
    service.with("bob", "POST", "/v1/uploads", &[("content-type", "text/plain")], Body::from("x")).await.expect(415);
    service.with("bob", "POST", "/v1/uploads", &[], Body::empty()).await.expect(400);
    let digest = [("content-digest", "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:")];
    service.with("bob", "POST", "/v1/uploads", &digest, Body::from("x")).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_its_senders_alone() {
    let service = service().await;
    let dataset = service.dataset("open", json!({"allowRawAlgorithm": true})).await;
    let sha256 = service.upload("bob", guest("column-stats.p1.wasm")).await;
    let request = json!({"datasets": [dataset], "algorithm": {"upload": sha256}});
    let problem = service.post("carol", "/v1/jobs", &request).await.expect(422).json();
    assert_eq!(problem["field"], "algorithm.upload");
    let manifest = json!({
        "apiVersion": "cloister.dev/v1alpha1", "kind": "Dataset", "metadata": {"name": "stolen"},
        "spec": {"files": [{"type": "upload", "sha256": sha256}]}
    });
    let problem = service.post("mallory", "/v1/datasets", &manifest).await.expect(422).json();
    assert_eq!(problem["field"], "spec.files[0]");
}
