//! Fetching results: whole, in parts, again.

use crate::scenario::Scenario;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cloister_tests::service::{Answer, Request, text, writing};
use serde_json::json;
use sha2::{Digest as _, Sha256};

#[test]
fn a_result_can_be_fetched_by_range_and_verified() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let content = "0123456789".repeat(500);
    let job = service.finish(carol, &scenario.raw_job(&dataset, &writing(&[("result.html", &content)])));
    let result = service.results(carol, &job).into_iter().find(|result| result["name"] == "result.html").expect("it");
    assert_eq!((&result["kind"], &result["bytes"]), (&json!("output"), &json!(5000)));
    let target = format!("/v1/jobs/{job}/results/{}", result["index"]);
    let request = |headers: &[(&str, &str)]| -> Answer {
        headers.iter().fold(service.request("GET", &target).by(carol), |r: Request, (n, v)| r.header(n, v)).send()
    };

    let whole = request(&[]).expect(200);
    assert_eq!(whole.text(), content);
    let digest = Sha256::digest(content.as_bytes());
    let etag = format!("\"{}\"", text(&result, "sha256"));
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("x-content-type-options", "nosniff"),
        ("content-length", "5000"),
        ("accept-ranges", "bytes"),
        ("etag", &etag),
        ("repr-digest", &format!("sha-256=:{}:", BASE64_STANDARD.encode(digest))),
    ] {
        assert_eq!(whole.header(name), Some(value), "{name}: {}", whole.shown());
    }
    let disposition = whole.header("content-disposition").expect("a disposition");
    assert!(disposition.starts_with("attachment") && disposition.contains("result.html"), "{disposition}");

    for (range, part, of) in [
        ("bytes=0-9", &content[..10], "bytes 0-9/5000"),
        ("bytes=4990-", &content[4990..], "bytes 4990-4999/5000"),
        ("bytes=-5", &content[4995..], "bytes 4995-4999/5000"),
        ("bytes=4999-100000", &content[4999..], "bytes 4999-4999/5000"),
    ] {
        let answer = request(&[("Range", range)]).expect(206);
        assert_eq!((answer.text().as_str(), answer.header("content-range")), (part, Some(of)), "{range}");
        assert_eq!(answer.header("etag"), Some(etag.as_str()));
    }
    let beyond = request(&[("Range", "bytes=5000-")]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */5000")), "{}", beyond.shown());
    // A header that is not one range of bytes is ignored.
    for range in ["bytes=9-0", "bytes=a-b", "lines=0-1", "bytes=0-1,4-5"] {
        assert_eq!(request(&[("Range", range)]).expect(200).body.len(), 5000, "{range}");
    }

    assert_eq!(request(&[("If-None-Match", &etag)]).status, 304);
    assert_eq!(request(&[("If-None-Match", "\"other\"")]).status, 200);
    assert_eq!(request(&[("If-Range", &etag), ("Range", "bytes=0-0")]).expect(206).text(), "0");
    assert_eq!(request(&[("If-Range", "\"other\""), ("Range", "bytes=0-0")]).expect(200).body.len(), 5000);
    let head = service.request("HEAD", &target).by(carol).send().expect(200);
    assert_eq!((head.header("content-length"), head.body.len()), (Some("5000"), 0));

    service.get(carol, &format!("/v1/jobs/{job}/results/99")).problem(404);
    let not_a_number = service.get(carol, &format!("/v1/jobs/{job}/results/x"));
    assert!(matches!(not_a_number.status, 400 | 404 | 422), "{}", not_a_number.shown());
}

#[test]
fn result_names_are_never_used_as_paths() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let names = ["a \"quoted\".csv", "Größe.csv", "semi;colon.csv", "..hidden", "percent%41.csv", "back\\slash"];
    let files: Vec<_> = names.iter().map(|name| (*name, *name)).collect();
    let job = service.finish(carol, &scenario.raw_job(&dataset, &writing(&files)));
    let results = service.results(carol, &job);
    assert_eq!(results.len(), names.len() + 1, "{results:#?}");
    for result in results.iter().filter(|result| result["kind"] == "output") {
        let answer = service.get(carol, &format!("/v1/jobs/{job}/results/{}", result["index"])).expect(200);
        let disposition = answer.header("content-disposition").expect("a disposition").to_owned();
        assert!(disposition.starts_with("attachment; filename"), "{disposition}");
        assert!(disposition.is_ascii() && !disposition.contains("..h"), "{disposition}");
        assert_eq!(
            answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-disposition")).count(),
            1
        );
        assert!(names.contains(&answer.text().as_str()));
    }
    // On the disk of the service they are no names at all.
    let mut stored = Vec::new();
    for entry in std::fs::read_dir(service.home().join("results").join(&job)).expect("results") {
        stored.push(entry.expect("an entry").file_name().into_string().expect("text"));
    }
    assert!(stored.iter().all(|name| !names.contains(&name.as_str())), "{stored:?}");
}

#[test]
fn results_are_deleted_when_they_expire() {
    let scenario = Scenario::with(cloister_tests::service::Setup::new().set("times.keep", "1s"));
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let id = text(&service.submit(carol, &scenario.raw_job(&dataset, &writing(&[("a", "b")]))), "id");
    let target = format!("/v1/jobs/{id}");
    cloister_tests::service::wait_for("it to end and to go", || {
        (service.get(carol, &target).status == 404).then_some(())
    });
    let folder = service.home().join("results").join(&id);
    cloister_tests::service::wait_for("its files to go", || (!folder.exists()).then_some(()));
}
