use super::key;
use crate::{
    content::content_digest,
    ethereum::{NonceWindow, SignedRequest},
    principal::{Principal, Via},
    problem::Problem,
    state::Shared,
    web::read_body,
};
use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use cloister_model::{Account, Role, Sha256};
use std::{net::IpAddr, time::Duration};

/// Bytes of a body that is held in memory to check a signature over it.
pub(crate) const MOST_SIGNED_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of the header's value.
const MOST_CREDENTIALS_BYTES: usize = 16 * 1024;

/// How far ahead of ours the clock of somebody who signs may be.
const AHEAD: Duration = Duration::from_secs(30);

/// Where a request comes from: put beside it by whoever accepted the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// The digest that the body must turn out to have: the request was signed with it, and the body was not read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExpectedDigest(pub(crate) Sha256);

/// Who asks. In a handler: somebody known does.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Principal);

impl Caller {
    /// Refuses those who may not do what this role may.
    pub(crate) fn must_be(&self, role: Role) -> Result<&Principal, Problem> {
        if self.0.is(role) { Ok(&self.0) } else { Err(Problem::forbidden(format!("this needs the role `{role}`"))) }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::unauthenticated)
    }
}

/// Finds out who asks, before anything else of the request is looked at, and counts them.
pub(crate) async fn authenticate(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match identify(&shared, request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn identify(shared: &Shared, request: Request) -> Result<Request, Problem> {
    if let Some(address) = client_address(shared.settings.behind_proxy, &request) {
        shared.rates.address(address)?;
    }
    let credentials = credentials(request.headers())?.to_owned();
    let (principal, mut request) = match SignedRequest::from_header(&credentials) {
        Some(signed) => {
            let signed = signed.map_err(|error| refused(&error))?;
            signer(shared, &signed, request).await?
        }
        None => (bearer(shared, &credentials).await?, request),
    };
    shared.rates.account(&principal.account)?;
    tracing::Span::current().record("account", principal.account.key());
    request.extensions_mut().insert(Caller(principal));
    Ok(request)
}

/// Counts who asks what anybody may ask, where the answer is some work.
pub(crate) async fn count_address(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match client_address(shared.settings.behind_proxy, &request).map_or(Ok(()), |address| shared.rates.address(address))
    {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Whether what somebody showed when they began to follow something is still good: a key that was revoked, or has expired,
/// tells its holder nothing more. Tokens and signatures were good for the request.
pub(crate) async fn still_known(shared: &Shared, principal: &Principal) -> bool {
    let Via::Key(id) = &principal.via else { return true };
    match shared.backend.key(id.clone()).await {
        Ok(Some(key)) => key.revoked.is_none() && key.expires.is_none_or(|expires| shared.now() < expires),
        Ok(None) | Err(_) => false,
    }
}

fn refused(why: &dyn std::fmt::Display) -> Problem {
    Problem { detail: format!("the credentials are not taken: {why}"), ..Problem::unauthenticated() }
}

/// The last entry of `X-Forwarded-For` is what the proxy in front saw; the ones before it are anybody's word. Without one
/// that can be read, it is the proxy itself that is counted: nobody is not counted at all.
fn client_address(behind_proxy: bool, request: &Request) -> Option<IpAddr> {
    let forwarded = || {
        let last = request.headers().get_all("x-forwarded-for").iter().next_back()?;
        last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    };
    let forwarded = if behind_proxy { forwarded() } else { None };
    forwarded.or_else(|| request.extensions().get::<ClientAddress>().map(|address| address.0))
}

fn credentials(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(Problem::unauthenticated)?;
    if values.next().is_some() || value.len() > MOST_CREDENTIALS_BYTES {
        return Err(Problem::unauthenticated());
    }
    value.to_str().map_err(|_| Problem::unauthenticated())
}

async fn bearer(shared: &Shared, credentials: &str) -> Result<Principal, Problem> {
    let token = match credentials.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_matches(' '),
        _ => return Err(Problem::unauthenticated()),
    };
    if !key::is_meant(token) {
        return shared.oidc.verify(token, shared.now()).await.map_err(|error| {
            tracing::debug!(%error, "a token was not taken");
            Problem::unauthenticated()
        });
    }
    let id = key::id_of(token).ok_or_else(Problem::unauthenticated)?;
    let stored = shared.backend.key(id).await?.ok_or_else(Problem::unauthenticated)?;
    if !key::is_good(&stored, token, shared.now()) {
        return Err(Problem::unauthenticated());
    }
    Ok(Principal { account: stored.account, role: stored.role, via: Via::Key(stored.id) })
}

/// Checks a signature over the request. A body that says what it is (`Content-Digest`) is not read here: the handler must
/// check it against [`ExpectedDigest`].
async fn signer(shared: &Shared, signed: &SignedRequest, request: Request) -> Result<(Principal, Request), Problem> {
    let account = signed.address.account();
    let role = role_of(shared, &account).ok_or_else(Problem::unauthenticated)?;
    let window = NonceWindow { back: shared.settings.nonce_window, ahead: AHEAD };
    let until = window.admit(&signed.nonce, shared.now()).map_err(|error| refused(&error))?;

    let (mut parts, body) = request.into_parts();
    let (digest, body) = match content_digest(&parts.headers)? {
        Some(digest) => {
            parts.extensions.insert(ExpectedDigest(digest));
            (digest, body)
        }
        None => {
            let bytes: Bytes = read_body(body, MOST_SIGNED_BYTES).await?;
            (key::sha256(&bytes), Body::from(bytes))
        }
    };
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let service = shared.settings.public_url.as_deref();
    signed.verify(service, parts.method.as_str(), target, &digest).map_err(|error| refused(&error))?;
    // Last, so that nobody uses up the nonces of somebody else.
    if !shared.backend.claim_nonce(account.clone(), signed.nonce.as_str().to_owned(), until).await? {
        return Err(refused(&"the nonce was used before; sign the request again"));
    }
    Ok((Principal { account, role, via: Via::Signature }, Request::from_parts(parts, body)))
}

fn role_of(shared: &Shared, account: &Account) -> Option<Role> {
    shared.settings.ethereum_roles.get(account.key()).copied().or(shared.settings.ethereum_role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_not_counted() {
        let asked = |behind_proxy: bool, forwarded: Option<&str>| {
            let mut request = Request::get("/").body(Body::empty()).expect("a request");
            if let Some(forwarded) = forwarded {
                request.headers_mut().insert("x-forwarded-for", forwarded.parse().expect("a value"));
            }
            request.extensions_mut().insert(ClientAddress(IpAddr::from([10, 0, 0, 1])));
            client_address(behind_proxy, &request).expect("an address").to_string()
        };
        assert_eq!(asked(true, Some("203.0.113.9, 192.0.2.7")), "192.0.2.7", "the proxy's own word");
        assert_eq!(asked(false, Some("192.0.2.7")), "10.0.0.1", "anybody's word");
        for nonsense in [None, Some(""), Some("192.0.2.7, unknown"), Some("192.0.2.7:443")] {
            assert_eq!(asked(true, nonsense), "10.0.0.1", "{nonsense:?}");
        }
    }
}
