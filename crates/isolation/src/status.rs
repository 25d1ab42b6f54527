use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether one wall stands.
///
/// It can be serialised, because the process behind the walls has to tell its supervisor about them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// In force, entirely. With what exactly, such as `ABI 7`.
    Enforced(String),
    /// In force in part. With what is missing.
    Partial(String),
    /// Not there. With the reason.
    Absent(String),
}

impl Status {
    /// Whether the wall stands entirely.
    pub fn is_enforced(&self) -> bool {
        matches!(self, Self::Enforced(_))
    }

    /// What exactly is in force, what is missing, or why nothing is.
    pub fn detail(&self) -> &str {
        match self {
            Self::Enforced(detail) | Self::Partial(detail) | Self::Absent(detail) => detail,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enforced(detail) => write!(f, "enforced: {detail}"),
            Self::Partial(detail) => write!(f, "partial: {detail}"),
            Self::Absent(detail) => write!(f, "absent: {detail}"),
        }
    }
}
