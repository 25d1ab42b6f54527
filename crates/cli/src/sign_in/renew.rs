use super::{
    issuer::{Answer, IssuerClient},
    now, token,
};
use crate::{
    client::ClientError,
    contexts::{self, ContextName, StoredContext, StoredSignIn},
    output::shown,
};
use cloister_model::Secret;
use std::path::PathBuf;

/// So many seconds before a token expires, it is renewed.
const EARLY: u64 = 30;

/// How the token of a context is renewed.
#[derive(Clone, Debug)]
pub(crate) struct Renewal {
    /// The context.
    pub(crate) name: ContextName,
    /// The file of contexts.
    pub(crate) path: PathBuf,
    /// What the context says.
    pub(crate) sign_in: StoredSignIn,
    /// Certificate authorities to trust besides this machine's.
    pub(crate) authorities: Option<Vec<u8>>,
}

impl Renewal {
    /// Whether the token has to be renewed before it is sent.
    pub(crate) fn is_due(&self) -> bool {
        is_due(&self.sign_in, now())
    }

    /// A new token, which is stored with the context. If another program renewed it meanwhile, that one: an issuer may take a
    /// refresh token only once.
    ///
    /// # Errors
    /// If the issuer gives none.
    pub(crate) async fn renew(&mut self) -> Result<Secret<String>, ClientError> {
        let fault = |error: anyhow::Error| ClientError::SignIn(error.to_string());
        let path = self.path.clone();
        // Another program may hold it while it waits for the issuer.
        let locked = tokio::task::spawn_blocking(move || contexts::lock(&path)).await;
        let locked = locked.map_err(|error| ClientError::SignIn(error.to_string()))?.map_err(fault)?;
        let mut all = locked.read().map_err(fault)?;
        let ended = || {
            let issuer = shown(&self.sign_in.issuer);
            let name = &self.name;
            ClientError::SignIn(format!(
                "the sign-in at {issuer} has ended: `cloister login --context {name}` begins another one"
            ))
        };
        let stored = all.contexts.get_mut(&self.name).ok_or_else(ended)?;
        let StoredContext { key: Some(key), sign_in: Some(sign_in), .. } = stored else { return Err(ended()) };
        if sign_in.issuer != self.sign_in.issuer || sign_in.client_id != self.sign_in.client_id {
            return Err(ended());
        }
        if is_due(sign_in, now()) {
            let refresh = sign_in.refresh_token.clone().ok_or_else(ended)?;
            let client = IssuerClient::new(&sign_in.issuer, self.authorities.as_deref())?;
            let endpoints = client.discover().await?;
            let tokens = match client.refresh(&endpoints.token, &sign_in.client_id, &refresh).await {
                Answer::Tokens(tokens) => tokens,
                Answer::Refused { .. } => return Err(ended()),
                Answer::Unreachable(problem) => {
                    return Err(ClientError::IssuerUnreachable { issuer: shown(&sign_in.issuer), problem });
                }
            };
            let chosen = token::choose(&tokens, &sign_in.audience)
                .map_err(|why| ClientError::SignIn(format!("the issuer {} {why}", shown(&sign_in.issuer))))?;
            *key = chosen.token;
            sign_in.expires = chosen.expires;
            // Without a new one, the old one stays good (RFC 6749, section 6).
            sign_in.refresh_token = tokens.refresh_token.or(Some(refresh));
        }
        let (key, sign_in) = (key.clone(), sign_in.clone());
        locked.write(&all).map_err(fault)?;
        self.sign_in = sign_in;
        Ok(key)
    }
}

/// Whether a token can be renewed and has to be. One that does not say when it expires is renewed when the service refuses it:
/// by signing in again.
fn is_due(sign_in: &StoredSignIn, now: u64) -> bool {
    sign_in.refresh_token.is_some() && sign_in.expires.is_some_and(|expires| expires <= now.saturating_add(EARLY))
}
