use crate::{Lacking, store_wait};
use cloister_model::{Explanation, JobStatus, Phase};

/// The place of a job that waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Jobs that come before it.
    pub ahead: u64,
    /// What it lacks to start at once.
    pub lacking: Lacking,
    /// The memory that it may use, in bytes.
    pub memory_bytes: u64,
}

/// Why a job is where it is, and whose release is missing of a log that is withheld from its consumer. `turn` is its place in
/// the queue; none if it does not wait, or the engine cannot tell.
#[must_use]
pub fn explain(status: &JobStatus, turn: Option<Turn>) -> Explanation {
    let explanation = explain_phase(status, turn);
    match status.withheld_log.as_ref().filter(|log| log.released().is_none()) {
        None => explanation,
        Some(log) => Explanation { text: format!("{}; {log}", explanation.text), ..explanation },
    }
}

fn explain_phase(status: &JobStatus, turn: Option<Turn>) -> Explanation {
    if let Some(reason) = &status.reason {
        // Without the phase: programs show the phase beside this text.
        return Explanation { text: reason.text().to_owned(), ahead: None };
    }
    if status.stop_requested.is_some() {
        return Explanation { text: "it was asked to stop and is about to end".to_owned(), ahead: None };
    }
    if let Some(wait) = &status.store_wait {
        return Explanation { text: store_wait::explained(status.id, wait), ahead: None };
    }
    let text = match status.phase {
        Phase::Queued => return waiting(turn),
        Phase::Accepted => "it has its place and starts".to_owned(),
        Phase::Configuring => match status.progress {
            None => "its datasets and its algorithm are being fetched".to_owned(),
            Some(progress) => match progress.total_bytes {
                Some(total) => format!(
                    "its datasets and its algorithm are being fetched: {} of {total} bytes are here",
                    progress.done_bytes
                ),
                None => {
                    format!("its datasets and its algorithm are being fetched: {} bytes are here", progress.done_bytes)
                }
            },
        },
        Phase::Configured => "everything it needs is here; its algorithm starts".to_owned(),
        Phase::Running => "its algorithm runs".to_owned(),
        Phase::Filtering => "its outputs are being checked against the output contract".to_owned(),
        Phase::InReview => "its outputs wait for a reviewer's decision".to_owned(),
        Phase::Publishing => "its results are being stored".to_owned(),
        ended => ended.to_string(),
    };
    Explanation { text, ahead: None }
}

fn waiting(turn: Option<Turn>) -> Explanation {
    let Some(Turn { ahead, lacking, memory_bytes }) = turn else {
        return Explanation { text: "it is about to start".to_owned(), ahead: None };
    };
    let order = match ahead {
        0 => "it is next".to_owned(),
        1 => "1 job comes before it".to_owned(),
        many => format!("{many} jobs come before it"),
    };
    let lacking = match lacking {
        Lacking::Place(all) => taken(all, "place"),
        Lacking::Processor(all) => taken(all, "processor"),
        Lacking::Share(left) => format!(
            "it may use {memory_bytes} bytes of memory, and {left} are left for you beside your running jobs: the rest is kept \
             for other accounts"
        ),
        Lacking::Memory(free) => format!("it may use {memory_bytes} bytes of memory, and {free} are free"),
        Lacking::Nothing => "there is room".to_owned(),
    };
    Explanation { text: format!("it waits for its turn: {order}, and {lacking}"), ahead: Some(ahead) }
}

/// That all of what there is of something is taken.
fn taken(all: u64, what: &str) -> String {
    match all {
        0 => format!("there is no {what}"),
        1 => format!("the only {what} is taken"),
        all => format!("all {all} {what}s are taken"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use cloister_model::{Event, Progress, WithheldLog};

    #[test]
    fn every_phase_is_explained_and_what_a_waiting_job_lacks_is_named() {
        let turn = |ahead, lacking| Some(Turn { ahead, lacking, memory_bytes: 7 });
        let fetching = JobStatus {
            progress: Some(Progress { done_bytes: 3, total_bytes: Some(9) }),
            ..status(&[Event::Accept, Event::Configure])
        };
        let dids = ["a", "b"].map(|did| did.parse().expect("a DID"));
        let silent = JobStatus { withheld_log: Some(WithheldLog::by(dids.into())), ..algorithm_failed() };
        let stopping = JobStatus { stop_requested: Some(at(1)), ..running() };
        for (status, turn, text, ahead) in [
            (queued(), turn(0, Lacking::Nothing), "it is next, and there is room", Some(0)),
            (queued(), turn(1, Lacking::Place(5)), "1 job comes before it, and all 5 places are taken", Some(1)),
            (queued(), turn(0, Lacking::Place(1)), "it is next, and the only place is taken", Some(0)),
            (queued(), turn(0, Lacking::Place(0)), "it is next, and there is no place", Some(0)),
            (queued(), turn(0, Lacking::Processor(8)), "it is next, and all 8 processors are taken", Some(0)),
            (queued(), turn(2, Lacking::Memory(5)), "2 jobs come before it, and it may use 7 bytes", Some(2)),
            (queued(), None, "about to start", None),
            (fetching, None, "3 of 9 bytes", None),
            (running(), None, "its algorithm runs", None),
            (stopping, None, "asked to stop", None),
            (silent, None, "; the log is withheld by the rules of did:op:a, did:op:b; it can be read once", None),
            (in_review(), None, "reviewer", None),
            (status(&[Event::Stop]), None, "why", None),
        ] {
            let found = explain(&status, turn);
            assert!(found.text.contains(text), "{}: {text}", found.text);
            assert_eq!(found.ahead, ahead);
            let phase = status.phase.text();
            assert!(!found.text.contains(phase), "`{phase}` is shown beside it: {}", found.text);
        }
    }
}
