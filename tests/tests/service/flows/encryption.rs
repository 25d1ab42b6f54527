//! Results that only their consumer can read.

use crate::scenario::Scenario;
use cloister_tests::service::{text, writing};
use sha2::{Digest as _, Sha256};
use std::{fs, io::Read as _};

/// What the job computes: so long that no digest or identifier holds it by chance.
const COUNT: &str = "31415926535897932384626433";

#[test]
fn results_are_encrypted_to_the_consumers_key_and_stored_nowhere_in_plaintext() {
    let scenario = Scenario::new();
    let Scenario { service, alice, carol, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let identity = age::x25519::Identity::generate();
    let mut job = scenario.raw_job(&dataset, &writing(&[("a.csv", &format!("count\n{COUNT}\n"))]));
    job["encryptTo"] = identity.to_public().to_string().into();
    let job = service.finish(carol, &job);
    let result = service
        .results(carol, &job)
        .into_iter()
        .find(|result| result["name"].as_str().is_some_and(|name| name.starts_with("a.csv")));
    let result = result.expect("the result");
    let bytes = service.get(carol, &format!("/v1/jobs/{job}/results/{}", result["index"])).expect(200).body;
    // The digest is of what is fetched.
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(text(&result, "sha256"), digest);
    let decryptor = age::Decryptor::new_buffered(&bytes[..]).expect("an age file");
    let mut reader = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).expect("for this identity");
    let mut clear = String::new();
    reader.read_to_string(&mut clear).expect("text");
    assert_eq!(clear, format!("count\n{COUNT}\n"));
    let stranger = age::x25519::Identity::generate();
    let decryptor = age::Decryptor::new_buffered(&bytes[..]).expect("an age file");
    assert!(decryptor.decrypt(std::iter::once(&stranger as &dyn age::Identity)).is_err());

    let mut open = vec![service.home()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_none_or(|extension| extension != "db" && extension != "db-wal") {
                // The program itself, which holds the text, is an upload.
                let kept = ["uploads", "cache", "sandbox"].map(|name| service.home().join(name));
                let is_program = kept.iter().any(|folder| path.starts_with(folder));
                let content = fs::read(&path).unwrap_or_default();
                let holds = content.windows(COUNT.len()).any(|part| part == COUNT.as_bytes());
                assert!(is_program || !holds, "{}", path.display());
            }
        }
    }
    for wrong in ["age1", "ssh-ed25519 AAAA", ""] {
        let mut job = scenario.raw_job(&dataset, &writing(&[]));
        job["encryptTo"] = wrong.into();
        let problem = service.post(carol, "/v1/jobs", &job).problem(422);
        assert_eq!(problem["field"], "encryptTo");
    }
}
