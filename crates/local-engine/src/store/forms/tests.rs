use super::{AssetForm, CardForm, FileForm, KeyForm, ReceiptForm, SpecForm, StatusForm, SummaryForm, UploadForm};
use crate::testing::{at, job};
use cloister_model::{
    Account, ApiKey, Approval, Asset, AssetSummary, Ddo, Delivery, Event, Fault, FileDigest, JobCard, JobSource,
    JobSpec, JobStatus, Opening, Progress, Reason, RecordedAsset, RecordedDataset, ResultFile, ResultKind, Review,
    Role, Secret, Sha256, StoreWait, StoredReceipt, Upload,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fmt::Debug;

const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

fn account() -> Account {
    "alice".parse().expect("an account")
}

fn asset() -> Asset {
    let ddo = json!({"id": "did:op:a", "metadata": {"type": "dataset", "name": "a"}, "theirs": {"kept": true}});
    Asset {
        ddo: Ddo::from_value(ddo).expect("a DDO"),
        owner: account(),
        name: "a".to_owned(),
        created: at(1),
        updated: at(2),
        revision: 3,
        withdrawn: Some(at(4)),
        files: Some(vec![FileDigest { sha256: Sha256::from_bytes([1; 32]), bytes: 5 }]),
    }
}

/// A job with every field in use.
fn spec() -> JobSpec {
    let mut spec = job(1);
    spec.algorithm.source = JobSource::Rawcode(Secret::new("code".to_owned()));
    spec.parameters = Some(Secret::new(json!({"bins": 20})));
    spec.times.publishing_ms = 7;
    spec.delivery =
        Delivery { encrypt_to: Some(RECIPIENT.parse().expect("a recipient")), register: Some(Box::new(asset())) };
    let asset =
        RecordedAsset { did: "d".parse().expect("a DID"), service: "s".to_owned(), publisher: account(), revision: 1 };
    spec.record.algorithm = Some(asset.clone());
    spec.record.datasets = vec![RecordedDataset { asset, review: true, log_bytes: 7 }];
    spec
}

fn status() -> JobStatus {
    let reason = Reason::new("because \u{1b}", Fault::System);
    let status = JobStatus::queued(spec().id, spec().labels, at(1));
    let mut status = status.after(Event::Expire, at(2), Some(reason)).expect("a step");
    status.stop_requested = Some(at(3));
    status.expires = Some(at(4));
    status.review =
        Some(Review { approved: true, by: account(), at: at(5), first: Some(Approval { by: account(), at: at(4) }) });
    status.progress = Some(Progress { done_bytes: 1, total_bytes: Some(2) });
    let why = "it is away".to_owned();
    status.store_wait = Some(StoreWait { since: at(6), failures: 2, next: at(7), until: at(8), why });
    status
}

fn receipt() -> StoredReceipt {
    let opening = Opening::new(&[1; 32], "/parameters", json!({"bins": 20}));
    StoredReceipt { text: "{}".to_owned(), openings: Secret::new(vec![opening]), record: spec().record }
}

fn read<F: DeserializeOwned, T: From<F>>(row: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value::<F>(row).map(T::from)
}

/// Writes a value in its form, reads it again, and reads it with a field that this version does not know.
fn check<F, T>(value: &T, ignores_unknown_fields: bool)
where
    F: DeserializeOwned + Serialize + for<'a> From<&'a T>,
    T: From<F> + Debug + PartialEq,
{
    let mut row = serde_json::to_value(F::from(value)).expect("a row");
    assert_eq!(&read::<F, T>(row.clone()).expect("read"), value);
    row["ofALaterVersion"] = json!(1);
    match read::<F, T>(row) {
        Ok(found) => assert!(ignores_unknown_fields && found == *value, "{found:?}"),
        Err(error) => assert!(!ignores_unknown_fields, "{value:?}: {error}"),
    }
}

fn read_spec(row: Value) -> Result<JobSpec, crate::store::DbError> {
    serde_json::from_value::<SpecForm>(row)?.with_documents(&mut |sha256| panic!("{sha256} stands elsewhere"))
}

#[test]
fn large_texts_stand_outside_and_come_back() {
    let mut spec = spec();
    let ddo = json!({"id": "did:op:a", "text": "x".repeat(5000)});
    (spec.inputs[0].ddo, spec.algorithm.ddo) = (Some(ddo.clone()), Some(ddo));
    spec.algorithm.source = JobSource::Rawcode(Secret::new("code\"".repeat(1000)));
    let (form, documents) = SpecForm::of(&spec);
    assert_eq!(documents.iter().count(), 2, "a description that is named twice stands once");
    let row = serde_json::to_string(&form).expect("a row");
    assert!(row.len() < 5000 && !row.contains("xxx"), "{row}");
    let form = || serde_json::from_str::<SpecForm>(&row).expect("a form");
    let find = |wanted| documents.iter().find(|(sha256, _)| **sha256 == wanted).map(|(_, text)| text.clone());
    let whole = form().with_documents(&mut |sha256| Ok(find(sha256).expect("a text"))).expect("whole");
    assert_eq!(whole, spec);
    let bare = form().without_documents().expect("bare");
    assert_eq!((&bare.inputs[0].ddo, &bare.terms, bare.card()), (&None, &spec.terms, spec.card()));
}

#[test]
fn what_is_written_is_read_and_a_field_of_a_later_version_is_ignored_unless_it_may_restrict() {
    check::<StatusForm, JobStatus>(&status(), true);
    check::<CardForm, JobCard>(&spec().card(), true);
    check::<ReceiptForm, StoredReceipt>(&receipt(), true);
    let file = FileDigest { sha256: Sha256::from_bytes([1; 32]), bytes: 5 };
    check::<UploadForm, Upload>(&Upload { file, owner: account(), created: at(1) }, true);
    let file = ResultFile { name: "a".to_owned(), kind: ResultKind::AlgorithmLog, bytes: 1, sha256: file.sha256 };
    check::<FileForm, ResultFile>(&file, true);

    let spec = spec();
    let (form, documents) = SpecForm::of(&spec);
    assert_eq!(documents.iter().count(), 0, "short texts stand in the specification");
    let mut row = serde_json::to_value(form).expect("a row");
    assert_eq!(read_spec(row.clone()).expect("read"), spec);
    row["ofALaterVersion"] = json!(1);
    read_spec(row).expect_err("it may restrict");
    check::<SummaryForm, AssetSummary>(&asset().summary(), false);
    check::<AssetForm, Asset>(&asset(), false);
    let key = ApiKey {
        id: "00000000000000aa".parse().expect("an id"),
        account: account(),
        role: Role::Publisher,
        label: "l".to_owned(),
        sha256: Sha256::from_bytes([1; 32]),
        created: at(1),
        expires: Some(at(2)),
        revoked: Some(at(3)),
    };
    check::<KeyForm, ApiKey>(&key, false);
}

#[test]
fn an_unknown_restriction_is_never_dropped() {
    for pointer in ["/terms", "/terms/outputContract", "/terms/release", "/limits", "/delivery", "/times"] {
        let mut row = serde_json::to_value(SpecForm::of(&spec()).0).expect("a row");
        row.pointer_mut(pointer).expect(pointer)["atMost"] = json!(1);
        assert!(read_spec(row).is_err(), "{pointer}");
    }
    let mut row = serde_json::to_value(CardForm::from(&spec().card())).expect("a row");
    row["terms"]["atMost"] = json!(1);
    assert!(read::<CardForm, JobCard>(row).is_err());
}

#[test]
fn a_status_of_version_1_has_no_review() {
    let mut row = serde_json::to_value(StatusForm::from(&status())).expect("a row");
    row.as_object_mut().expect("an object").remove("review");
    assert_eq!(read::<StatusForm, JobStatus>(row).expect("read"), JobStatus { review: None, ..status() });
}

#[test]
fn a_job_of_an_earlier_version_has_the_usual_time_to_be_published() {
    let mut row = serde_json::to_value(SpecForm::of(&spec()).0).expect("a row");
    row["times"].as_object_mut().expect("an object").remove("publishingMs");
    let times = read_spec(row).expect("read").times;
    assert_eq!(times.publishing_ms, cloister_model::TimeLimits::default().publishing_ms);
}

#[test]
fn secrets_are_not_shown() {
    let text = format!("{:?} {:?}", SpecForm::of(&spec()), ReceiptForm::from(&receipt()));
    assert!(!text.contains("bins") && !text.contains("code\""), "{text}");
}
