use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);
/// A server's own wish (`Retry-After`) counts up to this.
const LONGEST_WISH: Duration = Duration::from_secs(60);

/// How long to wait before the next attempt: doubling, and between a half and all of that, so that many who were cut at
/// once do not come back at once.
pub(crate) fn pause(fruitless: u32, chance: u8, wish: Option<Duration>) -> Duration {
    let full = FIRST.saturating_mul(1 << fruitless.min(10)).min(LONGEST);
    let half = full / 2;
    (half + half * u32::from(chance) / 255).max(wish.unwrap_or_default().min(LONGEST_WISH))
}

/// A byte of chance. Without one, every wait is the longest: slower, never wrong.
pub(crate) fn chance() -> u8 {
    let mut byte = [255];
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn grows_within_bounds(fruitless: u32, chance: u8, wish in proptest::option::of(0..10_000_u64)) {
            let wish = wish.map(Duration::from_secs);
            let pause = pause(fruitless, chance, wish);
            prop_assert!(pause >= FIRST / 2 && pause <= LONGEST.max(LONGEST_WISH));
            prop_assert!(wish.is_some() || pause <= LONGEST);
        }
    }
}
