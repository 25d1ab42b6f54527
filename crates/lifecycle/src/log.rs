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
}
