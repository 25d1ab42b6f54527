use cloister_model::{Event, Fault, Outcome, Reason, Report};

/// What a run's end means for its job, and why it ended badly if it did.
pub(crate) fn event_of(report: &Report) -> (Event, Option<Reason>) {
    let text = report.outcome.to_string();
    let because = |fault| Some(Reason::new(&text, fault));
    match &report.outcome {
        Outcome::Succeeded => (Event::Succeeded, None),
        Outcome::AlgorithmFailed { .. } | Outcome::Crashed { .. } | Outcome::Refused { .. } => {
            (Event::Failed, because(Fault::Algorithm))
        }
        Outcome::LimitExceeded { .. } => (Event::MetLimit, because(Fault::Algorithm)),
        Outcome::HostFault { .. } => (Event::Failed, because(Fault::System)),
    }
}

/// Why a run ended without a report: what the sandbox said of it, if anything, and how it ended, if this program saw it.
pub(crate) fn without_report(said: &str, exit: Option<&str>) -> Reason {
    let text = match (said, exit) {
        ("", Some(exit)) => format!("the sandbox ended without a report ({exit}); the algorithm is not run again"),
        ("", None) => {
            "the run was cut off with this machine or its sandbox; the algorithm is not run again. Submit the job again"
                .to_owned()
        }
        (said, _) => format!("the sandbox could not run it: {said}"),
    };
    Reason::new(&text, Fault::System)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Limit, Phase, TrapKind};

    #[test]
    fn a_fault_of_the_host_is_never_the_algorithms() {
        let report = |outcome| Report { outcome, ..crate::testing::report() };
        let limit = Outcome::LimitExceeded { limit: Limit::Memory, allowed: 1, used: 2 };
        for (outcome, event, fault) in [
            (Outcome::AlgorithmFailed { exit_code: 3 }, Event::Failed, Fault::Algorithm),
            (Outcome::Crashed { trap: TrapKind::Unreachable }, Event::Failed, Fault::Algorithm),
            (Outcome::Refused { refusals: vec![] }, Event::Failed, Fault::Algorithm),
            (limit, Event::MetLimit, Fault::Algorithm),
            (Outcome::HostFault { message: "disk".to_owned() }, Event::Failed, Fault::System),
        ] {
            let text = format!("{outcome:?}");
            let (found, reason) = event_of(&report(outcome));
            assert_eq!((found, reason.map(|reason| reason.fault())), (event, Some(fault)), "{text}");
            assert!(Phase::Running.next(found).is_ok_and(Phase::has_ended), "{text}");
        }
        assert_eq!(event_of(&report(Outcome::Succeeded)), (Event::Succeeded, None));
        assert_eq!(without_report("", None).fault(), Fault::System);
        assert!(without_report("a wall is missing", Some("exit status: 5")).text().contains("a wall is missing"));
    }
}
