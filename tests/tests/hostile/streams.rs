//! Standard input and the number of things a guest can hold open.

use crate::runs::{Run as _, assert_outputs, fixture};

#[test]
pub(crate) fn stdin_read() {
    fixture("stdin_read").finish().assert_succeeded();
}

/// The guest meets the limit on handles, not the process's own, and goes on.
#[test]
pub(crate) fn handles() {
    for (limit, most) in [("handles=16", 16_u32), ("handles=4096", 4096)] {
        let ended = fixture("handles").with(&["--limits", limit]).finish();
        ended.assert_succeeded();
        // The root is one of them.
        assert_outputs(&ended, &[("observed", &(most - 1).to_le_bytes())]);
    }
}
