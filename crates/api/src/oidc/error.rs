/// Why a token is refused. For the log: it holds nothing of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OidcError {
    /// Not a signed token.
    #[error("it is not a signed JSON web token of at most 16 KiB")]
    Form,
    /// Signed in a way that is not accepted: not at all, with a shared secret, or with extensions.
    #[error(
        "its header asks for an algorithm, a type or an extension that is not accepted; sign with RS*, PS*, ES* or EdDSA"
    )]
    Header,
    /// Its issuer is not configured.
    #[error("its issuer is not configured")]
    Issuer,
    /// The issuer has no such key, or not for this algorithm.
    #[error("its issuer publishes no key with its `kid` for its algorithm")]
    Key,
    /// The issuer's keys could not be fetched.
    #[error("its issuer's keys cannot be fetched: {0}")]
    Keys(String),
    /// Another key signed it, or it was changed.
    #[error("its signature is not its issuer's")]
    Signature,
    /// It is not for this service.
    #[error("it is for another audience")]
    Audience,
    /// It is too old.
    #[error("it has expired")]
    Expired,
    /// It is not valid yet.
    #[error("it is not valid yet")]
    Early,
    /// A claim that is needed is missing or of another type.
    #[error("the claim `{0}` is missing or not what it must be")]
    Claim(&'static str),
    /// The claim that names the account cannot be an account.
    #[error("the claim that names the account is missing, not a text, empty or too long")]
    Account,
    /// It has no role here.
    #[error("none of its roles is configured, and there is no default role")]
    Role,
}
