use crate::{engine::core::Core, schedule::Lacking};
use cloister_model::{Explanation, JobStatus, Phase};

/// Why a job is where it is.
pub(super) fn explain(core: &Core, status: &JobStatus) -> Explanation {
    if let Some(reason) = &status.reason {
        return Explanation { text: format!("{}: {}", status.phase, reason.text()), ahead: None };
    }
    if status.stop_requested.is_some() {
        return Explanation { text: "somebody asked for it to stop; it ends".to_owned(), ahead: None };
    }
    let text = match status.phase {
        Phase::Queued => return waiting(core, status),
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
        Phase::InReview => "its outputs wait for a reviewer's word".to_owned(),
        Phase::Publishing => "its results are being stored".to_owned(),
        ended => ended.to_string(),
    };
    Explanation { text, ahead: None }
}

fn waiting(core: &Core, status: &JobStatus) -> Explanation {
    let Some((ahead, lacking, memory_bytes)) = core.board().turn(status.id) else {
        return Explanation { text: "it is about to start".to_owned(), ahead: None };
    };
    let order = match ahead {
        0 => "it is the next".to_owned(),
        1 => "1 job comes before it".to_owned(),
        many => format!("{many} jobs come before it"),
    };
    let lacking = match lacking {
        Lacking::Place => "all places are taken".to_owned(),
        Lacking::Processor => "all processors are taken".to_owned(),
        Lacking::Memory(free) => format!("it may use {memory_bytes} bytes of memory, and {free} are free"),
        Lacking::Nothing => "there is room".to_owned(),
    };
    Explanation { text: format!("it waits for its turn: {order}, and {lacking}"), ahead: Some(ahead) }
}
