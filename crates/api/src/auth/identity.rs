use super::{
    addresses::{Failures, PerNetwork, Taken},
    caller::ExpectedDigest,
    rates::{Allowance, Exceeded, Rates},
};
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
    http::{HeaderMap, StatusCode, header},
};
use cloister_model::{Account, Claim, Claims, Role, Sha256, StoreError, Timestamp};
use cloister_service::{Principal, UseCases, Via};
use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc, time::Duration};

/// Bytes of a body that is held in memory to check a signature over it: anyone can send such a body. The digest of a larger one
/// comes in a header, so that the signature is checked before the body is read.
const MOST_SIGNED_BYTES: usize = 64 * 1024;

/// Requests of one network whose sender is not known yet, at once.
const MOST_UNKNOWN: usize = 64;

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
    unknown: Arc<PerNetwork>,
    failures: Failures,
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
            unknown: PerNetwork::new(MOST_UNKNOWN),
            failures: Failures::default(),
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
    ///
    /// # Errors
    /// [`Exceeded`].
    pub(crate) fn count_address(&self, address: IpAddr) -> Result<Allowance, Exceeded> {
        self.0.rates.address(address)
    }

    /// A place for a request whose sender is not known yet.
    ///
    /// # Errors
    /// If the network of the address has the most of them.
    pub(crate) fn begin(&self, address: IpAddr) -> Result<Taken, Problem> {
        self.0.unknown.take(address).ok_or_else(|| Problem::rate_limited(1))
    }

    /// Counts an authentication that failed.
    pub(super) fn count_failure(&self, address: IpAddr) {
        self.0.failures.count(address);
    }

    /// Whether credentials that cost much to check are checked for this address: not after many that failed. API keys are
    /// always checked, because that costs little, and another client behind the same address may send them.
    ///
    /// # Errors
    /// When to try again.
    pub(super) fn may_try(&self, address: IpAddr, credentials: &str) -> Result<(), Problem> {
        if bearer_token(credentials).is_some_and(UseCases::looks_like_a_key) {
            return Ok(());
        }
        self.0.failures.wait(address).map_or(Ok(()), |seconds| Err(Problem::rate_limited(seconds)))
    }

    /// Counts a request of an account.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub(super) fn count_account(&self, account: &Account) -> Result<Allowance, Exceeded> {
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
        let token = bearer_token(credentials).ok_or_else(Problem::unauthenticated)?;
        if UseCases::looks_like_a_key(token) {
            return self.0.use_cases.principal_of_key(token).await?.map_err(Problem::of_key);
        }
        self.0.oidc.verify(token, self.0.use_cases.now()).await.map_err(|error| {
            tracing::debug!(%error, "a token was refused");
            Problem::of_token(&error)
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
                if announced(&parts.headers).is_some_and(|bytes| bytes > MOST_SIGNED_BYTES) {
                    return Err(too_large_without_digest());
                }
                let bytes: Bytes = read_body(body, MOST_SIGNED_BYTES).await.map_err(|problem| {
                    if problem.status == StatusCode::PAYLOAD_TOO_LARGE { too_large_without_digest() } else { problem }
                })?;
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

/// The token of `Bearer ...`.
fn bearer_token(credentials: &str) -> Option<&str> {
    let (scheme, token) = credentials.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_matches(' '))
}

/// The size of the body, as the sender announces it.
fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large_without_digest() -> Problem {
    let detail = format!(
        "a signed request with a body of more than {MOST_SIGNED_BYTES} bytes needs the header `Content-Digest: \
         sha-256=:<base64>:`, so that its signature can be checked before its body is read"
    );
    Problem { detail, ..Problem::too_large(u64::try_from(MOST_SIGNED_BYTES).unwrap_or(u64::MAX)) }
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
