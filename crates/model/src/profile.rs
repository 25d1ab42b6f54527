use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What the guest may learn about the moment and the machine it runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Virtual clock, seeded randomness, canonical NaN, sorted listings, fixed metadata: the same inputs give the
    /// same bytes. The default, because a result that can be repeated can be checked.
    #[default]
    Deterministic,
    /// The machine's clock and entropy. Must be asked for.
    Standard,
}

impl Profile {
    /// The name used on the command line and in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deterministic => "deterministic",
            Self::Standard => "standard",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "deterministic" => Ok(Self::Deterministic),
            "standard" => Ok(Self::Standard),
            _ => Err("expected `deterministic` or `standard`".to_owned()),
        }
    }
}
