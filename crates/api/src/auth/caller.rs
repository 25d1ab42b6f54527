use super::{
    identity::{Identity, refused},
    rates::Counted,
};
use crate::{ethereum::SignedRequest, problem::Problem};
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use cloister_model::Sha256;
use cloister_service::Principal;
use std::net::IpAddr;

/// Bytes of the value of `Authorization`.
const MOST_CREDENTIALS_BYTES: usize = 16 * 1024;

/// The address that a connection comes from: an extension of every request, set where connections are accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// The digest that the body must turn out to have: an extension of a request whose signature covers the digest while its
/// body was not read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExpectedDigest(pub(crate) Sha256);

/// The principal that sends a request. A handler that takes it answers authenticated requests only.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Principal);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::unauthenticated)
    }
}

/// Establishes who sends a request before anything else of it is read, and counts the request.
pub(crate) async fn authenticate(State(identity): State<Identity>, request: Request, next: Next) -> Response {
    let mut counted = Counted::default();
    let mut response = match identify(&identity, request, &mut counted).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    counted.describe(response.headers_mut());
    response
}

async fn identify(identity: &Identity, request: Request, counted: &mut Counted) -> Result<Request, Problem> {
    let address = client_address(identity.behind_proxy(), &request);
    let credentials = credentials(request.headers())?.to_owned();
    let unknown = match address {
        Some(address) => {
            counted.note(identity.count_address(address))?;
            identity.may_try(address, &credentials)?;
            Some(identity.begin(address)?)
        }
        None => None,
    };
    let verified = verify(identity, &credentials, request).await;
    drop(unknown);
    if let (Err(problem), Some(address)) = (&verified, address)
        && problem.status == StatusCode::UNAUTHORIZED
    {
        identity.count_failure(address);
    }
    let (principal, mut request) = verified?;
    counted.note(identity.count_account(&principal.account))?;
    tracing::Span::current().record("account", principal.account.key());
    request.extensions_mut().insert(Caller(principal));
    Ok(request)
}

/// The principal of these credentials, and the request, which may have been read in part.
async fn verify(identity: &Identity, credentials: &str, request: Request) -> Result<(Principal, Request), Problem> {
    match SignedRequest::from_header(credentials) {
        Some(signed) => {
            let signed = signed.map_err(|error| refused(&error))?;
            identity.signer(&signed, request).await
        }
        None => Ok((identity.bearer(credentials).await?, request)),
    }
}

/// Bounds requests whose sender is known only from their bodies: one network address has so many at once.
pub(crate) async fn bound_address(State(identity): State<Identity>, request: Request, next: Next) -> Response {
    let address = client_address(identity.behind_proxy(), &request);
    match address.map(|address| identity.begin(address)).transpose() {
        Ok(_unknown) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Counts requests that need no credentials, because answering them is some work.
pub(crate) async fn count_address(State(identity): State<Identity>, request: Request, next: Next) -> Response {
    let mut counted = Counted::default();
    let address = client_address(identity.behind_proxy(), &request);
    let mut response = match address.map_or(Ok(()), |address| counted.note(identity.count_address(address))) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    counted.describe(response.headers_mut());
    response
}

/// The address that a request counts against. The last entry of `X-Forwarded-For` is what the proxy in front saw; a client
/// can write the entries before it. Without a readable entry, the address is the proxy's own, so that every request counts
/// against some address.
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[test]
    fn every_request_counts_against_an_address() {
        let asked = |behind_proxy: bool, forwarded: Option<&str>| {
            let mut request = Request::get("/").body(Body::empty()).expect("a request");
            if let Some(forwarded) = forwarded {
                request.headers_mut().insert("x-forwarded-for", forwarded.parse().expect("a value"));
            }
            request.extensions_mut().insert(ClientAddress(IpAddr::from([10, 0, 0, 1])));
            client_address(behind_proxy, &request).expect("an address").to_string()
        };
        assert_eq!(asked(true, Some("203.0.113.9, 192.0.2.7")), "192.0.2.7", "the proxy wrote it");
        assert_eq!(asked(false, Some("192.0.2.7")), "10.0.0.1", "a client can write it");
        for nonsense in [None, Some(""), Some("192.0.2.7, unknown"), Some("192.0.2.7:443")] {
            assert_eq!(asked(true, nonsense), "10.0.0.1", "{nonsense:?}");
        }
    }
}
