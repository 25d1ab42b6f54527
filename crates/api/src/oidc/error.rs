/// Why a token is not taken. For the log: holds nothing of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OidcError {
    /// Not a signed token.
    #[error("it is no signed JSON web token of at most 16 KiB")]
    Form,
    /// Signed in a way that is not taken: not at all, with a shared secret, or with extensions.
    #[error(
        "its header asks for an algorithm, a type or an extension that is not taken; sign with RS*, PS*, ES* or EdDSA"
    )]
    Header,
    /// No issuer is configured that gave it.
    #[error("the token is of no configured issuer")]
    Issuer,
    /// The issuer has no such key, or not for this algorithm.
    #[error("its issuer publishes no key of its `kid` for its algorithm")]
    Key,
    /// The issuer's keys could not be fetched.
    #[error("its issuer's keys cannot be fetched: {0}")]
    Keys(String),
    /// Somebody else signed it, or it was changed.
    #[error("its signature is not its issuer's")]
    Signature,
    /// It is not for this service.
    #[error("it is for another audience")]
    Audience,
    /// It is too old.
    #[error("it has expired")]
    Expired,
    /// It is not good yet.
    #[error("it is not good yet")]
    Early,
    /// A claim that is needed is missing or of another type.
    #[error("the claim `{0}` is missing or not what it must be")]
    Claim(&'static str),
    /// The claim that is the account cannot be one.
    #[error("the claim that is the account is missing, no text, empty or too long")]
    Account,
    /// Nothing it says gives its owner a role.
    #[error("none of its roles is one here, and there is no role for everybody else")]
    Role,
}
