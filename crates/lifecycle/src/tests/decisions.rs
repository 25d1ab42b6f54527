//! Tables: facts in, action out.

use super::Observed;
use crate::{
    Action, ConfigureFailure, Configured, Durability, FilterResult, LogFate, PublishFailure, RunFacts, RunTrace,
    StoredResult, TimeLimit, Transition, decide, testing::*,
};
use cloister_model::{Event, Fault, FileDigest, JobStatus, Outcome, Phase, ResultFile};

const WELL: Configured = Configured { algorithm_is_wasm: false };

fn transition(observed: &Observed) -> Transition {
    match decide(&observed.facts()) {
        Action::Record(transition) => *transition,
        other => panic!("{other:?} for {observed:?}"),
    }
}

/// One status for each phase in which a job has not ended.
fn unended() -> Vec<JobStatus> {
    vec![
        queued(),
        status(&[Event::Accept]),
        status(&[Event::Accept, Event::Configure]),
        status(&[Event::Accept, Event::Configure, Event::Provisioned]),
        running(),
        filtering(),
        in_review(),
        publishing(),
    ]
}

#[test]
fn the_work_of_each_phase() {
    let at = |status: JobStatus| Observed::new(spec(), status);
    let turn = Observed { has_turn: true, ..at(queued()) };
    assert_eq!(decide(&at(queued()).facts()), Action::Wait);
    assert_eq!(transition(&turn).events, [Event::Accept, Event::Configure]);
    assert_eq!(transition(&at(status(&[Event::Accept]))).events, [Event::Configure]);
    assert_eq!(decide(&at(status(&RUNNING[..2])).facts()), Action::Configure);
    assert_eq!(decide(&at(status(&RUNNING[..3])).facts()), Action::Configure);
    assert_eq!(decide(&at(filtering()).facts()), Action::Filter);
    assert_eq!(decide(&at(in_review()).facts()), Action::Wait);
    assert_eq!(decide(&at(publishing()).facts()), Action::Publish);
    let ended = at(status(&[Event::Stop]));
    assert_eq!(decide(&ended.facts()), Action::Clean);
    assert_eq!(decide(&Observed { cleaned: true, ..ended }.facts()), Action::Nothing);
}

#[test]
fn unended_covers_every_phase() {
    let phases: Vec<Phase> = unended().iter().map(|status| status.phase).collect();
    let all: Vec<Phase> = Phase::ALL.into_iter().filter(|phase| !phase.has_ended()).collect();
    assert_eq!(phases, all);
}

#[test]
fn a_job_can_be_stopped_in_every_phase_and_its_run_ends_first() {
    for before in unended() {
        let asked = JobStatus { stop_requested: Some(at(3000)), ..before.clone() };
        // Even if a time limit has passed, and even with everything done.
        let observed = Observed {
            overdue: Some(TimeLimit::Total),
            has_turn: true,
            configured: Some(Ok(WELL)),
            filtered: Some(FilterResult::Passed(checked())),
            ..Observed::new(spec(), asked.clone())
        };
        let waits = matches!(before.phase, Phase::Queued | Phase::InReview);
        if !waits {
            assert_eq!(decide(&observed.facts()), Action::EndRun, "{:?}", before.phase);
        }
        let stopped = transition(&Observed { run_ended: !waits, ..observed });
        assert_eq!(stopped.events, [Event::Stop], "{:?}", before.phase);
        let after = stopped.apply(&asked, at(4000), keep()).expect("applied").status;
        assert_eq!((after.phase, after.reason.expect("a reason").fault()), (Phase::Stopped, Fault::Nobody));
        assert_eq!(stopped.discard_results, before.phase == Phase::Publishing);
        assert_eq!(stopped.durability, Durability::Disk);
    }
}

#[test]
fn a_passed_time_limit_ends_a_job_in_every_phase() {
    for before in unended() {
        for limit in [TimeLimit::Queue, TimeLimit::Total, TimeLimit::Review] {
            let observed = Observed { overdue: Some(limit), ..Observed::new(spec(), before.clone()) };
            let waits = matches!(before.phase, Phase::Queued | Phase::InReview);
            if !waits {
                assert_eq!(decide(&observed.facts()), Action::EndRun);
            }
            let expired = transition(&Observed { run_ended: !waits, ..observed });
            let after = expired.apply(&before, at(4000), keep()).expect("applied").status;
            let reason = after.reason.expect("a reason");
            assert_eq!((after.phase, reason.fault()), (Phase::Expired, Fault::System));
            assert!(reason.text().contains(limit.text()), "{}", reason.text());
        }
    }
}

#[test]
fn what_configuration_returned_decides_how_it_goes_on() {
    let dataset = || ConfigureFailure::Dataset {
        did: "d".parse().expect("a DID"),
        reason: "gone".to_owned(),
        fault: Fault::System,
    };
    let algorithm = || ConfigureFailure::Algorithm { reason: "other bytes".to_owned(), fault: Fault::Algorithm };
    let system = || ConfigureFailure::System("disk".to_owned());
    let configuring = status(&RUNNING[..2]);
    for (result, events, ends) in [
        (Ok(WELL), vec![Event::Provisioned, Event::Run], None),
        (Err(dataset()), vec![Event::DataUnavailable], Some((Phase::DataProvisioningFailed, Fault::System))),
        (Err(system()), vec![Event::DataUnavailable], Some((Phase::DataProvisioningFailed, Fault::System))),
        (
            Err(algorithm()),
            vec![Event::AlgorithmUnavailable],
            Some((Phase::AlgorithmProvisioningFailed, Fault::Algorithm)),
        ),
    ] {
        let observed = Observed { configured: Some(result), ..Observed::new(spec(), configuring.clone()) };
        let found = transition(&observed);
        assert_eq!((&found.events, found.durability), (&events, Durability::Disk));
        let after = found.apply(&configuring, at(3000), keep()).expect("applied").status;
        assert_eq!(ends.map(|(phase, _)| phase).unwrap_or(Phase::Running), after.phase);
        assert_eq!(ends.map(|(_, fault)| fault), after.reason.map(|reason| reason.fault()));
    }
    // Laid out again after it was configured once: there is no way back to the codes of configuration.
    for before in [status(&RUNNING[..3]), running()] {
        for result in [dataset(), algorithm(), system()] {
            let observed = Observed { configured: Some(Err(result)), ..Observed::new(spec(), before.clone()) };
            let after = transition(&observed).apply(&before, at(3000), keep()).expect("applied").status;
            assert_eq!(after.phase, Phase::AlgorithmFailed);
        }
    }
}

/// The table of what a run can have left. Only an untouched folder leads to a start.
#[test]
fn a_run_is_started_only_if_nothing_was_ever_begun() {
    let reported = || Some(Box::new(report(Outcome::Succeeded)));
    let failed = [Event::Failed].as_slice();
    let succeeded = [Event::Succeeded].as_slice();
    for (claimed, locked, report, exit, expected) in [
        (false, false, None, None, Err(Action::StartRun)),
        // Started by a process that was killed, and about to make its claim.
        (false, true, None, None, Err(Action::AwaitRun)),
        (true, true, None, None, Err(Action::AwaitRun)),
        (true, false, reported(), None, Ok(succeeded)),
        (true, false, reported(), Some("exit status: 0"), Ok(succeeded)),
        (true, false, None, None, Ok(failed)),
        (true, false, None, Some("signal: 9"), Ok(failed)),
        // A report without a claim does not belong to this run.
        (false, false, reported(), None, Err(Action::StartRun)),
        // The lock counts more than a report: the report may not be whole yet.
        (true, true, reported(), None, Err(Action::AwaitRun)),
        // A process of the sandbox still exits. The run is not lost.
        (true, true, None, Some("exit status: 0"), Err(Action::AwaitRun)),
        // It gave up before it made its claim, and would do so again.
        (false, false, None, Some("exit status: 5"), Ok(failed)),
    ] {
        let trace = RunTrace { claimed, locked, report, last_words: String::new() };
        let run = RunFacts { trace, exit: exit.map(str::to_owned), start_error: None };
        let observed = Observed { run, configured: Some(Ok(WELL)), ..Observed::new(spec(), running()) };
        let found = match decide(&observed.facts()) {
            Action::Record(transition) => Ok(transition.events),
            other => Err(other),
        };
        assert_eq!(found, expected.map(<[Event]>::to_vec), "{:?}", observed.run);
    }
    let run = RunFacts { start_error: Some("no memory".to_owned()), ..RunFacts::default() };
    let unstarted = Observed { run, configured: Some(Ok(WELL)), ..Observed::new(spec(), running()) };
    let reason = transition(&unstarted).reason.expect("a reason");
    assert!(reason.text().contains("no memory") && reason.fault() == Fault::System, "{reason:?}");
}

/// What another process laid out may not have reached the disk.
#[test]
fn inputs_are_laid_out_again_before_a_start_and_not_before_a_look() {
    let observed = Observed::new(spec(), running());
    assert_eq!(decide(&observed.facts()), Action::Configure);
    let trace = RunTrace { locked: true, ..RunTrace::default() };
    let runs = Observed { run: RunFacts { trace, ..RunFacts::default() }, ..observed };
    assert_eq!(decide(&runs.facts()), Action::AwaitRun);
}

#[test]
fn an_interpreter_is_not_given_a_webassembly_program() {
    let mut spec = spec();
    spec.algorithm.interpreter = Some("python".parse().expect("a name"));
    let wasm = Some(Ok(Configured { algorithm_is_wasm: true }));
    let observed = Observed { configured: wasm, ..Observed::new(spec.clone(), running()) };
    let refused = transition(&observed);
    assert_eq!(refused.events, [Event::Failed]);
    assert_eq!(refused.reason.expect("a reason").fault(), Fault::Algorithm);
    let script = Observed { configured: Some(Ok(WELL)), ..Observed::new(spec, running()) };
    assert_eq!(decide(&script.facts()), Action::StartRun);
}

#[test]
fn outputs_leave_review_or_end_the_job() {
    let refused = || FilterResult::Refused {
        rule: "csv-rows".to_owned(),
        text: "csv-rows: `secret name`: 11 rows".to_owned(),
        text_without_guest: "csv-rows".to_owned(),
    };
    let check = FilterResult::CheckRefused { check: "k".to_owned(), text: "no".to_owned(), fault: Fault::System };
    let with_review = reviewed_spec();
    let mut silent = spec();
    silent.terms.output_contract.max_log_bytes = 0;
    for (spec, result, event, rule, log) in [
        (spec(), FilterResult::Passed(checked()), Event::Passed, None, LogFate::Discarded),
        (with_review.clone(), FilterResult::Passed(checked()), Event::ReviewAsked, None, LogFate::Discarded),
        (spec(), refused(), Event::Refused, Some("csv-rows"), LogFate::Kept),
        (with_review, refused(), Event::Refused, Some("csv-rows"), LogFate::Discarded),
        (silent, refused(), Event::Refused, Some("csv-rows"), LogFate::Kept),
        (spec(), check, Event::Refused, Some("check"), LogFate::Kept),
    ] {
        let observed = Observed { filtered: Some(result), ..Observed::new(spec.clone(), filtering()) };
        let found = transition(&observed);
        assert_eq!((found.events.as_slice(), found.log), ([event].as_slice(), log));
        let rules: Vec<_> = found.records.iter().map(|record| record.detail["rule"].clone()).collect();
        assert_eq!(rules, rule.into_iter().collect::<Vec<_>>());
        if let Some(reason) = found.reason.filter(|_| rule == Some("csv-rows")) {
            let shown = crate::guest_text_may_leave(&spec.terms);
            assert_eq!(reason.text().contains("secret name"), shown, "{}", reason.text());
            assert!(reason.text().contains("csv-rows"));
        }
        assert_eq!(found.checked.is_some(), rule.is_none());
    }
}

fn stored(files: &[ResultFile]) -> Vec<StoredResult> {
    let stored = |file: &ResultFile| StoredResult {
        file: file.clone(),
        content: FileDigest { sha256: file.sha256, bytes: file.bytes },
    };
    files.iter().map(stored).collect()
}

#[test]
fn results_are_released_only_if_what_was_stored_is_what_was_checked() {
    let other = cloister_model::Sha256::from_bytes([9; 32]);
    let mut encrypting = spec();
    encrypting.delivery.encrypt_to = Some(recipient());
    type Change = fn(&mut StoredResult, cloister_model::Sha256);
    let plain = |change: Change| {
        let mut files = stored(&checked());
        change(&mut files[0], other);
        files
    };
    let encrypted = |change: Change| {
        let mut files = plain(change);
        for stored in &mut files {
            stored.file.name.push_str(crate::ENCRYPTED);
            (stored.file.sha256, stored.file.bytes) = (other, 300);
        }
        files
    };
    let reversed = |files: Vec<StoredResult>| files.into_iter().rev().collect::<Vec<_>>();
    for (spec, stored, released) in [
        (spec(), plain(|_, _| ()), true),
        (spec(), plain(|stored, other| stored.file.sha256 = other), false),
        (spec(), plain(|stored, other| stored.content.sha256 = other), false),
        (spec(), plain(|stored, _| stored.file.bytes = 4), false),
        (spec(), plain(|stored, _| stored.file.name = "b.csv".to_owned()), false),
        (spec(), reversed(plain(|_, _| ())), false),
        (spec(), stored(&checked()[..1]), false),
        (spec(), encrypted(|_, _| ()), false),
        (encrypting.clone(), encrypted(|_, _| ()), true),
        (encrypting.clone(), encrypted(|stored, other| stored.content.sha256 = other), false),
        (encrypting.clone(), encrypted(|stored, _| stored.content.bytes = 4), false),
        (encrypting.clone(), encrypted(|stored, _| stored.file.name = "b.csv".to_owned()), false),
        (encrypting.clone(), reversed(encrypted(|_, _| ())), false),
        // It should have been encrypted, and was not.
        (encrypting, plain(|_, _| ()), false),
    ] {
        let observed = Observed {
            checked: Some(checked()),
            published: Some(Ok(stored.clone())),
            ..Observed::new(spec, publishing())
        };
        let found = transition(&observed);
        let after = found.apply(&publishing(), at(3000), keep()).expect("applied");
        assert_eq!(found.release.is_some(), released, "{stored:?}");
        assert_eq!(found.discard_results, !released);
        assert_eq!(after.records.len(), usize::from(released));
        let phase = if released { Phase::Finished } else { Phase::PublishingFailed };
        assert_eq!(after.status.phase, phase);
        assert!(after.records.iter().all(|record| record.actor == "engine" && record.at == at(3000)));
    }
}

#[test]
fn a_failed_publication_leaves_nothing_in_the_store() {
    let not_stored = PublishFailure::NotStored { text: "full".to_owned(), fault: Fault::System };
    for (failure, fault) in [(not_stored, Fault::System), (PublishFailure::NameTaken, Fault::Algorithm)] {
        let observed =
            Observed { checked: Some(checked()), published: Some(Err(failure)), ..Observed::new(spec(), publishing()) };
        let found = transition(&observed);
        assert_eq!((found.events.as_slice(), found.discard_results), ([Event::PublishFailed].as_slice(), true));
        assert_eq!(found.reason.expect("a reason").fault(), fault);
    }
}
