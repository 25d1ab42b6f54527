//! Standard input, and the limit on open handles.

use crate::runs::{Run as _, assert_outputs, fixture};

#[test]
pub(crate) fn stdin_read() {
    fixture("stdin_read").finish().assert_succeeded();
}

/// The guest gets an error at the limit on handles, below the limit of the process, and continues.
#[test]
pub(crate) fn handles() {
    for (limit, most) in [("handles=16", 16_u32), ("handles=4096", 4096)] {
        let ended = fixture("handles").with(&["--limits", limit]).finish();
        ended.assert_succeeded();
        // The root counts, too.
        assert_outputs(&ended, &[("observed", &(most - 1).to_le_bytes())]);
    }
}
