//! What an engine decides that has messages of the steps instead of their reports.

use super::Observed;
use crate::{
    Action, Asked, Facts, LogFate, ObservedEnd, ResultList, RunFacts, StepAnswer, StoredReport, Transition, decide,
    testing::*,
};
use cloister_model::{
    Event, FailureDetail, Fault, FilesChecksum, JobId, JobSpec, ListDigest, Outcome, Phase, Reason, RunEnd, RunSummary,
    Said, Sha256, StepFailure, StepMessage, StepName,
};

fn message(said: Said) -> StepMessage {
    StepMessage::new(spec().id, said)
}

#[track_caller]
fn recorded(facts: &Facts<'_>) -> Transition {
    match decide(facts) {
        Action::Record(transition) => *transition,
        other => panic!("{other:?}"),
    }
}

/// A job that may run with the algorithm's file alone.
fn trusting(file: Sha256) -> JobSpec {
    let mut spec = spec();
    let files = FilesChecksum::of(vec![file]).expect("a checksum");
    let dataset = serde_json::json!({
        "did": "d", "service": "compute", "by": "trusted-algorithm", "filesChecksums": [files],
    });
    spec.terms.admitted = vec![serde_json::from_value(dataset).expect("a dataset")];
    spec
}

#[test]
fn configuration_is_believed_only_about_the_files_that_are_allowed() {
    let status = status(&[Event::Accept, Event::Configure]);
    let digest = FilesChecksum::of(vec![ALGORITHM]).expect("a checksum").digest();
    for (file, allowed) in [(ALGORITHM, true), (Sha256::from_bytes([1; 32]), false)] {
        let spec = trusting(file);
        let said = message(Said::Configured { algorithm: digest, is_wasm: true });
        let facts = Facts { configured: Some(StepAnswer::from(&said)), ..Facts::of(&spec, &status) };
        let expected: &[Event] =
            if allowed { &[Event::Provisioned, Event::Run] } else { &[Event::AlgorithmUnavailable] };
        assert_eq!(recorded(&facts).events, expected);
    }
}

#[test]
fn a_message_of_another_job_or_step_fails_the_step() {
    let (spec, status) = (spec(), status(&[Event::Accept, Event::Configure]));
    let list = ListDigest::of(&checked());
    let configured = Said::Configured { algorithm: ALGORITHM, is_wasm: true };
    let failure = Said::Failed {
        step: StepName::Publish,
        failure: StepFailure::Results,
        rule: None,
        reason: Reason::new("why", Fault::Algorithm),
        detail: None,
    };
    for said in [
        StepMessage::new(JobId::from_bytes([9; 16]), configured),
        message(Said::Passed { checked: list }),
        message(failure),
    ] {
        let facts = Facts { configured: Some(StepAnswer::from(&said)), ..Facts::of(&spec, &status) };
        let found = recorded(&facts);
        assert_eq!(found.events, [Event::DataUnavailable], "{said:?}");
        assert_eq!(found.reason.map(|reason| reason.fault()), Some(Fault::System));
    }
}

#[test]
fn details_for_the_publisher_come_with_a_message() {
    let (spec, status) = (spec(), status(&[Event::Accept, Event::Configure]));
    let detail = Some(FailureDetail::new(Some("did:op:a".parse().expect("a DID")), "file 0: 404"));
    let failed = message(Said::Failed {
        step: StepName::Configure,
        failure: StepFailure::Data,
        rule: None,
        reason: Reason::new("why", Fault::Publisher),
        detail: detail.clone(),
    });
    let read = StepMessage::read(&failed.write()).expect("a message");
    let facts = Facts { configured: Some(StepAnswer::from(&read)), ..Facts::of(&spec, &status) };
    assert_eq!(recorded(&facts).detail, detail);
}

#[test]
fn a_step_that_got_a_signal_to_end_is_done_again() {
    let (spec, status) = (spec(), filtering());
    let cancelled = message(Said::Failed {
        step: StepName::Filter,
        failure: StepFailure::Cancelled,
        rule: None,
        reason: Reason::new("it was told to end", Fault::Nobody),
        detail: None,
    });
    let facts = Facts {
        filtered: Some(StepAnswer::from(&cancelled)),
        report: Some(StoredReport::Elsewhere),
        ..Facts::of(&spec, &status)
    };
    let Action::Filter(order) = decide(&facts) else { panic!("it is not done again") };
    // The step takes the list from the report of the run.
    assert!(order.outputs.is_empty() && order.job == spec.id);
}

#[test]
fn results_are_released_only_if_the_digests_agree() {
    let list = ListDigest::of(&checked());
    let other = ListDigest { sha256: ALGORITHM, ..list };
    let fewer = ListDigest { files: 1, ..other };
    let mut encrypting = spec();
    encrypting.delivery.encrypt_to =
        Some("age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj".parse().expect("a recipient"));
    for (spec, found, stored, released) in [
        (spec(), list, list, true),
        (spec(), list, other, false),
        (spec(), other, other, false),
        (encrypting.clone(), list, other, true),
        (encrypting.clone(), list, fewer, false),
        // It should have been encrypted, and was not.
        (encrypting.clone(), list, list, false),
        (encrypting, other, other, false),
    ] {
        let said = message(Said::Published { checked: found, stored });
        let (status, checked) = (publishing(), ResultList::Digest(list));
        let permission = allowed(Asked::ToRelease(None));
        let (published, permission) = (Some(StepAnswer::from(&said)), Some(&permission));
        let facts = Facts { checked: Some(&checked), published, permission, ..Facts::of(&spec, &status) };
        let transition = recorded(&facts);
        let after = transition.apply(&status, at(3000), keep(), &[]).expect("applied");
        let phase = if released { Phase::Finished } else { Phase::PublishingFailed };
        assert_eq!((after.status.phase, transition.discard_results), (phase, !released), "{found:?} {stored:?}");
        let release = transition.release.map(|release| release.files);
        assert_eq!(release, released.then_some(ResultList::Digest(stored)));
    }
}

/// What goes on record is the same, whether the engine had the list or its digest.
#[test]
fn a_release_is_recorded_alike() {
    let list = ListDigest::of(&checked());
    let (spec, status) = (spec(), publishing());
    let said = message(Said::Published { checked: list, stored: list });
    let (digest, files) = (ResultList::Digest(list), ResultList::Files(checked()));
    let permission = allowed(Asked::ToRelease(None));
    let facts = Facts { permission: Some(&permission), ..Facts::of(&spec, &status) };
    let of_message = Facts { checked: Some(&digest), published: Some(StepAnswer::from(&said)), ..facts.clone() };
    let report = published(checked());
    let of_report = Facts { checked: Some(&files), published: Some(StepAnswer::from(&report)), ..facts };
    assert_eq!(recorded(&of_message).records, recorded(&of_report).records);
}

fn summary(outcome: Outcome) -> RunSummary {
    RunSummary { report: Some(ALGORITHM), ..RunSummary::of(&report(outcome)) }
}

fn after_run(spec: &JobSpec, summary: Option<RunSummary>, end: Option<ObservedEnd>) -> Transition {
    let run = RunFacts { summary, end, ..RunFacts::default() };
    recorded(&Observed { run, ..Observed::new(spec.clone(), running()) }.facts())
}

#[test]
fn a_summary_means_what_its_report_means() {
    for (outcome, event) in [
        (Outcome::Succeeded, Event::Succeeded),
        (Outcome::AlgorithmFailed { exit_code: 3 }, Event::Failed),
        (Outcome::HostFault { message: "no memory".to_owned() }, Event::Failed),
    ] {
        let trace =
            crate::RunTrace { claimed: true, report: Some(Box::new(report(outcome.clone()))), ..Default::default() };
        let run = RunFacts { trace, ..RunFacts::default() };
        let whole = recorded(&Observed { run, ..Observed::new(spec(), running()) }.facts());
        let found = after_run(&spec(), Some(summary(outcome)), None);
        assert_eq!(found.events, [event]);
        assert_eq!(Transition { report: None, ..whole }, found);
    }
    // The bytes that ran are compared with those that the terms allow.
    let found = after_run(&trusting(Sha256::from_bytes([1; 32])), Some(summary(Outcome::Succeeded)), None);
    assert_eq!((found.events.as_slice(), found.log), ([Event::Failed].as_slice(), LogFate::Discarded));
    assert_eq!(found.records.len(), 1);
    let found = after_run(&trusting(ALGORITHM), Some(summary(Outcome::Succeeded)), None);
    assert_eq!(found.events, [Event::Succeeded]);
    let nothing = RunSummary { files: None, ..summary(Outcome::Succeeded) };
    assert_eq!(after_run(&spec(), Some(nothing), None).events, [Event::Failed]);
    let silent = RunSummary { end: RunEnd::Failed, reason: None, ..summary(Outcome::Succeeded) };
    assert!(after_run(&spec(), Some(silent), None).reason.is_some(), "every ended job says why");
}

#[test]
fn an_end_from_outside_names_its_limit_or_the_system() {
    let well = || Some(summary(Outcome::Succeeded));
    let cut_off = ObservedEnd::CutOff("the node with its data is gone".to_owned());
    for (summary, end, phase, fault) in [
        // A process that lost a child to the kernel may still exit with 0.
        (well(), ObservedEnd::OutOfMemory, Phase::LimitExceeded, Fault::Algorithm),
        (None, ObservedEnd::OutOfMemory, Phase::LimitExceeded, Fault::Algorithm),
        (None, ObservedEnd::Deadline, Phase::LimitExceeded, Fault::Algorithm),
        (None, ObservedEnd::Disk, Phase::LimitExceeded, Fault::Algorithm),
        (None, ObservedEnd::Repeated, Phase::AlgorithmFailed, Fault::System),
        (None, cut_off.clone(), Phase::AlgorithmFailed, Fault::System),
    ] {
        let found = after_run(&spec(), summary, Some(end.clone()));
        let after = found.apply(&running(), at(3000), keep(), &[]).expect("applied").status;
        assert_eq!((after.phase, after.reason.map(|reason| reason.fault())), (phase, Some(fault)), "{end:?}");
    }
    // What was said before the end counts.
    for end in [ObservedEnd::Deadline, ObservedEnd::Disk, ObservedEnd::Repeated, cut_off] {
        assert_eq!(after_run(&spec(), well(), Some(end)).events, [Event::Succeeded]);
    }
}
