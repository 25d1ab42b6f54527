use serde::{Deserialize, Serialize};
use std::fmt;

/// The state of one wall.
///
/// Serialisable, because the isolated process reports it to its supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Fully enforced, with a detail such as `ABI 7`.
    Enforced(String),
    /// Enforced in part, with what is missing.
    Partial(String),
    /// Not enforced, with the reason.
    Absent(String),
}

impl Status {
    /// Whether the wall is fully enforced.
    pub fn is_enforced(&self) -> bool {
        matches!(self, Self::Enforced(_))
    }

    /// Both of two parts of one wall: the worse of the two, and if they are equally good, the details of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Enforced(one), Self::Enforced(other)) => Self::Enforced(format!("{one}; {other}")),
            (Self::Partial(one), Self::Partial(other)) => Self::Partial(format!("{one}; {other}")),
            (Self::Absent(one), Self::Absent(other)) => Self::Absent(format!("{one}; {other}")),
            (absent @ Self::Absent(_), _) | (_, absent @ Self::Absent(_)) => absent,
            (partial @ Self::Partial(_), _) | (_, partial @ Self::Partial(_)) => partial,
        }
    }

    /// The detail: what is enforced, what is missing, or why nothing is enforced.
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
