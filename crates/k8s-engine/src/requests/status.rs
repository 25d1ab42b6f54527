//! What the status of a JobRequest says.

use super::Decided;
use crate::{
    assets::ACCOUNT,
    resources::{Condition, ConditionStatus, JobRequestStatus},
};
use cloister_model::{JobStatus, Phase, Reason, Timestamp, escape};

/// The phase while a replica decides.
pub(super) const DECIDING: &str = "Deciding";

/// The phase of a request that may not run.
const DENIED: &str = "Denied";

/// The phase of a request that is invalid.
const INVALID: &str = "Invalid";

/// Characters of a message.
const MOST_MESSAGE: usize = 4000;

/// Characters of the name of an interpreter.
const MOST_NAME: usize = 100;

/// Whether nothing of it will change.
pub(super) fn is_final(status: &JobRequestStatus) -> bool {
    ["Complete", "Failed"]
        .into_iter()
        .any(|kind| Condition::of(&status.conditions, kind).is_some_and(|found| found.status == ConditionStatus::True))
}

/// Whether it waits for something that may appear, such as a place in the queue of its account.
pub(super) fn waits(status: &JobRequestStatus) -> bool {
    let accepted = Condition::of(&status.conditions, "Accepted");
    status.phase.is_none() && accepted.is_some_and(|accepted| accepted.status == ConditionStatus::Unknown)
}

/// A request in a namespace of no account.
pub(super) fn without_account(before: JobRequestStatus, generation: Option<i64>, at: Timestamp) -> JobRequestStatus {
    let text = format!("the namespace belongs to no account; an operator labels it {ACCOUNT}: NAME");
    let reason = Some(text.clone());
    with(JobRequestStatus { reason, ..before }, generation, at, "Accepted", ConditionStatus::False, "NoAccount", &text)
}

/// A request that is being decided.
pub(super) fn deciding(before: JobRequestStatus, generation: Option<i64>, at: Timestamp) -> JobRequestStatus {
    JobRequestStatus {
        phase: Some(DECIDING.to_owned()),
        decided: Some(at.into()),
        observed_generation: generation,
        ..before
    }
}

/// A request that was decided.
pub(super) fn decided(
    before: JobRequestStatus,
    generation: Option<i64>,
    decided: Decided,
    at: Timestamp,
) -> JobRequestStatus {
    let before = JobRequestStatus { decided: Some(at.into()), reason: None, ..before };
    let (phase, word, text) = match decided {
        Decided::Allowed(job) => {
            let phase = Some(Phase::Queued.as_str().to_owned());
            let after = JobRequestStatus { phase, job: Some(job.to_string()), ..before };
            let text = format!("its job is {job}");
            return with(after, generation, at, "Accepted", ConditionStatus::True, "Allowed", &text);
        }
        Decided::Later { reason } => {
            let after = JobRequestStatus { phase: None, decided: None, reason: Some(cut(&reason)), ..before };
            return with(after, generation, at, "Accepted", ConditionStatus::Unknown, "Waiting", &reason);
        }
        Decided::Denied { rules, interpreter } => {
            let why = match interpreter {
                Some(name) => {
                    format!("the interpreter `{}` is not installed here", escape(name.as_bytes(), MOST_NAME))
                }
                None => "no rule of a dataset allows it".to_owned(),
            };
            let text = format!("{why}; status.denials says which rules were met");
            let denials = rules.iter().take(400).map(|denial| denial.chars().take(256).collect()).collect();
            let after = JobRequestStatus { denials, ..before };
            return refused(after, generation, at, (DENIED, "Denied", text));
        }
        Decided::Invalid(text) => (INVALID, "Invalid", text),
    };
    refused(before, generation, at, (phase, word, text))
}

fn refused(
    before: JobRequestStatus,
    generation: Option<i64>,
    at: Timestamp,
    (phase, word, text): (&str, &str, String),
) -> JobRequestStatus {
    let after = JobRequestStatus { phase: Some(phase.to_owned()), reason: Some(cut(&text)), ..before };
    let after = with(after, generation, at, "Accepted", ConditionStatus::False, word, &text);
    with(after, generation, at, "Failed", ConditionStatus::True, word, &text)
}

/// For how long a job is in a phase before its request says so, in milliseconds. Phases of a short job last for less, and each write
/// costs the API server.
const PASSING_MS: u64 = 5000;

/// Whether it is too early to say that a job is in its phase, because it may come to the next one before this one was read. An end is
/// said at once. All of it is `patience_ms` later for a replica that leaves it to another one.
pub(super) fn is_passing(job: &JobStatus, at: Timestamp, patience_ms: u64) -> bool {
    let lasts = if job.phase.has_ended() { 0 } else { PASSING_MS };
    at.unix_ms() < job.changed.unix_ms().saturating_add(lasts).saturating_add(patience_ms)
}

/// A request whose job is like this; none: it is gone. `results` is what is said of its results.
pub(super) fn following(
    before: JobRequestStatus,
    generation: Option<i64>,
    job: Option<&JobStatus>,
    results: Option<String>,
    at: Timestamp,
) -> JobRequestStatus {
    let Some(job) = job else {
        let text = "its job was removed";
        let after = JobRequestStatus { reason: Some(text.to_owned()), ..before };
        return with(after, generation, at, "Failed", ConditionStatus::True, "Removed", text);
    };
    let reason = results.or_else(|| job.reason.as_ref().map(Reason::text).map(str::to_owned));
    let phase = job.phase.as_str().to_owned();
    let after = JobRequestStatus { phase: Some(phase.clone()), reason: reason.as_deref().map(cut), ..before };
    if !job.phase.has_ended() {
        return after;
    }
    let kind = if job.phase.is_success() { "Complete" } else { "Failed" };
    with(after, generation, at, kind, ConditionStatus::True, &phase, reason.as_deref().unwrap_or_default())
}

fn with(
    mut status: JobRequestStatus,
    generation: Option<i64>,
    at: Timestamp,
    kind: &str,
    holds: ConditionStatus,
    reason: &str,
    message: &str,
) -> JobRequestStatus {
    let condition = Condition {
        kind: kind.to_owned(),
        status: holds,
        reason: reason.to_owned(),
        message: cut(message),
        last_transition_time: at.into(),
        observed_generation: generation,
    };
    Condition::put(&mut status.conditions, condition);
    status.observed_generation = generation;
    status
}

fn cut(text: &str) -> String {
    text.chars().take(MOST_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Fault, JobId, Labels};

    const AT: Timestamp = Timestamp::from_unix_ms(1_795_363_289_021);
    const JOB: JobId = JobId::from_bytes([7; 16]);

    #[test]
    fn a_request_follows_its_job_to_its_end() {
        let allowed = decided(deciding(JobRequestStatus::default(), Some(1), AT), Some(1), Decided::Allowed(JOB), AT);
        assert_eq!(
            (allowed.phase.as_deref(), allowed.job.as_deref()),
            (Some("Queued"), Some(JOB.to_string().as_str()))
        );
        assert!(!is_final(&allowed));
        let queued = JobStatus::queued(JOB, Labels::new(), AT);
        let running = JobStatus { phase: Phase::Running, ..queued.clone() };
        let following_it = following(allowed.clone(), Some(1), Some(&running), None, AT);
        assert_eq!((following_it.phase.as_deref(), is_final(&following_it)), (Some("Running"), false));
        // A phase is said once it has lasted, and an end at once.
        let later = |ms| Timestamp::from_unix_ms(AT.unix_ms() + ms);
        for (patience, passes, said) in [(0, 4999, 5000), (700, 5699, 5700)] {
            assert!(is_passing(&running, later(passes), patience) && !is_passing(&running, later(said), patience));
        }
        let finished = JobStatus { phase: Phase::Finished, ..queued.clone() };
        assert!(!is_passing(&finished, AT, 0));
        assert!(is_passing(&finished, later(699), 700) && !is_passing(&finished, later(700), 700));
        let failed = JobStatus {
            phase: Phase::AlgorithmFailed,
            reason: Some(Reason::new("it exited with 7", Fault::Algorithm)),
            ..queued.clone()
        };
        let ended = following(following_it, Some(1), Some(&failed), None, AT);
        assert_eq!((ended.reason.as_deref(), is_final(&ended)), (Some("it exited with 7"), true));
        assert!(Condition::of(&ended.conditions, "Complete").is_none());
        let finished = JobStatus { phase: Phase::Finished, ..queued };
        let said = Some("the results are in the Secret r-results".to_owned());
        let ended = following(allowed.clone(), Some(1), Some(&finished), said.clone(), AT);
        assert_eq!((ended.reason, Condition::of(&ended.conditions, "Complete").is_some()), (said, true));
        assert!(is_final(&following(allowed, Some(1), None, None, AT)), "a job that was removed");
    }

    #[test]
    fn a_denied_request_says_the_rules_and_one_that_waits_is_not_final() {
        let many = Decided::Denied { rules: vec!["x".repeat(9999); 999], interpreter: None };
        let denied = decided(JobRequestStatus::default(), Some(1), many, AT);
        assert_eq!((denied.denials.len(), denied.denials[0].len(), is_final(&denied)), (400, 256, true));
        let waits = decided(denied.clone(), Some(1), Decided::Later { reason: "no answer".to_owned() }, AT);
        assert_eq!((&waits.phase, waits.decided), (&None, None));
        assert!(super::waits(&waits) && !super::waits(&deciding(waits, Some(1), AT)) && !super::waits(&denied));
        let nobody = without_account(JobRequestStatus::default(), Some(1), AT);
        assert!(!is_final(&nobody) && nobody.reason.is_some_and(|reason| reason.contains(ACCOUNT)));
        let invalid = decided(JobRequestStatus::default(), None, Decided::Invalid("y".repeat(9999)), AT);
        assert_eq!((invalid.phase.as_deref(), invalid.reason.map(|text| text.len())), (Some("Invalid"), Some(4000)));
    }

    #[test]
    fn a_request_that_is_denied_for_want_of_an_interpreter_names_it() {
        let denied = |name: &str| {
            let rules = vec!["its interpreter is not installed".to_owned()];
            let of = Decided::Denied { rules, interpreter: Some(name.to_owned()) };
            decided(JobRequestStatus::default(), Some(1), of, AT)
        };
        let status = denied("python");
        let said = "the interpreter `python` is not installed here; status.denials says which rules were met";
        assert_eq!((status.reason.as_deref(), status.denials.len(), is_final(&status)), (Some(said), 1, true));
        for kind in ["Accepted", "Failed"] {
            let message = Condition::of(&status.conditions, kind).map(|condition| condition.message.as_str());
            assert_eq!(message, Some(said), "{kind}");
        }
        let long = denied(&"\u{1b}".repeat(999)).reason.unwrap_or_default();
        assert!(!long.contains('\u{1b}') && long.len() < 1000, "{long}");
    }
}
