use crate::problem::Problem;
use axum::http::{HeaderMap, HeaderName};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cloister_model::Sha256;

/// The digest of the body (RFC 9530, section 2).
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// The SHA-256 of the body according to its sender: the member `sha-256=:<base64>:` of `Content-Digest`; none if there is
/// no such member.
pub(crate) fn content_digest(headers: &HeaderMap) -> Result<Option<Sha256>, Problem> {
    let malformed = || Problem::malformed("`Content-Digest` has to be `sha-256=:<base64 of 32 bytes>:`");
    for value in headers.get_all(CONTENT_DIGEST) {
        let value = value.to_str().map_err(|_| malformed())?;
        for member in value.split(',') {
            if let Some(text) = member.trim().strip_prefix("sha-256=") {
                let inner = text.strip_prefix(':').and_then(|text| text.strip_suffix(':')).ok_or_else(malformed)?;
                let bytes = BASE64_STANDARD.decode(inner).map_err(|_| malformed())?;
                let bytes: [u8; 32] = bytes.try_into().map_err(|_| malformed())?;
                return Ok(Some(Sha256::from_bytes(bytes)));
            }
        }
    }
    Ok(None)
}

/// The value of `Repr-Digest` in an answer.
pub(crate) fn repr_digest(sha256: &Sha256) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(sha256.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_DIGEST, value.parse().expect("a value"))])
    }

    #[test]
    fn reads_what_it_writes_among_others() {
        let digest = Sha256::from_bytes([7; 32]);
        let value = format!("sha-512=:AA==:, {}", repr_digest(&digest));
        assert_eq!(content_digest(&headers(&value)), Ok(Some(digest)));
        assert_eq!(content_digest(&headers("sha-512=:AA==:")), Ok(None));
        for value in ["sha-256=AA", "sha-256=:AA==:", "sha-256=:!:", "sha-256=:"] {
            assert!(content_digest(&headers(value)).is_err(), "{value}");
        }
    }
}
