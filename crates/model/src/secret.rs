use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that must not be shown: a source of data, a credential, a consumer's own program.
///
/// `Debug` hides it and there is no `Display`, so that it cannot reach a log by accident. It is written out by
/// `Serialize`, because engines must store it. Keep what is serialised where only the step that needs it can read it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides it.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Shows it, to the one step that needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_stored_but_never_shown() {
        let secret = Secret::new("token".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(serde_json::to_value(&secret).expect("json"), "token");
        assert_eq!(secret.expose(), "token");
    }
}
