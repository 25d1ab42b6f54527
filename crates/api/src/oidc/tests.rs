use super::*;
use cloister_model::Role;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Made by `tests/conformance/tokens.py` with Python's PyJWT.
fn fixtures() -> Value {
    serde_json::from_str(include_str!("fixtures.json")).expect("fixtures")
}

fn group(name: &str) -> BTreeMap<String, String> {
    serde_json::from_value(fixtures()[name].clone()).expect("tokens by name")
}

fn issuer() -> Issuer {
    Issuer {
        issuer: "https://login.example/realms/research".to_owned(),
        audience: "cloister".to_owned(),
        jwks_url: Some("https://login.example/keys".to_owned()),
        account_claim: "sub".to_owned(),
        account_prefix: "research:".to_owned(),
        role_claim: None,
        roles: [("admin".to_owned(), Role::Operator), ("data-owner".to_owned(), Role::Publisher)].into(),
        default_role: Some(Role::Consumer),
        sign_in: None,
    }
}

fn verifier(issuers: Vec<Issuer>) -> Verifier {
    let keys = json!({"keys": fixtures()["keys"]});
    let get_json: GetJson = Arc::new(move |_| {
        let keys = keys.clone();
        Box::pin(async move { Ok(keys) })
    });
    Verifier::new(issuers, Some(get_json)).expect("a verifier")
}

const NOW: Timestamp = Timestamp::from_unix_ms(1_795_363_289_000);

#[tokio::test]
async fn takes_what_another_library_signed_with_every_algorithm() {
    let verifier = verifier(vec![issuer()]);
    for (name, token) in group("good") {
        let principal = verifier.verify(&token, NOW).await.expect(&name);
        assert_eq!((principal.account.as_str(), principal.role), ("research:alice", Role::Consumer), "{name}");
    }
}

#[tokio::test]
async fn refuses_every_bad_token() {
    let verifier = verifier(vec![issuer()]);
    let expected: BTreeMap<&str, OidcError> = [
        ("alg none", OidcError::Header),
        ("HS256 with the public key as secret", OidcError::Header),
        ("HS256 with a shared key of the set", OidcError::Header),
        ("ES256 with an RSA key", OidcError::Key),
        ("EdDSA with an EC key", OidcError::Key),
        ("another algorithm than the key's", OidcError::Key),
        ("a key for encryption", OidcError::Key),
        ("a key that may not verify", OidcError::Key),
        ("kid of another kind", OidcError::Key),
        ("unknown kid", OidcError::Key),
        ("a stranger's key", OidcError::Signature),
        ("a stranger's key in the header", OidcError::Signature),
        ("changed claims", OidcError::Signature),
        ("a key that is too short", OidcError::Signature),
        ("critical extension", OidcError::Header),
        ("another type", OidcError::Header),
        ("expired", OidcError::Expired),
        ("not yet", OidcError::Early),
        ("no exp", OidcError::Claim("exp")),
        ("another audience", OidcError::Audience),
        ("no audience", OidcError::Claim("aud")),
        ("another issuer", OidcError::Issuer),
        ("no issuer", OidcError::Claim("iss")),
        ("no account", OidcError::Account),
        ("empty account", OidcError::Account),
        ("long account", OidcError::Account),
    ]
    .into();
    let bad = group("bad");
    assert!(expected.keys().all(|name| bad.contains_key(*name)));
    for (name, token) in bad {
        let error = verifier.verify(&token, NOW).await.expect_err(&name);
        if let Some(expected) = expected.get(name.as_str()) {
            assert_eq!(error, *expected, "{name}");
        }
    }
    let large = format!("{}{}", "a".repeat(16 * 1024), group("good")["ES256"]);
    assert_eq!(verifier.verify(&large, NOW).await.err(), Some(OidcError::Form));
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_noticed() {
    let verifier = verifier(vec![issuer()]);
    let token = group("good")["EdDSA"].clone();
    for place in (0..token.len()).step_by(3) {
        let mut changed = token.clone().into_bytes();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).expect("ASCII");
        assert!(verifier.verify(&changed, NOW).await.is_err(), "{place}");
    }
}

#[tokio::test]
async fn claims_say_who_it_is_and_what_they_may_do() {
    let with = |account: &str, role: Option<&str>| {
        let (account_claim, role_claim) = (account.to_owned(), role.map(str::to_owned));
        verifier(vec![Issuer { account_claim, role_claim, ..issuer() }])
    };
    let claims = group("claims");
    for (name, verifier, account, role) in [
        ("roles", with("email", Some("roles")), "research:Alice%20B@example.org", Role::Publisher),
        ("one role", with("sub", Some("roles")), "research:alice", Role::Operator),
        ("nested", with("sub", Some("realm_access.roles")), "research:alice", Role::Publisher),
        ("roles of another type", with("sub", Some("roles")), "research:alice", Role::Consumer),
        ("a percent sign", with("sub", None), "research:a%2520b|c", Role::Consumer),
    ] {
        let principal = verifier.verify(&claims[name], NOW).await.expect(name);
        assert_eq!((principal.account.as_str(), principal.role), (account, role), "{name}");
        assert!(matches!(principal.via, Via::Token { expires } if expires > NOW), "{name}");
    }
    let strict = verifier(vec![Issuer { default_role: None, role_claim: Some("roles".to_owned()), ..issuer() }]);
    assert_eq!(strict.verify(&group("good")["ES256"], NOW).await.err(), Some(OidcError::Role));
}

#[tokio::test]
async fn no_issuer_is_trusted_unless_configured() {
    let other = Issuer { issuer: "https://login.example/realms/other".to_owned(), ..issuer() };
    for verifier in [verifier(Vec::new()), verifier(vec![other]), Verifier::new(Vec::new(), None).expect("a verifier")]
    {
        assert_eq!(verifier.verify(&group("good")["ES256"], NOW).await.err(), Some(OidcError::Issuer));
    }
    assert!(Verifier::new(vec![issuer()], None).is_err());
}
