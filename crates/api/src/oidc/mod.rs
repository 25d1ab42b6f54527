//! Tokens of OpenID Connect issuers.

use crate::{
    principal::Principal,
    settings::{GetJson, Issuer, SettingsError},
};
use cloister_model::Timestamp;

/// Why a token is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    /// No issuer is configured that gave it.
    #[error("the token is of no configured issuer")]
    Issuer,
}

/// Checks tokens.
pub(crate) struct Verifier {
    issuers: Vec<Issuer>,
}

impl Verifier {
    pub(crate) fn new(issuers: Vec<Issuer>, _get_json: Option<GetJson>) -> Result<Self, SettingsError> {
        Ok(Self { issuers })
    }

    pub(crate) async fn verify(&self, _token: &str, _now: Timestamp) -> Result<Principal, OidcError> {
        std::future::ready(()).await;
        let _ = &self.issuers;
        Err(OidcError::Issuer)
    }
}
