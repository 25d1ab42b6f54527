//! Tokens of OpenID Connect issuers: signed by a key of a configured issuer, for this service, now.
//!
//! Nothing in a token is trusted before its signature is verified, except which issuer and key to verify it with: the issuer
//! must be configured, the issuer must publish the key, and the algorithm must be one of a public key of that kind. Keys and
//! addresses of keys inside tokens are ignored.

mod error;
mod issuer;
mod keys;
mod token;

pub(crate) use error::OidcError;

use crate::settings::{GetJson, Issuer, SettingsError};
use cloister_model::Timestamp;
use cloister_service::{Principal, Via};
use keys::KeyCache;
use std::sync::Arc;

/// Verifies tokens.
pub(crate) struct Verifier {
    issuers: Vec<Trusted>,
}

/// An issuer that is trusted, and its keys as far as they are known.
struct Trusted {
    issuer: Issuer,
    keys: KeyCache,
}

impl Verifier {
    /// A verifier for these issuers. Their keys are fetched when the first token comes.
    ///
    /// # Errors
    /// An issuer whose tokens or accounts could be mistaken for those of another, or whose tokens could not be verified.
    pub(crate) fn new(issuers: Vec<Issuer>, get_json: Option<GetJson>) -> Result<Self, SettingsError> {
        issuer::check(&issuers)?;
        let Some(get_json) = get_json else {
            return match issuers.into_iter().next() {
                None => Ok(Self { issuers: Vec::new() }),
                Some(Issuer { issuer, .. }) => {
                    let problem = "this service has no way to fetch its keys".to_owned();
                    Err(SettingsError::Issuer { issuer, problem })
                }
            };
        };
        let trusted = |issuer: Issuer| {
            let keys = KeyCache::new(issuer.issuer.clone(), issuer.jwks_url.clone(), Arc::clone(&get_json));
            Trusted { issuer, keys }
        };
        Ok(Self { issuers: issuers.into_iter().map(trusted).collect() })
    }

    /// The principal of a token.
    ///
    /// # Errors
    /// Why the token is refused. Its sender learns only that it is.
    pub(crate) async fn verify(&self, token: &str, now: Timestamp) -> Result<Principal, OidcError> {
        let unverified = token::Unverified::read(token)?;
        let Trusted { issuer, keys } = self
            .issuers
            .iter()
            .find(|trusted| trusted.issuer.issuer == unverified.issuer())
            .ok_or(OidcError::Issuer)?;
        let set = keys.with(unverified.key_id(), now).await?;
        let candidates = set.get(unverified.key_id()).ok_or(OidcError::Key)?;
        let claims = unverified.verify(candidates, &issuer.audience, now)?;
        Ok(Principal {
            account: issuer::account(issuer, &claims)?,
            role: issuer::role(issuer, &claims).ok_or(OidcError::Role)?,
            via: Via::Token { expires: token::expiry(&claims)? },
        })
    }
}

#[cfg(test)]
mod tests;
