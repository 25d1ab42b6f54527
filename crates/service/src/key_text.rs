use cloister_model::KeyId;

/// The beginning of every key, so that people and secret scanners recognise one.
pub(crate) const PREFIX: &str = "clk_";

/// The public part of a key; none if the text does not have the form of one.
pub(crate) fn id_of(token: &str) -> Option<KeyId> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (secret.len() == 43 && secret.bytes().all(base64url)).then(|| id.parse().ok())?
}
