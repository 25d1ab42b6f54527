use super::{caller::ExpectedDigest, rates::Rates};
use crate::{
    ethereum::{Nonce, NonceWindow, SignedRequest},
    extract::{content_digest, read_body},
    oidc,
    problem::Problem,
    settings::{Settings, SettingsError},
};
use axum::{
    body::{Body, Bytes},
    extract::Request,
};
use cloister_model::{Account, Claim, Claims, Role, Sha256, StoreError, Timestamp};
use cloister_service::{Principal, UseCases, Via};
use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc, time::Duration};

/// Bytes of a body that is held in memory to check a signature over it.
const MOST_SIGNED_BYTES: usize = 4 * 1024 * 1024;

/// How far the clock of a signer may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(30);

/// Establishes who sends a request. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Identity(Arc<Inner>);

struct Inner {
    use_cases: UseCases,
    claims: Arc<dyn Claims>,
    oidc: oidc::Verifier,
    rates: Rates,
    behind_proxy: bool,
    public_url: Option<String>,
    ethereum_role: Option<Role>,
    ethereum_roles: BTreeMap<String, Role>,
    window: NonceWindow,
}

impl Identity {
    pub(crate) fn new(
        use_cases: UseCases,
        claims: Arc<dyn Claims>,
        settings: &Settings,
    ) -> Result<Self, SettingsError> {
        Ok(Self(Arc::new(Inner {
            use_cases,
            claims,
            oidc: oidc::Verifier::new(settings.oidc.clone(), settings.get_json.clone())?,
            rates: Rates::new(settings.rates)?,
            behind_proxy: settings.behind_proxy,
            public_url: settings.public_url.clone(),
            ethereum_role: settings.ethereum_role,
            ethereum_roles: settings.ethereum_roles.clone(),
            window: NonceWindow { back: settings.nonce_window, ahead: AHEAD },
        })))
    }

    /// Whether `X-Forwarded-For` is trusted.
    pub(super) fn behind_proxy(&self) -> bool {
        self.0.behind_proxy
    }

    /// Counts a request from a network address.
    pub(crate) fn count_address(&self, address: IpAddr) -> Result<(), Problem> {
        self.0.rates.address(address)
    }

    /// Counts a request of an account.
    pub(super) fn count_account(&self, account: &Account) -> Result<(), Problem> {
        self.0.rates.account(account)
    }

    /// Until when a nonce that is fresh now must be remembered.
    ///
    /// # Errors
    /// If the nonce is not fresh.
    pub(crate) fn fresh_until(&self, nonce: &Nonce) -> Result<Timestamp, crate::ethereum::NonceError> {
        self.0.window.admit(nonce, self.0.use_cases.now())
    }

    /// Uses up a nonce of an account: false if it was used before. To be called once the signature was verified; otherwise,
    /// a stranger could use up the nonces of an account.
    pub(crate) async fn claim_nonce(
        &self,
        account: &Account,
        nonce: &Nonce,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.0.claims.claim(Claim::nonce(account, nonce.as_str(), until)).await
    }

    /// The principal that sends `Authorization: Bearer ...`.
    pub(super) async fn bearer(&self, credentials: &str) -> Result<Principal, Problem> {
        let token = match credentials.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_matches(' '),
            _ => return Err(Problem::unauthenticated()),
        };
        if UseCases::looks_like_a_key(token) {
            return self.0.use_cases.principal_of_key(token).await?.ok_or_else(Problem::unauthenticated);
        }
        self.0.oidc.verify(token, self.0.use_cases.now()).await.map_err(|error| {
            tracing::debug!(%error, "a token was refused");
            Problem::unauthenticated()
        })
    }

    /// The principal that signed a request, and the request. A body with a `Content-Digest` is not read here: the handler
    /// must check it against [`ExpectedDigest`].
    pub(super) async fn signer(
        &self,
        signed: &SignedRequest,
        request: Request,
    ) -> Result<(Principal, Request), Problem> {
        let account = signed.address.account();
        let role = self.0.ethereum_roles.get(account.key()).copied().or(self.0.ethereum_role);
        let role = role.ok_or_else(Problem::unauthenticated)?;
        let until = self.fresh_until(&signed.nonce).map_err(|error| refused(&error))?;

        let (mut parts, body) = request.into_parts();
        let (digest, body) = match content_digest(&parts.headers)? {
            Some(digest) => {
                parts.extensions.insert(ExpectedDigest(digest));
                (digest, body)
            }
            None => {
                let bytes: Bytes = read_body(body, MOST_SIGNED_BYTES).await?;
                (Sha256::of(&bytes), Body::from(bytes))
            }
        };
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let service = self.0.public_url.as_deref();
        signed.verify(service, parts.method.as_str(), target, &digest).map_err(|error| refused(&error))?;
        if !self.claim_nonce(&account, &signed.nonce, until).await? {
            return Err(refused(&"the nonce was used before; sign the request again"));
        }
        Ok((Principal { account, role, via: Via::Signature }, Request::from_parts(parts, body)))
    }
}

/// Credentials that are refused for a reason that the sender may learn.
pub(super) fn refused(why: &dyn fmt::Display) -> Problem {
    Problem { detail: format!("the credentials are refused: {why}"), ..Problem::unauthenticated() }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("public_url", &self.0.public_url).finish_non_exhaustive()
    }
}
