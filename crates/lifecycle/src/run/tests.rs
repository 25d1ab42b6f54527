use super::*;
use crate::testing::*;
use cloister_model::{AdmittedBy, AdmittedDataset, FileReport, Limit, Outcome, Phase, RuntimeReport, Sha256, TrapKind};

/// Terms under which one dataset trusts these files only.
fn trusting(files: &[Sha256]) -> JobSpec {
    let mut spec = spec();
    spec.terms.admitted = vec![AdmittedDataset {
        did: "d".parse().expect("a DID"),
        service: "s".to_owned(),
        by: AdmittedBy::TrustedAlgorithm,
        files_checksums: Some([FilesChecksum::of(files.to_vec()).expect("a checksum")].into()),
    }];
    spec
}

fn after(spec: &JobSpec, report: &Report) -> Transition {
    let trace = RunTrace { claimed: true, report: Some(Box::new(report.clone())), ..RunTrace::default() };
    match next(spec, &RunFacts { trace, ..RunFacts::default() }) {
        Next::Ended(transition) => *transition,
        Next::Start | Next::Await => panic!("it has ended"),
    }
}

#[test]
fn a_fault_of_the_host_is_never_the_algorithms() {
    let limit = Outcome::LimitExceeded { limit: Limit::Memory, allowed: 1, used: 2 };
    for (outcome, event, fault) in [
        (Outcome::AlgorithmFailed { exit_code: 3 }, Event::Failed, Fault::Algorithm),
        (Outcome::Crashed { trap: TrapKind::Unreachable }, Event::Failed, Fault::Algorithm),
        (Outcome::Refused { refusals: vec![] }, Event::Failed, Fault::Algorithm),
        (limit, Event::MetLimit, Fault::Algorithm),
        (Outcome::HostFault { message: "disk".to_owned() }, Event::Failed, Fault::System),
    ] {
        let text = format!("{outcome:?}");
        let ended = after(&spec(), &report(outcome));
        assert_eq!(ended.events, [event], "{text}");
        assert_eq!(ended.reason.as_ref().map(Reason::fault), Some(fault), "{text}");
        assert!(ended.leads_to(Phase::Running).is_some_and(Phase::has_ended), "{text}");
        assert!(ended.report.is_some() && ended.durability == Durability::Disk, "{text}");
    }
    let succeeded = after(&spec(), &report(Outcome::Succeeded));
    assert_eq!((succeeded.events.as_slice(), succeeded.reason), ([Event::Succeeded].as_slice(), None));
    assert_eq!(without_report("", None).fault(), Fault::System);
    assert!(without_report("a wall is missing", Some("exit status: 5")).text().contains("a wall is missing"));
}

/// An exit code and the figure of a limit are the algorithm's to choose.
#[test]
fn where_no_log_may_leave_an_end_tells_no_number() {
    let (mut silent, mut reviewed) = (spec(), spec());
    silent.terms.output_contract.max_log_bytes = 0;
    reviewed.terms.release.review = true;
    for held in [silent, reviewed] {
        let said = |outcome| after(&held, &report(outcome)).reason.expect("a reason").text().to_owned();
        let codes = [3, 77].map(|exit_code| said(Outcome::AlgorithmFailed { exit_code }));
        assert_eq!(codes[0], codes[1]);
        assert_eq!(codes[0], said(Outcome::Crashed { trap: TrapKind::Unreachable }));
        let repeats = codes[0].contains("algorithm failed");
        assert!(codes[0].contains("contract") && !repeats, "its phase says that it failed: {}", codes[0]);
        let limits = [2, 99].map(|used| said(Outcome::LimitExceeded { limit: Limit::OutputBytes, allowed: 1, used }));
        assert_eq!(limits[0], limits[1]);
        assert!(limits[0].contains("output") && !limits[0].contains("99"), "{}", limits[0]);
    }
    let open = after(&spec(), &report(Outcome::AlgorithmFailed { exit_code: 77 })).reason.expect("a reason");
    assert!(open.text().contains("77"), "{}", open.text());
}

#[test]
fn bytes_that_were_not_allowed_to_run_release_nothing_and_the_fault_is_the_systems() {
    let other = Sha256::from_bytes([8; 32]);
    for (allowed, ok) in [(vec![ALGORITHM], true), (vec![other], false), (vec![ALGORITHM, other], false)] {
        let spec = trusting(&allowed);
        for outcome in [
            Outcome::Succeeded,
            Outcome::AlgorithmFailed { exit_code: 1 },
            Outcome::Crashed { trap: TrapKind::Unreachable },
            Outcome::LimitExceeded { limit: Limit::Memory, allowed: 1, used: 2 },
        ] {
            let succeeded = outcome.is_success();
            let found = after(&spec, &report(outcome));
            if ok {
                assert_eq!(found.events == [Event::Succeeded], succeeded);
                continue;
            }
            assert_eq!((found.events.as_slice(), found.log), ([Event::Failed].as_slice(), LogFate::Discarded));
            let reason = found.reason.expect("a reason");
            assert_eq!(reason.fault(), Fault::System);
            assert!(reason.text().contains(&ALGORITHM.to_string()), "{}", reason.text());
            assert_eq!(found.records, [Recorded::refused("files-checksum")]);
        }
        // Nothing ran, so nothing that was not allowed did.
        let refused = after(&spec, &report(Outcome::Refused { refusals: vec![] }));
        assert_eq!(refused.reason.map(|reason| reason.fault()), Some(Fault::Algorithm));
    }
}

#[test]
fn every_file_beside_the_program_counts_and_an_interpreter_is_given_the_first_alone() {
    let second = Sha256::from_bytes([8; 32]);
    let mut with_second = report(Outcome::Succeeded);
    let path = "transformations/1".to_owned();
    with_second.inputs.push(FileReport { path, bytes: 1, sha256: second });
    assert_eq!(after(&trusting(&[ALGORITHM, second]), &with_second).events, [Event::Succeeded]);
    assert_eq!(after(&trusting(&[ALGORITHM]), &with_second).events, [Event::Failed]);
    let mut script = report(Outcome::Succeeded);
    let module = RuntimeReport {
        name: "python".to_owned(),
        module_sha256: second,
        manifest_sha256: second,
        snapshot_sha256: None,
    };
    script.algorithm.runtime = Some(module);
    assert_eq!(after(&trusting(&[ALGORITHM, second]), &script).events, [Event::Succeeded]);
    assert_eq!(after(&trusting(&[second]), &script).events, [Event::Failed]);
}

#[test]
fn a_held_log_is_withheld_when_the_run_fails() {
    let failed = Outcome::AlgorithmFailed { exit_code: 1 };
    assert_eq!(after(&spec(), &report(failed.clone())).log, LogFate::Kept);
    assert_eq!(after(&reviewed_spec(), &report(failed)).log, withheld());
}

/// The exit code of process 1 is all that is known of a container.
#[test]
fn the_end_of_a_container_says_whose_fault_it_is() {
    let end = |end: ObservedEnd| match next(&spec(), &RunFacts { end: Some(end), ..RunFacts::default() }) {
        Next::Ended(transition) => *transition,
        Next::Start | Next::Await => panic!("it has ended"),
    };
    for (observed, event, fault) in [
        (ContainerEnd::Exited(3), Event::Failed, Fault::Algorithm),
        (ContainerEnd::Signal(11), Event::Failed, Fault::Algorithm),
        (ContainerEnd::NoProgram, Event::Failed, Fault::Algorithm),
        (ContainerEnd::NoCommand, Event::Failed, Fault::Algorithm),
        (ContainerEnd::WallTime, Event::MetLimit, Fault::Algorithm),
        (ContainerEnd::Memory, Event::MetLimit, Fault::Algorithm),
        (ContainerEnd::BegunBefore, Event::Failed, Fault::System),
        (ContainerEnd::NoWall, Event::Failed, Fault::System),
        (ContainerEnd::HostFault, Event::Failed, Fault::System),
    ] {
        let ended = end(ObservedEnd::Container(observed));
        assert_eq!(ended.events, [event], "{observed:?}");
        assert_eq!(ended.reason.as_ref().map(Reason::fault), Some(fault), "{observed:?}");
    }
    let succeeded = end(ObservedEnd::Container(ContainerEnd::Exited(0)));
    assert_eq!((succeeded.events.as_slice(), succeeded.reason), ([Event::Succeeded].as_slice(), None));
    let image = end(ObservedEnd::NotStarted("its image cannot be pulled".to_owned()));
    assert_eq!(image.reason.map(|reason| reason.fault()), Some(Fault::Algorithm));
}
