//! Who vouches for a request: a Provider, which signed it, or no one.

use super::{error::OperatorError, parameters::Parameters};
use crate::{
    auth::{ClientAddress, Identity},
    ethereum::{Nonce, Signature, hashed_digest},
    problem::Problem,
    settings::OperatorSettings,
    state::AppState,
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts, uri::Authority},
    response::{IntoResponse, Response},
};
use cloister_model::Account;
use cloister_service::{Actor, EthereumAddress, Provider};
use std::{collections::BTreeSet, convert::Infallible, net::IpAddr};

/// Marks answers to requests that no Provider vouches for.
const UNVERIFIED: HeaderName = HeaderName::from_static("x-cloister-unverified");

/// Who vouches for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Voucher {
    /// An allowed Provider.
    Provider(Account),
    /// No Provider: `unverified_signatures` is on.
    NoOne,
}

impl Voucher {
    /// The Provider that acts, for this consumer if one is named.
    pub(super) fn speaks_for(&self, consumer: Option<Account>) -> Provider {
        let account = match self {
            Self::Provider(account) => Some(account.clone()),
            Self::NoOne => None,
        };
        Provider { account, consumer }
    }

    /// The same, as the actor of a use case.
    pub(super) fn actor(&self, consumer: Option<Account>) -> Actor {
        Actor::Provider(self.speaks_for(consumer))
    }

    /// The answer, marked if no Provider vouches for the request.
    pub(super) fn answer(&self, answer: Result<impl IntoResponse, OperatorError>) -> Response {
        let mut response = answer.map_or_else(IntoResponse::into_response, IntoResponse::into_response);
        if *self == Self::NoOne {
            response.headers_mut().insert(UNVERIFIED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// Where a request comes from, as far as it decides whether the request may come without a voucher.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    address: Option<IpAddr>,
    /// Whether the sender itself opened the connection: not a proxy, not a web page in a browser.
    direct: bool,
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::new(parts.extensions.get::<ClientAddress>().map(|address| address.0), &parts.headers))
    }
}

impl Origin {
    fn new(address: Option<IpAddr>, headers: &HeaderMap) -> Self {
        let mediated = ["x-forwarded-for", "forwarded", "via", "sec-fetch-site", header::ORIGIN.as_str()];
        let direct = !mediated.iter().any(|name| headers.contains_key(*name)) && names_this_machine(headers);
        Self { address, direct }
    }

    /// Whether a request from there may come without a voucher. A web page in a browser, or a stranger behind a proxy on this
    /// machine, comes from this machine as well.
    pub(super) fn may_be_unverified(&self, settings: &OperatorSettings) -> bool {
        let here = self.direct && self.address.is_some_and(|address| address.to_canonical().is_loopback());
        settings.unverified_signatures && (here || settings.insist)
    }
}

/// Guards against DNS rebinding: a web page whose host name resolves to this machine sends same-origin requests; only the
/// `Host` header gives it away. Programs may leave it out.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Some(authority) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else { return false };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Establishes who vouches for a request, and uses up its nonce. To be called before anything else is read.
///
/// The signed text is the one that Provider signs: the owner, the job if one is named, and the nonce. It covers nothing
/// else, so the signature is equally good for another request about the same owner and job: only the connection protects
/// the rest.
pub(super) async fn vouch(
    state: &AppState,
    origin: &Origin,
    parameters: &Parameters,
    job: Option<&str>,
    what: &'static str,
) -> Result<Voucher, OperatorError> {
    let AppState { identity, ocean, .. } = state;
    match verify(identity, ocean, parameters, job).await {
        Ok(provider) => Ok(Voucher::Provider(provider)),
        Err(_) if origin.may_be_unverified(ocean) => {
            tracing::warn!(what, "accepted a request that no Provider vouches for: `unverified_signatures` is on");
            Ok(Voucher::NoOne)
        }
        Err(error) => {
            // Slows down those who guess. Requests with a voucher do not count against an address.
            if let Some(address) = origin.address {
                identity.count_address(address).map_err(Problem::from)?;
            }
            Err(error)
        }
    }
}

async fn verify(
    identity: &Identity,
    settings: &OperatorSettings,
    parameters: &Parameters,
    job: Option<&str>,
) -> Result<Account, OperatorError> {
    let owner = parameters.text_or_absent("owner")?.unwrap_or_default();
    // Ocean's consumers are addresses. No Provider can vouch for an account that has a key or a token of this service.
    if !owner.is_empty() && owner.parse::<EthereumAddress>().is_err() {
        return Err(OperatorError::bad("`owner` must be the address of an Ethereum account"));
    }
    let signature = parameters
        .text("providerSignature")?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| OperatorError::bad("`providerSignature` of agreementId is required."))?;
    let nonce = parameters.text("nonce")?.ok_or_else(|| OperatorError::bad("`nonce` is required."))?;
    let nonce: Nonce = nonce.parse().map_err(|error| OperatorError::bad(format!("Invalid nonce: {error}")))?;
    let subject = format!("{owner}{}", job.unwrap_or_default());
    let provider = provider(&subject, &nonce, &signature, &settings.providers)?;
    let until =
        identity.fresh_until(&nonce).map_err(|error| OperatorError::unauthorized(format!("Invalid nonce: {error}")))?;
    if identity.claim_nonce(&provider, &nonce, until).await? {
        Ok(provider)
    } else {
        Err(OperatorError::unauthorized("Invalid nonce: it was used before; sign the request again"))
    }
}

/// The Provider that signed, if it is an allowed one.
fn provider(
    subject: &str,
    nonce: &Nonce,
    signature: &str,
    allowed: &BTreeSet<Account>,
) -> Result<Account, OperatorError> {
    let signature: Signature =
        signature.parse().map_err(|error| OperatorError::bad(format!("Failed to recover address: {error}")))?;
    let signer = signature
        .signer(&hashed_digest(&format!("{subject}{nonce}")))
        .map_err(|error| OperatorError::bad(format!("Failed to recover address: {error}")))?
        .account();
    if allowed.contains(&signer) {
        return Ok(signer);
    }
    // The address is what the sender can compute as well; for another text than the one expected it is a random one.
    Err(OperatorError::unauthorized(format!(
        "Invalid signature: the signing ethereum account {signer} is not authorized to use this service."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ethereum::testing::Wallet;
    use proptest::prelude::*;

    const OWNER: &str = "0x52A4Fc5B2cD5Cb0F3dF6c6E0f2Ee9d8C1B7a0bE1";
    const JOB: &str = "1ab8f917cc264339875350be13670cea";
    const NONCE: &str = "1795363289633593301";

    fn ask(subject: &str, nonce: &str, signature: &str, allowed: &[u8]) -> Result<Account, OperatorError> {
        let allowed = allowed.iter().map(|key| Wallet::new(*key).address().account()).collect();
        provider(subject, &nonce.parse().expect("a nonce"), signature, &allowed)
    }

    #[test]
    fn only_what_an_allowed_provider_signed_counts() {
        let wallet = Wallet::new(1);
        let signature = wallet.sign_hashed(&format!("{OWNER}{JOB}{NONCE}"));
        let subject = format!("{OWNER}{JOB}");
        assert_eq!(ask(&subject, NONCE, &signature, &[1, 2]), Ok(wallet.address().account()));
        let refused = |subject: &str, nonce: &str, signature: &str, allowed: &[u8]| {
            ask(subject, nonce, signature, allowed).expect_err("refused").status
        };
        assert_eq!(refused(&subject, NONCE, &signature, &[]), 401, "no Provider is allowed");
        assert_eq!(refused(&subject, NONCE, &signature, &[2]), 401, "another is allowed");
        assert_eq!(refused(OWNER, NONCE, &signature, &[1]), 401, "another text");
        assert_eq!(refused(&subject.to_ascii_lowercase(), NONCE, &signature, &[1]), 401, "letter case is signed");
        assert_eq!(refused(&subject, "1795363289633593302", &signature, &[1]), 401, "another nonce");
        let without_nonce = wallet.sign_hashed(&subject);
        assert_eq!(refused(&subject, NONCE, &without_nonce, &[1]), 401, "the nonce is not signed");
        let in_full = wallet.sign(&format!("{subject}{NONCE}"));
        assert_eq!(refused(&subject, NONCE, &in_full, &[1]), 401, "another form of signing");
        assert_eq!(refused(&subject, NONCE, "sig", &[1]), 400);
    }

    #[test]
    fn a_request_without_a_voucher_comes_from_this_machine_only() {
        let on = OperatorSettings { unverified_signatures: true, ..OperatorSettings::default() };
        let insisted = OperatorSettings { insist: true, ..on.clone() };
        let from = |address: Option<&str>, name: Option<&'static str>| {
            let headers: HeaderMap =
                name.into_iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x"))).collect();
            Origin::new(address.map(|address| address.parse().expect("an address")), &headers)
        };
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(from(Some(address), None).may_be_unverified(&on), "{address}");
            assert!(!from(Some(address), None).may_be_unverified(&OperatorSettings::default()));
            let only_insist = OperatorSettings { insist: true, ..OperatorSettings::default() };
            assert!(!from(Some(address), None).may_be_unverified(&only_insist));
        }
        for address in [None, Some("192.0.2.1"), Some("10.0.0.1"), Some("::ffff:192.0.2.1")] {
            assert!(!from(address, None).may_be_unverified(&on), "{address:?}");
            assert!(from(address, None).may_be_unverified(&insisted));
        }
        for header in ["x-forwarded-for", "forwarded", "via", "origin", "sec-fetch-site"] {
            assert!(!from(Some("127.0.0.1"), Some(header)).may_be_unverified(&on), "{header}");
        }
    }

    /// DNS rebinding: a browser sends no `Origin` with `GET`, and no `Sec-Fetch-Site` without TLS.
    #[test]
    fn a_web_page_whose_name_resolves_here_is_not_trusted() {
        let on = OperatorSettings { unverified_signatures: true, ..OperatorSettings::default() };
        let named = |host: &'static str| {
            let headers: HeaderMap = [(header::HOST, HeaderValue::from_static(host))].into_iter().collect();
            Origin::new(Some(IpAddr::from([127, 0, 0, 1])), &headers).may_be_unverified(&on)
        };
        for host in ["127.0.0.1:8090", "127.0.0.1", "localhost:8090", "LocalHost", "[::1]:8090", "[::1]"] {
            assert!(named(host), "{host}");
        }
        for host in
            ["evil.example:8090", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1:8090", "", "a b"]
        {
            assert!(!named(host), "{host}");
        }
    }

    proptest! {
        #[test]
        fn a_signature_is_for_its_text_only(owner in "[a-z]{1,5}", other in "[a-z]{1,5}", key in 1_u8..9, allowed in 1_u8..9) {
            let signature = Wallet::new(key).sign_hashed(&format!("{owner}{NONCE}"));
            prop_assert_eq!(ask(&other, NONCE, &signature, &[allowed]).is_ok(), owner == other && key == allowed);
        }
    }
}
