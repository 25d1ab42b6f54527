use super::*;
use crate::{
    Container, Did, Secret,
    workflow::{MOST_RAWCODE_BYTES, Remote, WorkflowOrigin, WorkflowSource},
};
use proptest::{collection::vec, option, prelude::*};

/// What the real Provider sends for two datasets and a published algorithm.
fn provider() -> Value {
    json!({"stages": [{
        "index": 0,
        "input": [
            {"index": 0, "id": "did:op:5b1f", "remote": {"txId": "0x7a11", "serviceId": "svc-1", "userdata": {"year": 2023}}},
            {"index": 1, "id": "did:op:9e02", "remote": {"txId": "0x7a12", "serviceId": "svc-2"}}
        ],
        "compute": {"Instances": 1, "namespace": "ocean-compute", "maxtime": 3600},
        "algorithm": {
            "id": "did:op:e4d8", "rawcode": "", "algouserdata": null,
            "container": {"image": "ghcr.io/acme/stats", "tag": "1.4", "entrypoint": "python3 $ALGO", "checksum": "sha256:1f"},
            "remote": {"serviceEndpoint": "https://p.example", "txId": "0x7a13", "serviceId": "svc-a", "userData": null},
            "algocustomdata": {"bins": 20}
        },
        "output": {"metadataUri": "https://aquarius.example"}
    }]})
}

fn with(pointer: &str, value: Value) -> Value {
    let mut document = provider();
    *document.pointer_mut(pointer).expect("a field") = value;
    document
}

#[test]
fn reads_what_provider_sends_and_writes_it_again() {
    let workflow = Workflow::from_value(provider()).expect("a workflow");
    assert_eq!(serde_json::to_value(&workflow).expect("json"), provider());
    let [first, second] = workflow.inputs() else { panic!("two inputs") };
    assert_eq!((first.did.id(), second.did.id()), ("5b1f", "9e02"));
    let Some(WorkflowSource::Remote(remote)) = &first.source else { panic!("remote") };
    assert_eq!(remote.userdata, Some(Secret::new(json!({"year": 2023}))));
    let algorithm = workflow.algorithm();
    let WorkflowOrigin::Published { did, remote: Some(remote) } = &algorithm.origin else { panic!("published") };
    assert_eq!((did.id(), remote.service_id.as_str(), &remote.userdata), ("e4d8", "svc-a", &None));
    assert_eq!(algorithm.parameters, Some(Secret::new(json!({"bins": 20}))));
    assert_eq!(workflow.metadata_uri(), Some("https://aquarius.example"));
}

#[test]
fn raw_algorithms_come_in_three_ways() {
    let container = json!({"image": "python", "tag": "3", "entrypoint": "python3 $ALGO", "checksum": "sha256:1f"});
    for (algorithm, expected) in [
        (json!({"id": "", "url": null, "rawcode": "print(1)", "container": container}), "Rawcode"),
        (json!({"id": "", "url": "https://x", "rawcode": null, "container": container}), "Urls"),
        (json!({"url": ["https://x", "https://y"], "rawcode": "", "container": container}), "Urls"),
        (json!({"meta": {"rawcode": "print(1)", "language": "python", "container": container}}), "Rawcode"),
    ] {
        let workflow = Workflow::from_value(with("/stages/0/algorithm", algorithm)).expect(expected);
        assert!(format!("{:?}", workflow.algorithm().origin).starts_with(expected));
        assert_eq!(workflow.algorithm().container.as_ref().expect("a container").image, "python");
        assert_eq!(workflow.algorithm().parameters, None);
    }
}

#[test]
fn every_malformed_case_names_its_field() {
    for (pointer, value, error) in [
        ("/stages", Value::Null, "Missing stages"),
        ("/stages", json!([]), "Missing stages"),
        ("/stages", json!({}), "`stages` must be"),
        ("/stages", json!([{}, {}]), "Multiple stages"),
        ("/stages/0", json!(1), "`stages[0]` must be"),
        ("/stages/0/algorithm", Value::Null, "Missing algorithm in stage 0"),
        ("/stages/0/algorithm", json!({"url": "ftp://SECRET"}), "`stages[0].algorithm.url` must be http or https URLs"),
        ("/stages/0/compute", Value::Null, "Missing compute in stage 0"),
        ("/stages/0/input", Value::Null, "Missing input in stage 0"),
        ("/stages/0/output", Value::Null, "Missing output in stage 0"),
        ("/stages/0/compute", json!([]), "`stages[0].compute`"),
        ("/stages/0/output", json!("x"), "`stages[0].output`"),
        ("/stages/0/output/metadataUri", json!(1), "`stages[0].output.metadataUri`"),
        ("/stages/0/input", json!([]), "`stages[0].input` is empty"),
        ("/stages/0/input", json!({}), "`stages[0].input` must be"),
        ("/stages/0/input/1/id", Value::Null, "`stages[0].input[1].id` is missing"),
        ("/stages/0/input/1/id", json!("../x"), "`stages[0].input[1].id` must be"),
        ("/stages/0/input/1/remote", json!([]), "`stages[0].input[1].remote` must be"),
        ("/stages/0/input/1/remote", json!({}), "`stages[0].input[1].remote.serviceId` is missing"),
        ("/stages/0/input/1", json!({"id": "a", "url": 1}), "`stages[0].input[1].url`"),
        ("/stages/0/input/1", json!({"id": "a", "url": [""]}), "`stages[0].input[1].url`"),
        ("/stages/0/input/1", json!({"id": "a", "url": "u", "remote": {"serviceId": "s"}}), "absent beside `remote`"),
        ("/stages/0/algorithm", json!({}), "says nothing to run"),
        ("/stages/0/algorithm", json!({"remote": {"serviceId": "s"}}), "says nothing to run"),
        ("/stages/0/algorithm", json!({"meta": 1}), "`stages[0].algorithm.meta`"),
        ("/stages/0/algorithm/id", json!("did:web:x"), "`stages[0].algorithm.id`"),
        ("/stages/0/algorithm/rawcode", json!("evil"), "more than one of"),
        ("/stages/0/algorithm", json!({"id": "a", "meta": {"rawcode": "evil"}}), "more than one of"),
        ("/stages/0/algorithm", json!({"rawcode": "a", "meta": {"rawcode": "b"}}), "more than one of"),
        ("/stages/0/algorithm", json!({"rawcode": 1}), "`stages[0].algorithm.rawcode` must be a text"),
        ("/stages/0/algorithm/container/image", json!(""), "`stages[0].algorithm.container.image` is missing"),
    ] {
        let message = Workflow::from_value(with(pointer, value)).expect_err(error).to_string();
        assert!(message.contains(error), "{message} / {error}");
    }
    let long = json!({"rawcode": "x".repeat(MOST_RAWCODE_BYTES + 1)});
    assert!(matches!(Workflow::from_value(with("/stages/0/algorithm", long)), Err(WorkflowError::Field(_))));
    let large = with("/stages/0/compute", json!({"x": "x".repeat(MOST_WORKFLOW_BYTES)}));
    assert_eq!(Workflow::from_value(large), Err(WorkflowError::TooLarge));
}

#[test]
fn nothing_secret_is_shown() {
    let raw = json!({"rawcode": "SECRET", "algocustomdata": {"token": "SECRET"}});
    let mut document = with("/stages/0/algorithm", raw);
    document["stages"][0]["input"][1] = json!({"id": "a", "url": "https://user:SECRET@x"});
    document["stages"][0]["input"][0]["remote"]["userdata"] = json!("SECRET");
    let workflow = Workflow::from_value(document).expect("a workflow");
    assert!(!format!("{workflow:?}").contains("SECRET"));
}

fn any_remote() -> impl Strategy<Value = Box<Remote>> {
    (option::of("0x[0-9a-f]{4}"), "[a-z]{1,4}", option::of("https://[a-z]{1,4}"), option::of(0..9_u8)).prop_map(
        |(tx_id, service_id, service_endpoint, userdata)| {
            let userdata = userdata.map(|data| Secret::new(data.into()));
            Box::new(Remote { tx_id, service_id, service_endpoint, userdata })
        },
    )
}

fn any_urls() -> impl Strategy<Value = Secret<Vec<String>>> {
    vec("https://[a-z]{1,4}", 1..3).prop_map(Secret::new)
}

fn any_did() -> impl Strategy<Value = Did> {
    "[0-9a-f]{1,8}".prop_map(|id| id.parse().expect("a DID"))
}

fn any_input() -> impl Strategy<Value = WorkflowInput> {
    let source = prop_oneof![any_remote().prop_map(WorkflowSource::Remote), any_urls().prop_map(WorkflowSource::Urls)];
    (any_did(), option::of(source)).prop_map(|(did, source)| WorkflowInput { did, source })
}

fn any_algorithm() -> impl Strategy<Value = WorkflowAlgorithm> {
    let origin = prop_oneof![
        (any_did(), option::of(any_remote())).prop_map(|(did, remote)| WorkflowOrigin::Published { did, remote }),
        "\\PC{1,20}".prop_map(|code| WorkflowOrigin::Rawcode(Secret::new(code))),
        vec("https://[a-z]{1,4}/", 1..3)
            .prop_map(|urls| { WorkflowOrigin::Urls(urls.iter().map(|url| url.parse().expect("a URL")).collect()) }),
    ];
    let container = ("[a-z]{1,4}", option::of("[0-9]"), "\\PC{1,9}", option::of("[0-9a-f]{0,4}"));
    let container =
        container.prop_map(|(image, tag, entrypoint, checksum)| Container { image, tag, entrypoint, checksum });
    (origin, option::of(container), option::of(option::of(0..9_u8))).prop_map(|(origin, container, parameters)| {
        WorkflowAlgorithm { origin, container, parameters: parameters.map(|data| Secret::new(data.into())) }
    })
}

proptest! {
    #[test]
    fn what_is_composed_is_read_again(
        inputs in vec(any_input(), 1..4), algorithm in any_algorithm(), uri in option::of("[a-z]{1,9}")
    ) {
        let workflow = Workflow::compose(&inputs, &algorithm, uri.as_deref()).expect("a workflow");
        prop_assert_eq!(workflow.inputs(), &inputs[..]);
        prop_assert_eq!(workflow.algorithm(), &algorithm);
        prop_assert_eq!(workflow.metadata_uri(), uri.as_deref());
        let json = serde_json::to_value(&workflow).expect("json");
        prop_assert_eq!(serde_json::from_value::<Workflow>(json).expect("a workflow"), workflow);
    }

    #[test]
    fn a_missing_field_is_an_error_or_was_not_needed(which in 0..40_usize) {
        fn drop_nth(value: &mut Value, left: &mut usize) {
            match value {
                Value::Object(fields) => {
                    for name in fields.keys().cloned().collect::<Vec<_>>() {
                        if *left == 0 {
                            fields.remove(&name);
                            *left = usize::MAX;
                            return;
                        }
                        *left -= 1;
                        drop_nth(&mut fields[&name], left);
                        if *left == usize::MAX {
                            return;
                        }
                    }
                }
                Value::Array(entries) => entries.iter_mut().for_each(|entry| if *left != usize::MAX { drop_nth(entry, left) }),
                _ => {}
            }
        }
        let mut document = provider();
        drop_nth(&mut document, &mut which.clone());
        if let Ok(workflow) = Workflow::from_value(document.clone()) {
            prop_assert_eq!(serde_json::to_value(&workflow).expect("json"), document);
        }
    }
}
