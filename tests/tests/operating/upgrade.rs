//! The folder of an earlier version, whole, served by this one.

use cloister_model::{Phase, Sha256};
use cloister_tests::{
    root,
    service::{Service, Setup, Who, cloister, phase, text, writing},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// What an archive of `tests/homes` holds, unpacked.
struct Kept(tempfile::TempDir);

impl Kept {
    fn unpack(version: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = root().join(format!("tests/homes/{version}.tar.gz"));
        let unpacked = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(folder.path()).output();
        let unpacked = unpacked.expect("tar starts");
        assert!(unpacked.status.success(), "{}: {unpacked:?}", archive.display());
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn note(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        text.trim().to_owned()
    }

    fn who(&self, account: &str) -> Who {
        let key = self.note(&format!("{account}.key"));
        let id = key.split('_').nth(1).expect("an id").to_owned();
        Who { account: account.to_owned(), id, key }
    }
}

fn run(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(cloister());
    command.args(arguments).arg("--home").arg(home).env_remove("CLOISTER_KEY").env_remove("CLOISTER_URL");
    command.output().expect("the program starts")
}

#[track_caller]
fn succeeds(home: &Path, arguments: &[&str]) {
    let output = run(home, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn named(service: &Service, who: &Who, kind: &str, name: &str) -> String {
    let found = service.get(who, &format!("/v1/{kind}?name={name}")).expect_json(200);
    text(&found["items"][0], "did")
}

/// The version that the last one of `tests/homes` has is the one before the present, or the present one: `tests/homes/README.md`.
#[test]
fn a_folder_of_version_4_is_served_whole() {
    let kept = Kept::unpack("v4");
    let home = kept.path("home");
    let (alice, carol) = (kept.who("alice"), kept.who("carol"));
    let [finished, failed, in_review, queued] =
        ["finished", "failed", "in-review", "queued"].map(|name| kept.note(name));
    // What an operator does before an upgrade, with the new program, too.
    let before = kept.path("before");
    succeeds(&home, &["backup", "--to", before.to_str().expect("a path")]);
    let service = Setup::new().home(&home).start();
    succeeds(&home, &["audit", "verify", "--head", &kept.note("head")]);

    // Jobs, with what their consumer has read of them before.
    let found = service.get(&carol, "/v1/jobs").expect_json(200);
    assert_eq!(found["items"].as_array().map(Vec::len), Some(4), "{found:#}");
    let ended = |job: &str| service.get(&carol, &format!("/v1/jobs/{job}")).expect_json(200);
    assert_eq!((phase(&ended(&finished)), phase(&ended(&failed))), (Phase::Finished, Phase::AlgorithmFailed));
    let results = fs::read_dir(kept.path("results")).expect("a folder");
    let mut count = 0;
    for entry in results.map(|entry| entry.expect("an entry")) {
        let name = entry.file_name().into_string().expect("text");
        let bytes = fs::read(entry.path()).expect("a file");
        assert_eq!(Sha256::of(&service.result(&carol, &finished, &name)), Sha256::of(&bytes), "{name}");
        count += 1;
    }
    assert!(count >= 2, "{count} results");
    let receipt: Value = serde_json::from_str(&kept.note("receipt.json")).expect("JSON");
    let again = service.get(&carol, &format!("/v1/jobs/{finished}/receipt")).expect_json(200);
    assert_eq!((&again["receipt"], &again["publicKey"]), (&receipt["receipt"], &receipt["publicKey"]));
    let key = text(&receipt, "publicKey");
    succeeds(&home, &["job", "receipt", &finished, "--verify", "--public-key", &key]);

    // What waits for a reviewer still does, and what waits for its turn is run by this program.
    assert_eq!(phase(&service.ended(&carol, &queued)), Phase::Finished);
    let approved = service.post(&alice, &format!("/v1/jobs/{in_review}/review"), &json!({"verdict": "approve"}));
    assert!((200..300).contains(&approved.status), "{}", approved.shown());
    assert_eq!(phase(&service.ended(&carol, &in_review)), Phase::Finished);

    // Rules and trust are as they were: the algorithm that was allowed runs, and another program does not.
    let (penguins, stats) =
        (named(&service, &alice, "datasets", "penguins"), named(&service, &alice, "algorithms", "column-stats"));
    let job = json!({"datasets": [penguins], "algorithm": {"did": stats}, "parameters": {"groupBy": "island"}});
    let _ = service.finish(&carol, &job);
    let raw = json!({"datasets": [penguins], "algorithm": service.raw(&carol, &writing(&[("a", "b")]))});
    assert_eq!(service.post(&carol, "/v1/jobs", &raw).status, 403);
    succeeds(&home, &["audit", "verify", "--head", &kept.note("head")]);
    drop(service);

    // The backup goes back to where the upgrade began.
    let restored = kept.path("restored");
    succeeds(&restored, &["restore", "--from", before.to_str().expect("a path")]);
    let service = Setup::new().home(&restored).start();
    assert_eq!(phase(&service.ended(&carol, &queued)), Phase::Finished);
}
