use super::OidcError;
use crate::settings::{Issuer, SettingsError, SignIn};
use axum::http::Uri;
use cloister_model::{Account, Role};
use serde_json::{Map, Value};
use std::net::IpAddr;

/// Checks the issuers that an operator trusts: each account belongs to one of them, and keys come over a connection that
/// cannot be changed on the way.
pub(super) fn check(issuers: &[Issuer]) -> Result<(), SettingsError> {
    for (place, issuer) in issuers.iter().enumerate() {
        let others = issuers.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, other)| other);
        if let Some(problem) = problem(issuer, others) {
            return Err(SettingsError::Issuer { issuer: issuer.issuer.clone(), problem: problem.to_owned() });
        }
    }
    Ok(())
}

fn problem<'a>(issuer: &Issuer, mut others: impl Iterator<Item = &'a Issuer>) -> Option<&'static str> {
    let Issuer {
        issuer: url,
        audience,
        jwks_url,
        account_claim,
        account_prefix,
        role_claim,
        roles: _,
        default_role: _,
        sign_in,
    } = issuer;
    let prefix_byte = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
    if !is_safe_url(url) || jwks_url.as_ref().is_some_and(|url| !is_safe_url(url)) {
        return Some("its URL and that of its keys must be `https://`; `http://` only on this machine");
    }
    if audience.is_empty() {
        return Some("`audience` is empty; name what its tokens for this service have in `aud`");
    }
    if account_claim.is_empty() || role_claim.as_ref().is_some_and(String::is_empty) {
        return Some("the name of a claim is empty");
    }
    if !(1..=64).contains(&account_prefix.len()) || !account_prefix.bytes().all(prefix_byte) {
        return Some("`account_prefix` must have 1 to 64 printable ASCII characters, no `%`");
    }
    if account_prefix.to_ascii_lowercase().starts_with("0x") {
        return Some("`account_prefix` must not look like an Ethereum address");
    }
    if let Some(SignIn { client_id, scopes }) = sign_in {
        if !(1..=256).contains(&client_id.len()) || !client_id.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Some("`client_id` must have 1 to 256 printable ASCII characters");
        }
        // A scope-token of RFC 6749, section 3.3.
        let scope_byte = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if scopes.len() > 32 || !scopes.iter().all(|scope| !scope.is_empty() && scope.bytes().all(scope_byte)) {
            return Some(
                "`scopes` must be at most 32 names, each of printable ASCII characters without spaces, `\"` and `\\`",
            );
        }
    }
    others.find_map(|other| {
        if other.issuer == *url {
            Some("it is configured twice")
        } else if other.account_prefix.starts_with(account_prefix) {
            Some("an account of it could be an account of another issuer; no `account_prefix` may be the beginning of another")
        } else {
            None
        }
    })
}

/// Whether answers from there cannot be changed on the way.
pub(super) fn is_safe_url(url: &str) -> bool {
    let Ok(parsed) = url.parse::<Uri>() else { return false };
    let Some(host) = parsed.host() else { return false };
    match parsed.scheme_str() {
        Some("https") => true,
        Some("http") => {
            let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
        _ => false,
    }
}

/// The account of a token: the prefix and the claim. A byte that an account cannot have is written as `%` and two digits, so
/// that different claims are different accounts.
pub(super) fn account(issuer: &Issuer, claims: &Map<String, Value>) -> Result<Account, OidcError> {
    let name = claims.get(&issuer.account_claim).and_then(Value::as_str).ok_or(OidcError::Account)?;
    if name.is_empty() {
        return Err(OidcError::Account);
    }
    let mut account = issuer.account_prefix.clone();
    for byte in name.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            account.push(char::from(byte));
        } else {
            account.push_str(&format!("%{byte:02x}"));
        }
    }
    account.parse().map_err(|_| OidcError::Account)
}

/// The role of a token: the highest of those that its claim stands for; none: it has no role here.
pub(super) fn role(issuer: &Issuer, claims: &Map<String, Value>) -> Option<Role> {
    let named = |value: &Value| value.as_str().and_then(|name| issuer.roles.get(name)).copied();
    let claim = issuer.role_claim.as_ref().and_then(|name| claim_at(claims, name));
    let found = match claim {
        Some(Value::Array(values)) => values.iter().filter_map(named).max(),
        Some(value) => named(value),
        None => None,
    };
    found.or(issuer.default_role)
}

/// A claim by its name, or by a path of names with dots between them. Names may have dots themselves.
fn claim_at<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        claim_at(claims.get(first)?.as_object()?, rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn issuer(url: &str, prefix: &str) -> Issuer {
        Issuer {
            issuer: url.to_owned(),
            audience: "cloister".to_owned(),
            jwks_url: None,
            account_claim: "sub".to_owned(),
            account_prefix: prefix.to_owned(),
            role_claim: None,
            roles: [("admin".to_owned(), Role::Operator), ("data-owner".to_owned(), Role::Publisher)].into(),
            default_role: Some(Role::Consumer),
            sign_in: None,
        }
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn accounts_of_different_issuers_stay_apart() {
        let refused = |issuers: &[Issuer]| check(issuers).is_err();
        assert!(!refused(&[issuer("https://a.example", "a:"), issuer("https://b.example", "b:")]));
        assert!(refused(&[issuer("https://a.example", "a:"), issuer("https://a.example", "b:")]), "twice");
        assert!(refused(&[issuer("https://a.example", "a:"), issuer("https://b.example", "a:b:")]), "one in the other");
        assert!(refused(&[issuer("https://a.example", "a:b:"), issuer("https://b.example", "a:")]), "the other way");
        for prefix in ["", "a b", "0x12", "0X", "a%", "é"] {
            assert!(refused(&[issuer("https://a.example", prefix)]), "{prefix:?}");
        }
        assert!(refused(&[Issuer { audience: String::new(), ..issuer("https://a.example", "a:") }]));
    }

    #[test]
    fn what_command_lines_receive_can_be_sent_to_an_issuer() {
        let with = |client_id: &str, scopes: &[&str]| {
            let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
            let sign_in = Some(SignIn { client_id: client_id.to_owned(), scopes });
            check(&[Issuer { sign_in, ..issuer("https://a.example", "a:") }])
        };
        assert!(with("cloister-cli", &["groups", "api://cloister/.default"]).is_ok());
        for (client_id, scopes) in
            [("", &[][..]), ("a\n", &[]), ("é", &[]), ("a", &[""]), ("a", &["b c"]), ("a", &["\""]), ("a", &["b"; 33])]
        {
            assert!(with(client_id, scopes).is_err(), "{client_id:?} {scopes:?}");
        }
    }

    #[test]
    fn keys_come_over_safe_connections() {
        for url in ["https://a.example/x", "http://127.0.0.1:80/x", "http://[::1]/x", "http://localhost/x"] {
            assert!(is_safe_url(url), "{url}");
        }
        for url in [
            "http://a.example",
            "http://127.0.0.1.evil.example",
            "ftp://127.0.0.1",
            "file:///etc",
            "/x",
            "",
            "http://localhost@evil.example",
        ] {
            assert!(!is_safe_url(url), "{url}");
        }
    }

    #[test]
    fn the_highest_role_of_a_claim_counts() {
        let with =
            |claim: Option<&str>| Issuer { role_claim: claim.map(str::to_owned), ..issuer("https://a.example", "a:") };
        let claims = map(json!({
            "roles": ["reader", "data-owner"], "one": "admin", "https://x.example/roles": ["admin", "data-owner"],
            "realm_access": {"roles": ["data-owner"]}, "object": {"admin": true}, "none": null, "numbers": [1, null]
        }));
        for (claim, expected) in [
            (None, Role::Consumer),
            (Some("roles"), Role::Publisher),
            (Some("one"), Role::Operator),
            (Some("https://x.example/roles"), Role::Operator),
            (Some("realm_access.roles"), Role::Publisher),
            (Some("object"), Role::Consumer),
            (Some("none"), Role::Consumer),
            (Some("numbers"), Role::Consumer),
            (Some("absent.roles"), Role::Consumer),
        ] {
            assert_eq!(role(&with(claim), &claims), Some(expected), "{claim:?}");
        }
        assert_eq!(role(&Issuer { default_role: None, ..with(Some("none")) }, &claims), None);
    }

    proptest! {
        #[test]
        fn different_claims_are_different_accounts(one in "\\PC{1,20}|[a%2b |]{1,6}", other in "\\PC{1,20}|[a%2b |]{1,6}") {
            let issuer = issuer("https://a.example", "a:");
            let account = |name: &str| account(&issuer, &map(json!({"sub": name})));
            if let (Ok(first), Ok(second)) = (account(&one), account(&other)) {
                prop_assert!(first.as_str().starts_with("a:"));
                prop_assert_eq!(first == second, one == other);
            }
        }
    }
}
