use cloister_model::{Account, KeyId, Role, Timestamp};
use std::fmt;

/// An account that has shown who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The account.
    pub account: Account,
    /// What it may do.
    pub role: Role,
    /// How it has shown who it is.
    pub via: Via,
}

/// How the caller was authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// With this API key.
    Key(KeyId),
    /// With a token of a configured issuer.
    Token {
        /// When it stops working.
        expires: Timestamp,
    },
    /// With an Ethereum signature over the request.
    Signature,
}

/// The use case needs a higher role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this needs the role `{0}`")]
pub struct NeedsRole(pub Role);

impl Principal {
    /// Whether it may do what this role may.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.role >= role
    }

    /// Checks that it may do what this role may.
    ///
    /// # Errors
    /// If it may not.
    pub fn must_be(&self, role: Role) -> Result<(), NeedsRole> {
        if self.is(role) { Ok(()) } else { Err(NeedsRole(role)) }
    }

    /// Whether it is this account, or an operator.
    #[must_use]
    pub fn is_or_operates(&self, account: &Account) -> bool {
        self.account == *account || self.is(Role::Operator)
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "key",
            Self::Token { expires: _ } => "token",
            Self::Signature => "signature",
        })
    }
}
