use cloister_model::{Account, KeyId, Role};
use std::fmt;

/// Who asks, once that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub account: Account,
    /// What they may do.
    pub role: Role,
    /// How they showed it.
    pub via: Via,
}

/// How somebody showed who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// With this API key.
    Key(KeyId),
    /// With a token of a configured issuer.
    Token,
    /// With an Ethereum signature over the request.
    Signature,
}

impl Principal {
    /// Whether they may do what this role may.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.role >= role
    }

    /// Whether this is that account, or somebody who administers.
    #[must_use]
    pub fn is_or_operates(&self, account: &Account) -> bool {
        self.account == *account || self.is(Role::Operator)
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "key",
            Self::Token => "token",
            Self::Signature => "signature",
        })
    }
}
