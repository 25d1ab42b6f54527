use super::OidcError;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cloister_model::Timestamp;
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, Validation,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde_json::{Map, Value};

/// Bytes of a token: larger ones do not fit into the headers of most servers either.
const MOST_BYTES: usize = 16 * 1024;

/// How far clocks may be apart, in seconds.
const LEEWAY: f64 = 30.0;

/// A token whose signature was not verified yet.
pub(super) struct Unverified<'a> {
    token: &'a str,
    algorithm: Algorithm,
    key_id: String,
    issuer: String,
}

impl<'a> Unverified<'a> {
    /// Reads the parts that say how to verify it.
    pub(super) fn read(token: &'a str) -> Result<Self, OidcError> {
        if token.len() > MOST_BYTES || token.split('.').count() != 3 {
            return Err(OidcError::Form);
        }
        // The library refuses algorithms that it does not know, `none` included.
        let header = jsonwebtoken::decode_header(token).map_err(|_| OidcError::Header)?;
        let algorithm = header.alg;
        if algorithm.family() == AlgorithmFamily::Hmac || header.crit.is_some() {
            return Err(OidcError::Header);
        }
        // Tokens for other uses (RFC 8725, section 3.11) say so in their type.
        let kind = header.typ.map(|kind| kind.to_ascii_lowercase());
        if !matches!(kind.as_deref(), None | Some("jwt" | "at+jwt" | "application/at+jwt")) {
            return Err(OidcError::Header);
        }
        let claims =
            token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).ok_or(OidcError::Form)?;
        let claims: Value = serde_json::from_slice(&claims).map_err(|_| OidcError::Form)?;
        Ok(Self {
            token,
            algorithm,
            key_id: header.kid.ok_or(OidcError::Key)?,
            issuer: claims["iss"].as_str().ok_or(OidcError::Claim("iss"))?.to_owned(),
        })
    }

    /// The key it says it was signed with.
    pub(super) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The issuer it says it is of.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Checks it, and gives what it says.
    pub(super) fn verify(
        self,
        candidates: &[Jwk],
        audience: &str,
        now: Timestamp,
    ) -> Result<Map<String, Value>, OidcError> {
        let key = candidates.iter().find(|key| is_for(key, self.algorithm)).ok_or(OidcError::Key)?;
        let key = DecodingKey::from_jwk(key).map_err(|_| OidcError::Key)?;
        let mut validation = Validation::new(self.algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[audience]);
        // By this service's own clock, below.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Map<String, Value>>(self.token, &key, &validation)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidAudience => OidcError::Audience,
                ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => OidcError::Claim("aud"),
                ErrorKind::MissingRequiredClaim(claim) if claim == "exp" => OidcError::Claim("exp"),
                _ => OidcError::Signature,
            })?
            .claims;
        check_times(&claims, now)?;
        Ok(claims)
    }
}

/// Whether a key is one to check signatures of this algorithm with. The algorithm is the token's word, so it must fit the
/// kind of the key, and what the key says it is for.
fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    let fits = match (&key.algorithm, algorithm.family()) {
        (AlgorithmParameters::RSA(_), AlgorithmFamily::Rsa) => true,
        (AlgorithmParameters::EllipticCurve(key), AlgorithmFamily::Ec) => {
            (algorithm == Algorithm::ES256 && key.curve == EllipticCurve::P256)
                || (algorithm == Algorithm::ES384 && key.curve == EllipticCurve::P384)
        }
        (AlgorithmParameters::OctetKeyPair(key), AlgorithmFamily::Ed) => key.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    let usage = key.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let may = key.common.key_operations.as_ref().is_none_or(|may| may.contains(&KeyOperations::Verify));
    fits && usage && may && key.common.key_algorithm.is_none_or(|only| only == KeyAlgorithm::from(algorithm))
}

/// When a token stops working by its own word, without the leeway.
pub(super) fn expiry(claims: &Map<String, Value>) -> Result<Timestamp, OidcError> {
    let seconds = claims.get("exp").and_then(Value::as_f64).ok_or(OidcError::Claim("exp"))?;
    // Conversion saturates: a token that never ends gives the last moment there is.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturating is what is wanted")]
    Ok(Timestamp::from_unix_ms((seconds * 1000.0) as u64))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds until the year 287 000 fit a double exactly")]
fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), OidcError> {
    let now = now.unix_ms() as f64 / 1000.0;
    let expires = claims.get("exp").and_then(Value::as_f64).ok_or(OidcError::Claim("exp"))?;
    if expires + LEEWAY < now {
        return Err(OidcError::Expired);
    }
    match claims.get("nbf") {
        None | Some(Value::Null) => Ok(()),
        Some(begins) => match begins.as_f64() {
            Some(begins) if begins - LEEWAY <= now => Ok(()),
            Some(_) => Err(OidcError::Early),
            None => Err(OidcError::Claim("nbf")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn times_have_a_little_leeway() {
        let check =
            |claims: Value| check_times(claims.as_object().expect("claims"), Timestamp::from_unix_ms(1_000_000));
        assert_eq!(check(json!({"exp": 970})), Ok(()));
        assert_eq!(check(json!({"exp": 969})), Err(OidcError::Expired));
        assert_eq!(check(json!({"exp": 2000.5, "nbf": 1030})), Ok(()));
        assert_eq!(check(json!({"exp": 2000, "nbf": 1031})), Err(OidcError::Early));
        assert_eq!(check(json!({"exp": 2000, "nbf": "1"})), Err(OidcError::Claim("nbf")));
        assert_eq!(check(json!({"exp": "2000"})), Err(OidcError::Claim("exp")));
    }

    #[test]
    fn a_token_ends_when_it_says() {
        let end = |exp: Value| expiry(json!({"exp": exp}).as_object().expect("claims")).map(Timestamp::unix_ms);
        assert_eq!(end(json!(2000.5)), Ok(2_000_500));
        assert_eq!((end(json!(-1)), end(json!(1e300))), (Ok(0), Ok(u64::MAX)));
        assert_eq!(end(json!("2000")), Err(OidcError::Claim("exp")));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(token in "\\PC{0,200}|[A-Za-z0-9_-]{0,99}\\.[A-Za-z0-9_-]{0,99}\\.[A-Za-z0-9_-]{0,99}") {
            let _ = Unverified::read(&token).map(|token| token.key_id().len());
        }
    }
}
