//! How often something that fails is tried again.

use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);

/// The longest one: while nothing but an operator can help.
const LONGEST: Duration = Duration::from_secs(60);

/// How long to wait before the next attempt after so many failures before this one.
pub(crate) fn pause_after(failures: u32) -> Duration {
    FIRST.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute() {
        let pauses = [0, 1, 2, 5, 6, 7, u32::MAX].map(|failures| pause_after(failures).as_secs());
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 60]);
    }
}
