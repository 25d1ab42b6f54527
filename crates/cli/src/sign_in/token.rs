use super::issuer::Tokens;
use crate::output::shown;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cloister_model::Secret;
use serde_json::Value;

/// The token that a service is sent.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) token: Secret<String>,
    /// When it expires, in seconds since 1970; none: it does not say.
    pub(super) expires: Option<u64>,
}

/// The token that is for the service, by its claim `aud`: the access token, or else the ID token. Its signature is not
/// verified here: the service does, and this program only passes it on.
///
/// # Errors
/// If no token is for the service. The text says whom they are for, and goes after the name of the issuer.
pub(super) fn choose(tokens: &Tokens, audience: &str) -> Result<Chosen, String> {
    let mut others = Vec::new();
    for token in [tokens.access_token.as_ref(), tokens.id_token.as_ref()].into_iter().flatten() {
        let claims = claims(token.expose()).unwrap_or_default();
        let named = audiences(&claims);
        if named.iter().any(|named| named == audience) {
            return Ok(Chosen { token: token.clone(), expires: seconds(&claims["exp"]) });
        }
        others.extend(named.into_iter().filter(|name| !name.is_empty()));
    }
    others.sort_unstable();
    others.dedup();
    let given = match &others[..] {
        [] => "that are not for anyone by name".to_owned(),
        others => format!("for {}", shown(&others.join(", "))),
    };
    Err(format!(
        "gave tokens {given}, and the service takes those for `{}` (claim `aud`); ask the operator of the service to have the \
         issuer add it, or to correct `audience`",
        shown(audience)
    ))
}

/// What a JSON Web Token says.
fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

/// Whole seconds of a time, which may have a fraction (RFC 7519, section 2: NumericDate).
fn seconds(time: &Value) -> Option<u64> {
    time.as_number()?.to_string().split('.').next()?.parse().ok()
}

fn audiences(claims: &Value) -> Vec<String> {
    match &claims["aud"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn token(claims: &Value) -> Secret<String> {
        Secret::new(format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string())))
    }

    fn tokens(access: Option<Secret<String>>, id: Option<Secret<String>>) -> Tokens {
        Tokens { access_token: access, id_token: id, refresh_token: None }
    }

    #[test]
    fn the_token_that_names_the_service_is_sent_to_it() {
        let (for_it, for_both) = (token(&json!({"aud": "it", "exp": 12.5})), token(&json!({"aud": ["x", "it"]})));
        let other = token(&json!({"aud": "userinfo", "exp": 1}));
        let sent = |tokens: &Tokens| choose(tokens, "it").map(|chosen| (chosen.token.expose().clone(), chosen.expires));
        let expected = |token: &Secret<String>, expires| Ok((token.expose().clone(), expires));
        assert_eq!(sent(&tokens(Some(for_it.clone()), Some(for_both.clone()))), expected(&for_it, Some(12)));
        assert_eq!(sent(&tokens(Some(other.clone()), Some(for_both.clone()))), expected(&for_both, None));
        let opaque = Secret::new("2YotnFZFEjr1zCsicMWpAA".to_owned());
        assert_eq!(sent(&tokens(Some(opaque.clone()), Some(for_it.clone()))), expected(&for_it, Some(12)));
        for (tokens, word) in [
            (tokens(Some(other.clone()), None), "userinfo"),
            (tokens(Some(opaque), None), "not for anyone"),
            (tokens(None, None), "not for anyone"),
            (tokens(None, Some(token(&json!({"aud": 7})))), "not for anyone"),
        ] {
            let why = sent(&tokens).expect_err(word);
            assert!(why.contains(word) && why.contains("`it`"), "{why}");
        }
    }
}
