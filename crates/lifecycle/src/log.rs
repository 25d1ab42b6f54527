use cloister_model::{Phase, Terms};

/// What becomes of the algorithm log when a job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFate {
    /// It stays readable for as long as the job is kept.
    Kept,
    /// It is deleted with the job's work folder: it may leave only with outputs that were approved, or not at all.
    Discarded,
}

impl LogFate {
    /// For a job that ends without a release.
    pub(crate) fn without_release(terms: &Terms) -> Self {
        if terms.release.holds_log() { Self::Discarded } else { Self::Kept }
    }
}

/// How many bytes of its log a job in this phase may show: none while the log is held with the outputs.
#[must_use]
pub fn readable_log_bytes(terms: &Terms, phase: Phase) -> u64 {
    if terms.release.holds_log() && phase != Phase::Finished { 0 } else { terms.output_contract.max_log_bytes }
}

/// Whether text that the guest chose (the name of an output, a value in it) may be shown to its consumer before the outputs
/// are approved: only where the guest's log may leave as it is. Otherwise refusals would be a way out, a hundred characters
/// per job.
#[must_use]
pub fn guest_text_may_leave(terms: &Terms) -> bool {
    !terms.release.holds_log() && terms.output_contract.max_log_bytes > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{reviewed_spec, spec};

    #[test]
    fn a_held_log_can_be_read_after_the_release_and_not_before() {
        let (open, held) = (spec().terms, reviewed_spec().terms);
        let most = open.output_contract.max_log_bytes;
        for phase in Phase::ALL {
            assert_eq!(readable_log_bytes(&open, phase), most, "{phase:?}");
            let expected = if phase == Phase::Finished { most } else { 0 };
            assert_eq!(readable_log_bytes(&held, phase), expected, "{phase:?}");
        }
    }

    #[test]
    fn text_of_the_guest_leaves_only_where_its_log_does() {
        assert!(guest_text_may_leave(&spec().terms));
        assert!(!guest_text_may_leave(&reviewed_spec().terms));
        let mut silent = spec().terms;
        silent.output_contract.max_log_bytes = 0;
        assert!(!guest_text_may_leave(&silent));
    }
}
