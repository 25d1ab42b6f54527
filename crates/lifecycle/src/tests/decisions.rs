//! Tables: facts in, action out.

use super::Observed;
use crate::{
    Action, Asked, Durability, LogFate, ResultList, RunFacts, RunTrace, TimeLimit, Transition, decide, testing::*,
};
use cloister_model::{
    AdmittedBy, AdmittedDataset, Event, Fault, FilesChecksum, JobStatus, Outcome, Phase, ResultFile, Sha256,
    StepFailure, StepName, StepReport,
};

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
    assert_eq!(decide(&turn.facts()), Action::AskToRun);
    let turn = Observed { permission: Some(allowed(Asked::ToRun)), ..turn };
    assert_eq!(transition(&turn).events, [Event::Accept, Event::Configure]);
    assert_eq!(transition(&at(status(&[Event::Accept]))).events, [Event::Configure]);
    assert!(matches!(decide(&at(status(&RUNNING[..2])).facts()), Action::Configure(_)));
    assert!(matches!(decide(&at(status(&RUNNING[..3])).facts()), Action::Configure(_)));
    let ran = Observed { report: Some(report(Outcome::Succeeded)), ..at(filtering()) };
    assert!(matches!(decide(&ran.facts()), Action::Filter(_)));
    assert_eq!(decide(&at(in_review()).facts()), Action::Wait);
    let checked = Observed { checked: Some(ResultList::Files(checked())), ..at(publishing()) };
    assert_eq!(decide(&checked.facts()), Action::AskToRelease);
    let checked = Observed { permission: Some(allowed(Asked::ToRelease(None))), ..checked };
    assert!(
        matches!(decide(&checked.facts()), Action::Publish(order) if ResultList::Files(order.files.clone()) == *checked.checked.as_ref().expect("a list"))
    );
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
            configured: Some(laid_out()),
            filtered: Some(passed()),
            ..Observed::new(spec(), asked.clone())
        };
        let waits = matches!(before.phase, Phase::Queued | Phase::InReview);
        if !waits {
            assert_eq!(decide(&observed.facts()), Action::EndRun, "{:?}", before.phase);
        }
        let stopped = transition(&Observed { run_ended: !waits, ..observed });
        assert_eq!(stopped.events, [Event::Stop], "{:?}", before.phase);
        let after = stopped.apply(&asked, at(4000), keep(), &[]).expect("applied").status;
        assert_eq!((after.phase, after.reason.expect("a reason").fault()), (Phase::Stopped, Fault::Nobody));
        assert_eq!(stopped.discard_results, before.phase == Phase::Publishing);
        assert_eq!(stopped.durability, Durability::Disk);
    }
}

#[test]
fn a_passed_time_limit_ends_a_job_in_every_phase() {
    for before in unended() {
        for limit in [TimeLimit::Queue, TimeLimit::Total, TimeLimit::Review, TimeLimit::Publishing] {
            let observed = Observed { overdue: Some(limit), ..Observed::new(spec(), before.clone()) };
            let waits = matches!(before.phase, Phase::Queued | Phase::InReview);
            if !waits {
                assert_eq!(decide(&observed.facts()), Action::EndRun);
            }
            let expired = transition(&Observed { run_ended: !waits, ..observed });
            let after = expired.apply(&before, at(4000), keep(), &[]).expect("applied").status;
            let reason = after.reason.expect("a reason");
            assert_eq!((after.phase, reason.fault()), (Phase::Expired, Fault::System));
            assert!(reason.text().contains(limit.text()), "{}", reason.text());
        }
    }
}

#[test]
fn what_configuration_reported_decides_how_it_goes_on() {
    let report = |kind, fault| failure(StepName::Configure, kind, None, fault);
    let configuring = status(&RUNNING[..2]);
    for (found, events, ends) in [
        (laid_out(), vec![Event::Provisioned, Event::Run], None),
        (
            report(StepFailure::Data, Fault::System),
            vec![Event::DataUnavailable],
            Some((Phase::DataProvisioningFailed, Fault::System)),
        ),
        (
            report(StepFailure::Algorithm, Fault::Algorithm),
            vec![Event::AlgorithmUnavailable],
            Some((Phase::AlgorithmProvisioningFailed, Fault::Algorithm)),
        ),
    ] {
        let observed = Observed { configured: Some(found), ..Observed::new(spec(), configuring.clone()) };
        let found = transition(&observed);
        assert_eq!((&found.events, found.durability), (&events, Durability::Disk));
        let after = found.apply(&configuring, at(3000), keep(), &[]).expect("applied").status;
        assert_eq!(ends.map(|(phase, _)| phase).unwrap_or(Phase::Running), after.phase);
        assert_eq!(ends.map(|(_, fault)| fault), after.reason.map(|reason| reason.fault()));
    }
    // Laid out again after it was configured once: there is no way back to the codes of configuration.
    for before in [status(&RUNNING[..3]), running()] {
        for kind in [StepFailure::Data, StepFailure::Algorithm] {
            let configured = Some(report(kind, Fault::System));
            let observed = Observed { configured, ..Observed::new(spec(), before.clone()) };
            let after = transition(&observed).apply(&before, at(3000), keep(), &[]).expect("applied").status;
            assert_eq!(after.phase, Phase::AlgorithmFailed);
        }
    }
    let cancelled = Some(report(StepFailure::Cancelled, Fault::Nobody));
    let again = Observed { configured: cancelled, ..Observed::new(spec(), configuring) };
    assert!(matches!(decide(&again.facts()), Action::Configure(_)));
}

#[test]
fn files_that_were_not_allowed_are_not_run_even_if_configuration_laid_them_out() {
    let mut spec = spec();
    let other = FilesChecksum::of(vec![Sha256::from_bytes([8; 32])]).expect("a checksum");
    spec.terms.admitted = vec![AdmittedDataset {
        did: "d".parse().expect("a DID"),
        service: "s".to_owned(),
        by: AdmittedBy::TrustedAlgorithm,
        files_checksums: Some([other].into()),
    }];
    for before in [status(&RUNNING[..2]), running()] {
        let observed = Observed { configured: Some(laid_out()), ..Observed::new(spec.clone(), before) };
        let reason = transition(&observed).reason.expect("it ends");
        assert_eq!(reason.fault(), Fault::System, "{}", reason.text());
    }
}

/// A pod of another job must not speak for this one.
#[test]
fn a_report_of_another_job_or_step_is_a_fault_of_the_system() {
    let foreign = |report: StepReport| StepReport { job: cloister_model::JobId::from_bytes([9; 16]), ..report };
    let passed_as = |step| StepReport { step, ..passed() };
    for report in [foreign(passed()), passed_as(StepName::Publish), StepReport { step: StepName::Filter, ..laid_out() }]
    {
        let observed = Observed { filtered: Some(report), ..Observed::new(spec(), filtering()) };
        let found = transition(&observed);
        assert_eq!(found.events, [Event::Refused]);
        assert_eq!(found.reason.expect("a reason").fault(), Fault::System);
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
        let run = RunFacts { trace, exit: exit.map(str::to_owned), ..RunFacts::default() };
        let observed = Observed { run, configured: Some(laid_out()), ..Observed::new(spec(), running()) };
        let found = match decide(&observed.facts()) {
            Action::Record(transition) => Ok(transition.events),
            other => Err(other),
        };
        assert_eq!(found, expected.map(<[Event]>::to_vec), "{:?}", observed.run);
    }
    let run = RunFacts { start_error: Some("no memory".to_owned()), ..RunFacts::default() };
    let unstarted = Observed { run, configured: Some(laid_out()), ..Observed::new(spec(), running()) };
    let reason = transition(&unstarted).reason.expect("a reason");
    assert!(reason.text().contains("no memory") && reason.fault() == Fault::System, "{reason:?}");
}

/// What another process laid out may not have reached the disk.
#[test]
fn inputs_are_laid_out_again_before_a_start_and_not_before_a_look() {
    let observed = Observed::new(spec(), running());
    assert!(matches!(decide(&observed.facts()), Action::Configure(_)));
    let trace = RunTrace { locked: true, ..RunTrace::default() };
    let runs = Observed { run: RunFacts { trace, ..RunFacts::default() }, ..observed };
    assert_eq!(decide(&runs.facts()), Action::AwaitRun);
}

#[test]
fn an_interpreter_is_not_given_a_webassembly_program() {
    let mut spec = spec();
    spec.algorithm.interpreter = Some("python".parse().expect("a name"));
    let laid = || Some(laid_out());
    let observed = Observed { configured: laid(), algorithm_is_wasm: true, ..Observed::new(spec.clone(), running()) };
    let refused = transition(&observed);
    assert_eq!(refused.events, [Event::Failed]);
    assert_eq!(refused.reason.expect("a reason").fault(), Fault::Algorithm);
    let script = Observed { configured: Some(laid_out()), ..Observed::new(spec, running()) };
    assert_eq!(decide(&script.facts()), Action::StartRun);
}

#[test]
fn outputs_leave_review_or_end_the_job() {
    let refused = |rule| failure(StepName::Filter, StepFailure::Outputs, rule, Fault::Algorithm);
    let with_review = reviewed_spec();
    for (spec, report, event, rule, log) in [
        (spec(), passed(), Event::Passed, None, LogFate::Discarded),
        (with_review.clone(), passed(), Event::ReviewAsked, None, LogFate::Discarded),
        (spec(), refused(Some("csv-rows")), Event::Refused, Some("csv-rows"), LogFate::Kept),
        (with_review, refused(Some("csv-rows")), Event::Refused, Some("csv-rows"), withheld()),
        (spec(), refused(Some("check")), Event::Refused, Some("check"), LogFate::Kept),
        (spec(), refused(None), Event::Refused, Some("step"), LogFate::Kept),
    ] {
        let observed = Observed { filtered: Some(report), ..Observed::new(spec, filtering()) };
        let found = transition(&observed);
        assert_eq!((found.events.as_slice(), found.log), ([event].as_slice(), log));
        let rules: Vec<_> = found.records.iter().map(|record| record.detail["rule"].clone()).collect();
        assert_eq!(rules, rule.into_iter().collect::<Vec<_>>());
        assert_eq!((found.checked.is_some(), found.reason.is_some()), (rule.is_none(), rule.is_some()));
    }
    // Without the report of the run there is nothing to compare the outputs with.
    let lost = transition(&Observed::new(spec(), filtering()));
    assert_eq!((lost.events.as_slice(), lost.records.len()), ([Event::Refused].as_slice(), 1));
}

#[test]
fn results_are_released_only_if_what_was_stored_is_what_was_checked() {
    let other = Sha256::from_bytes([9; 32]);
    let mut encrypting = spec();
    encrypting.delivery.encrypt_to =
        Some("age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj".parse().expect("a recipient"));
    type Change = fn(&mut ResultFile, Sha256);
    let plain = |change: Change| {
        let mut files = checked();
        change(&mut files[0], other);
        files
    };
    let encrypted = |change: Change| {
        let mut files = plain(change);
        for file in &mut files {
            file.name.push_str(crate::ENCRYPTED);
            (file.sha256, file.bytes) = (other, 300);
        }
        files
    };
    let reversed = |files: Vec<ResultFile>| files.into_iter().rev().collect::<Vec<_>>();
    for (spec, stored, released) in [
        (spec(), plain(|_, _| ()), true),
        (spec(), plain(|file, other| file.sha256 = other), false),
        (spec(), plain(|file, _| file.bytes = 4), false),
        (spec(), plain(|file, _| file.name = "b.csv".to_owned()), false),
        (spec(), reversed(checked()), false),
        (spec(), checked()[..1].to_vec(), false),
        (spec(), encrypted(|_, _| ()), false),
        (encrypting.clone(), encrypted(|_, _| ()), true),
        (encrypting.clone(), encrypted(|file, _| file.name = "b.csv".to_owned()), false),
        (encrypting.clone(), reversed(encrypted(|_, _| ())), false),
        // It should have been encrypted, and was not.
        (encrypting, plain(|_, _| ()), false),
    ] {
        let observed = Observed {
            checked: Some(ResultList::Files(checked())),
            published: Some(published(stored.clone())),
            permission: Some(allowed(Asked::ToRelease(None))),
            ..Observed::new(spec, publishing())
        };
        let found = transition(&observed);
        let after = found.apply(&publishing(), at(3000), keep(), &[]).expect("applied");
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
    let report = || failure(StepName::Publish, StepFailure::Results, None, Fault::System);
    let permission = || Some(allowed(Asked::ToRelease(None)));
    let at_publishing = || Observed {
        checked: Some(ResultList::Files(checked())),
        permission: permission(),
        ..Observed::new(spec(), publishing())
    };
    for (observed, fault) in [
        (Observed { published: Some(report()), ..at_publishing() }, Fault::System),
        (Observed { published: Some(published(checked())), name_taken: true, ..at_publishing() }, Fault::Algorithm),
        // The list of checked files is lost.
        (Observed { published: Some(published(checked())), checked: None, ..at_publishing() }, Fault::System),
    ] {
        let found = transition(&observed);
        assert_eq!((found.events.as_slice(), found.discard_results), ([Event::PublishFailed].as_slice(), true));
        assert_eq!(found.reason.expect("a reason").fault(), fault);
    }
}
