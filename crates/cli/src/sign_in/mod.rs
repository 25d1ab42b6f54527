//! Signing in at the identity provider that a service names: OAuth's device authorization grant (RFC 8628), as OpenID Connect
//! issuers offer it. Whatever an issuer or a service says is untrusted: it is bounded when it is read and escaped when it is shown.

mod device;
mod issuer;
mod renew;
mod token;

pub(crate) use renew::Renewal;

use crate::{
    client::{Client, ClientError},
    contexts::StoredSignIn,
    exit::{DENIED, Ended, Usage},
    output::{note, shown},
};
use cloister_model::Secret;
use device::{Next, Poll};
use issuer::{Answer, IssuerClient};
use serde::Deserialize;
use std::time::{Duration, Instant};

/// An issuer that a service accepts tokens of (`GET /v1/sign-in`).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignInIssuer {
    issuer: String,
    client_id: String,
    audience: String,
    scopes: Vec<String>,
}

/// A token, and how it is renewed.
pub(crate) struct SignedIn {
    pub(crate) key: Secret<String>,
    pub(crate) sign_in: StoredSignIn,
}

/// The issuer to sign in at: the one that is named, or the only one that the service has.
///
/// # Errors
/// If there is none, or it is not clear which.
pub(crate) fn choose(issuers: Vec<SignInIssuer>, named: Option<&str>) -> anyhow::Result<SignInIssuer> {
    let names: Vec<_> = issuers.iter().map(|issuer| shown(&issuer.issuer)).collect();
    let mut fitting: Vec<_> =
        issuers.into_iter().filter(|issuer| named.is_none_or(|named| named == issuer.issuer)).collect();
    match (fitting.pop(), names.is_empty(), named) {
        (Some(only), ..) if fitting.is_empty() => Ok(only),
        (_, true, None) => Err(Usage::error(
            "this service has no sign-in for command lines: log in with a key, --key FILE, or --key - to type or pipe it",
        )),
        (_, true, Some(_)) => Err(Usage::error("--issuer: this service has no sign-in for command lines")),
        (None, ..) => Err(Usage::error(format!("--issuer: this service accepts {}", names.join(", ")))),
        _ => Err(Usage::error(format!("sign in at which issuer? Name it with --issuer: {}", names.join(", ")))),
    }
}

/// Asks the service at which issuers users can sign in.
///
/// # Errors
/// If it does not answer.
pub(crate) async fn offered(client: &Client) -> Result<Vec<SignInIssuer>, ClientError> {
    match client.get_without_key(&["v1", "sign-in"]).await {
        Ok(answer) => crate::client::read_all(answer["items"].as_array().map_or(&[], Vec::as_slice)),
        // A service of an earlier version.
        Err(ClientError::Problem(problem)) if problem.status == 404 => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Shows a code, and waits until its reader has entered it at the issuer.
///
/// # Errors
/// If the issuer cannot be used, refuses, or the code is not entered in time.
pub(crate) async fn sign_in(
    SignInIssuer { issuer, client_id, audience, scopes }: SignInIssuer,
    authorities: Option<&[u8]>,
) -> anyhow::Result<SignedIn> {
    let client = IssuerClient::new(&issuer, authorities)?;
    let endpoints = client.discover().await?;
    let device = endpoints.device.clone().ok_or_else(|| {
        let text = "does not offer the device authorization grant (RFC 8628); use a key, or a token with --key";
        Ended::error(DENIED, format!("the issuer {} {text}", shown(&issuer)))
    })?;
    let mut scope = vec!["openid".to_owned()];
    scope.extend(endpoints.refreshes.then(|| "offline_access".to_owned()));
    scope.extend(scopes.into_iter().filter(|scope| scope != "openid" && scope != "offline_access"));
    let scope = scope.join(" ");
    let code = client.begin(&device, &client_id, &scope).await?;
    note(&format!("Sign in at {}:", shown(&issuer)));
    note(&format!("  open   {}", code.verification_uri));
    note(&format!("  enter  {}", shown(&code.user_code)));
    if let Some(complete) = &code.verification_uri_complete {
        note(&format!("or open {complete}"));
        note("and check that it shows the same code.");
    }
    note(&format!("Waiting until that is done, for at most {} minutes ...", code.lifetime.as_secs().div_ceil(60)));
    let (mut poll, begun) = (Poll::new(code.interval, code.lifetime), Instant::now());
    let mut wait = poll.interval();
    loop {
        tokio::time::sleep(wait).await;
        let answer = client.ask(&endpoints.token, &client_id, &code.device_code).await;
        wait = match poll.next(&answer, begun.elapsed()) {
            Next::Wait(wait) => wait,
            Next::End(why) => return Err(Ended::error(DENIED, why)),
            Next::Done => {
                let Answer::Tokens(tokens) = answer else { continue };
                let chosen = token::choose(&tokens, &audience)
                    .map_err(|why| Ended::error(DENIED, format!("the issuer {} {why}", shown(&issuer))))?;
                let refresh_token = tokens.refresh_token;
                let expires = chosen.expires;
                let sign_in = StoredSignIn { issuer, client_id, audience, refresh_token, expires };
                return Ok(SignedIn { key: chosen.token, sign_in });
            }
        };
    }
}

/// Seconds since 1970, by this machine's clock.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_is_the_only_one_or_the_one_that_is_named() {
        let issuer = |url: &str| SignInIssuer {
            issuer: url.to_owned(),
            client_id: "c".to_owned(),
            audience: "a".to_owned(),
            scopes: Vec::new(),
        };
        let (one, two) = (vec![issuer("https://a")], vec![issuer("https://a"), issuer("https://b")]);
        let chosen = |issuers: &[SignInIssuer], named| choose(issuers.to_vec(), named).map(|issuer| issuer.issuer);
        assert_eq!(chosen(&one, None).expect("the only one"), "https://a");
        assert_eq!(chosen(&two, Some("https://b")).expect("named"), "https://b");
        for (issuers, named, why) in [
            (&[][..], None, "--key"),
            (&[], Some("https://a"), "no sign-in"),
            (&one, Some("https://b"), "https://a"),
            (&two, None, "https://a, https://b"),
        ] {
            let error = chosen(issuers, named).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
