//! Objects of an S3 store: as inputs, with the publisher's keys, and as the place for results, with the operator's.

use super::{assert_arrives, assert_fails, content, near, scenario};
use crate::{
    client::{command, prints},
    scenario::Scenario,
};
use cloister_model::Phase;
use cloister_tests::service::{S3, Setup, phase, text, writing};
use serde_json::{Value, json};
use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A way to a server that can be cut: then every connection is closed as soon as it is made.
struct Way {
    address: String,
    is_open: Arc<AtomicBool>,
}

impl Way {
    fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let (server, is_open) = (server.trim_start_matches("http://").to_owned(), Arc::new(AtomicBool::new(true)));
        let open = Arc::clone(&is_open);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = open.load(Ordering::Acquire).then(|| TcpStream::connect(&server));
                let Some(Ok(server)) = server else { continue };
                for (mut from, mut to) in [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))]
                    .into_iter()
                    .filter_map(|(from, to)| Some((from.ok()?, to.ok()?)))
                {
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                }
            }
        });
        Self { address, is_open }
    }

    fn open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::Release);
    }
}

#[test]
fn an_object_is_an_input_for_a_publisher_who_has_its_key() {
    let (s3, scenario, bytes) = (S3::start(), scenario(), content(1_500_000));
    s3.put("folder/with space/data.bin", &bytes);
    assert_arrives(&scenario, &s3.source("folder/with space/data.bin"), &bytes);
    let mut agreed = s3.source("folder/with space/data.bin");
    agreed["sha256"] = super::digest(&bytes).into();
    assert_arrives(&scenario, &agreed, &bytes);
    assert_fails(&scenario, &s3.source("missing"), &["no such object"]);
    for (field, value) in [("secretAccessKey", "wr0ng-s3cr3t"), ("accessKeyId", "AKIAWRONGWRONGWRONG0")] {
        let mut wrong = s3.source("folder/with space/data.bin");
        wrong["s3Access"][field] = value.into();
        let ended = assert_fails(&scenario, &wrong, &["keys"]);
        for secret in [value, &s3.secret_access_key, &s3.access_key_id] {
            assert!(!ended.to_string().contains(secret), "{ended:#}");
        }
    }
    // Without keys, requests are anonymous.
    let mut open = s3.source("folder/with space/data.bin");
    let access = open["s3Access"].as_object_mut().expect("an object");
    access.retain(|name, _| !name.contains("Key") || name == "objectKey");
    assert_fails(&scenario, &open, &[]);
    // And a store on this machine is none where the operator has not said so.
    assert_fails(&Scenario::new(), &s3.source("folder/with space/data.bin"), &["not allowed"]);
}

/// What was stored in an encoding is the file that was encoded: its digest and its size are that file's.
#[test]
fn an_object_that_was_stored_compressed_arrives_as_what_it_was() {
    let (s3, bytes) = (S3::start(), content(300_000));
    let scenario = Scenario::with(near().set("sources.attempts", "1"));
    let gzip = |bytes: &[u8]| {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("file"), bytes).expect("written");
        let ended = Command::new("gzip").arg("file").current_dir(folder.path()).status().expect("gzip");
        assert!(ended.success());
        fs::read(folder.path().join("file.gz")).expect("compressed")
    };
    let whole = gzip(&bytes);
    s3.put_encoded("whole", &whole, "gzip");
    let mut agreed = s3.source("whole");
    agreed["sha256"] = super::digest(&bytes).into();
    assert_arrives(&scenario, &agreed, &bytes);
    s3.put_encoded("members", &[gzip(&bytes[..1000]), gzip(&bytes[1000..])].concat(), "gzip");
    assert_arrives(&scenario, &s3.source("members"), &bytes);
    // Without the header, it is a file like any other.
    s3.put("whole.gz", &whole);
    assert_arrives(&scenario, &s3.source("whole.gz"), &whole);
    let mut other_length = whole.clone();
    *other_length.last_mut().expect("a length") ^= 1;
    let nested = gzip(&whole);
    for (key, body, encoding, said) in [
        ("cut", &whole[..whole.len() / 2], "gzip", "not whole"),
        ("length", &other_length[..], "gzip", "not whole"),
        ("plain", &b"a,b\n1,2\n"[..], "gzip", "not whole"),
        ("nested", &nested[..], "gzip, gzip", "other than gzip"),
        ("brotli", &b"a,b\n1,2\n"[..], "br", "other than gzip"),
    ] {
        s3.put_encoded(key, body, encoding);
        assert_fails(&scenario, &s3.source(key), &[said]);
    }
    // A small object that becomes a large file meets the limit of files.
    let scenario = Scenario::with(near().set("sources.max_file", "1MiB"));
    s3.put_encoded("bomb", &gzip(&vec![0; 50_000_000]), "gzip");
    assert_fails(&scenario, &s3.source("bomb"), &["1048576"]);
}

fn results_in(s3: &S3, secret: &str) -> Setup {
    results_at(s3, &s3.endpoint, secret)
}

fn options(s3: &S3, endpoint: &str, secret: &str) -> Value {
    json!({
        "endpoint": endpoint, "region": "us-east-1", "allow_http": "true",
        "access_key_id": s3.access_key_id, "secret_access_key": secret
    })
}

fn results_at(s3: &S3, endpoint: &str, secret: &str) -> Setup {
    let options = options(s3, endpoint, secret);
    near().set("results.url", &format!("s3://{}/results", s3.bucket)).set("results.options", &options.to_string())
}

#[test]
fn results_are_kept_in_a_bucket_and_come_back_through_the_service() {
    let s3 = S3::start();
    let mut scenario = Scenario::with(results_in(&s3, &s3.secret_access_key));
    let dataset = scenario.service.open_dataset(&scenario.alice, "d");
    let large = "0123456789".repeat(5000);
    let wat = writing(&[("large.txt", &large), ("b.txt", "")]);
    let job = scenario.service.finish(&scenario.carol, &scenario.raw_job(&dataset, &wat));
    let keys = s3.list("results/");
    assert!(keys.len() >= 3 && keys.iter().all(|key| key.contains(&job)), "{keys:?}");
    assert_eq!(scenario.service.result(&scenario.carol, &job, "large.txt"), large.as_bytes());
    let results = scenario.service.results(&scenario.carol, &job);
    let index = results.iter().find(|result| result["name"] == "large.txt").expect("it")["index"].clone();
    let request = scenario.service.request("GET", &format!("/v1/jobs/{job}/results/{index}")).by(&scenario.carol);
    let part = request.header("Range", "bytes=49995-").send().expect(206);
    assert_eq!((part.text().as_str(), part.header("content-range")), ("56789", Some("bytes 49995-49999/50000")));
    // Another life of the service finds them again.
    assert!(scenario.service.stop().success());
    scenario.service.restart();
    assert_eq!(scenario.service.result(&scenario.carol, &job, "large.txt"), large.as_bytes());
    let _ = scenario.service.delete(&scenario.carol, &format!("/v1/jobs/{job}")).expect(204);
    let left: Vec<String> = cloister_tests::service::wait_for("the objects to go", || {
        let left = s3.list("results/");
        left.is_empty().then_some(left)
    });
    assert_eq!(left, Vec::<String>::new());
}

/// The algorithm does not run again, and its outputs wait, through a restart of the service, too.
#[test]
fn results_wait_for_a_store_that_does_not_answer() {
    let s3 = S3::start();
    let way = Way::to(&s3.endpoint);
    let mut scenario = Scenario::with(results_at(&s3, &way.address, &s3.secret_access_key));
    let dataset = scenario.service.open_dataset(&scenario.alice, "d");
    // One job before, so that connections that are kept open are known, and cut with the way.
    let _ = scenario.service.finish(&scenario.carol, &scenario.raw_job(&dataset, &writing(&[("a", "first")])));
    way.open(false);
    assert!(scenario.service.stop().success());
    scenario.service.restart();
    let submitted = scenario.service.submit(&scenario.carol, &scenario.raw_job(&dataset, &writing(&[("a", "second")])));
    let job = text(&submitted, "id");
    let _ = waits_for_store(&scenario, &job, 1);
    assert_eq!(phase(&scenario.service.job(&scenario.carol, &job)), Phase::Publishing);
    assert_eq!(scenario.service.results(&scenario.carol, &job), Vec::<Value>::new());
    assert!(scenario.service.stop().success());
    scenario.service.restart();
    assert_eq!(phase(&scenario.service.job(&scenario.carol, &job)), Phase::Publishing);
    assert!(scenario.service.logs().contains("the results are kept and stored later"));
    way.open(true);
    let ended = scenario.service.ended(&scenario.carol, &job);
    assert!(phase(&ended).is_success(), "{ended:#}");
    assert_eq!(scenario.service.result(&scenario.carol, &job, "a"), b"second");
    assert!(!scenario.service.logs().contains(&s3.secret_access_key), "no key in the log");
}

/// A job whose results wait for the store, once so many attempts have failed.
fn waits_for_store(scenario: &Scenario, job: &str, failures: u64) -> Value {
    cloister_tests::service::wait_for("an attempt that fails", || {
        let found = scenario.service.job(&scenario.carol, job);
        (found["storeWait"]["failures"].as_u64() >= Some(failures)).then_some(found)
    })
}

/// In the end the pause is longer than this test waits for anything: the results are stored because somebody asks.
#[test]
fn whoever_may_stop_a_job_asks_for_its_results_to_be_stored_once_the_store_is_back() {
    let s3 = S3::start();
    let way = Way::to(&s3.endpoint);
    way.open(false);
    let scenario = Scenario::with(results_at(&s3, &way.address, &s3.secret_access_key));
    let Scenario { service, alice, carol, mallory, .. } = &scenario;
    let dataset = service.open_dataset(alice, "d");
    let job = text(&service.submit(carol, &scenario.raw_job(&dataset, &writing(&[("a", "kept")]))), "id");
    let publish = format!("/v1/jobs/{job}/publish");
    let waits = waits_for_store(&scenario, &job, 1);
    assert_eq!(phase(&waits), Phase::Publishing);
    let wait = &waits["storeWait"];
    for moment in ["since", "next", "until"] {
        assert!(wait[moment].is_string(), "{wait:#}");
    }
    let explained = service.get(carol, &format!("/v1/jobs/{job}/explain")).expect_json(200);
    let said = text(&explained, "text");
    assert!(said.contains(&text(wait, "why")) && said.contains(&format!("cloister job publish {job}")), "{said}");
    let run = |arguments: &[&str]| command(&scenario, carol, service.folder(), arguments);
    let shown = prints(&run(&["job", "show", &job]), 0);
    assert!(shown.contains("waits") && shown.contains("the result store does not answer"), "{shown}");
    // A stranger learns nothing, and changes nothing.
    let missing = "/v1/jobs/0123456789abcdef0123456789abcdef/publish";
    let answers = [publish.as_str(), missing].map(|target| service.post(mallory, target, &json!({})).problem(404));
    assert_eq!(answers[0]["detail"], answers[1]["detail"]);
    // Its owner, the publisher of its dataset and the operator may ask.
    for (who, failures) in [carol, alice, &service.operator].into_iter().cycle().zip(2..=7) {
        let asked = service.post(who, &publish, &json!({})).expect_json(202);
        assert_eq!(phase(&asked), Phase::Publishing);
        let _ = waits_for_store(&scenario, &job, failures);
    }
    way.open(true);
    let _ = prints(&run(&["job", "publish", &job]), 0);
    let ended = service.ended(carol, &job);
    assert!(phase(&ended).is_success() && ended["storeWait"].is_null(), "{ended:#}");
    assert_eq!(service.result(carol, &job, "a"), b"kept");
    let refused = service.post(carol, &publish, &json!({})).problem(409);
    assert!(text(&refused, "type").ends_with("not-waiting-for-store"), "{refused:#}");
    assert!(text(&refused, "detail").contains("do not wait for the result store"), "{refused:#}");
    let records = service.get(&service.operator, "/v1/audit?limit=1000").expect_json(200);
    let records = records["items"].as_array().expect("records");
    let asked = records.iter().filter(|record| record["action"] == "publishing-asked" && record["subject"] == job);
    // A request while an attempt is under way changes nothing, and is not on record.
    assert!((1..=7).contains(&asked.count()));
}

/// The job waits as for a store that is away, says what the store has answered, and shows no key.
#[test]
fn results_wait_for_a_store_that_refuses_its_keys_until_it_gets_the_right_ones() {
    let s3 = S3::start();
    let mut scenario = Scenario::with(results_in(&s3, "wr0ng-s3cr3t-of-the-operator"));
    let dataset = scenario.service.open_dataset(&scenario.alice, "d");
    let submitted = scenario.service.submit(&scenario.carol, &scenario.raw_job(&dataset, &writing(&[("a", "kept")])));
    let job = text(&submitted, "id");
    let waits = waits_for_store(&scenario, &job, 1);
    assert_eq!(phase(&waits), Phase::Publishing);
    let why = text(&waits["storeWait"], "why");
    assert!(why.contains("with these keys (403") && why.contains("the operator can check"), "{why}");
    assert_eq!(scenario.service.results(&scenario.carol, &job), Vec::<Value>::new());
    for shown in [waits.to_string(), scenario.service.logs()] {
        assert!(!shown.contains("wr0ng-s3cr3t-of-the-operator") && !shown.contains(&s3.access_key_id), "{shown}");
    }
    assert!(scenario.service.stop().success());
    let options = options(&s3, &s3.endpoint, &s3.secret_access_key);
    let setup = scenario.service.setup().clone().set("results.options", &options.to_string());
    *scenario.service.setup() = setup;
    scenario.service.restart();
    let ended = scenario.service.ended(&scenario.carol, &job);
    assert!(phase(&ended).is_success(), "{ended:#}");
    assert_eq!(scenario.service.result(&scenario.carol, &job, "a"), b"kept");
}

/// For no longer than for one that is away.
#[test]
fn a_job_whose_store_refuses_for_too_long_ends_and_says_why() {
    let s3 = S3::start();
    let scenario = Scenario::with(results_in(&s3, "wr0ng-s3cr3t-of-the-operator").set("times.publishing", "20s"));
    let dataset = scenario.service.open_dataset(&scenario.alice, "d");
    let ended = scenario.service.run(&scenario.carol, &scenario.raw_job(&dataset, &writing(&[("a", "b")])));
    assert_eq!(phase(&ended), Phase::Expired, "{ended:#}");
    assert_eq!(ended["reason"]["fault"], "system", "{ended:#}");
    let reason = text(&ended["reason"], "text");
    assert!(reason.contains("publishing time limit") && reason.contains("with these keys (403"), "{reason}");
    assert_eq!(scenario.service.results(&scenario.carol, &text(&ended, "id")), Vec::<Value>::new());
}
