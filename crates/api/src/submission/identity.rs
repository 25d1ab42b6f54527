use super::{Identity, SubmitError};
use aws_lc_rs::hmac;
use cloister_model::{Account, JobId, Sha256};

/// What a job is called, and the request that it must have been made by if it is there already.
pub(super) fn name(
    secret: &[u8; 32],
    owner: &Account,
    identity: &Identity,
) -> Result<(JobId, Option<Sha256>), SubmitError> {
    match identity {
        Identity::Random => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|_| SubmitError::Internal("no random bytes for a job's name"))?;
            Ok((JobId::from_bytes(bytes), None))
        }
        Identity::Key { key, request } => Ok((derived(secret, owner, key), Some(*request))),
    }
}

/// Without the secret nobody can tell the name of somebody else's job from its key. An account's key has no line feed, so
/// that no two pairs give one text.
fn derived(secret: &[u8; 32], owner: &Account, key: &str) -> JobId {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), format!("job\n{}\n{key}", owner.key()).as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&tag.as_ref()[..16]);
    JobId::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_of_one_account_is_one_name() {
        let account = |text: &str| text.parse::<Account>().expect("an account");
        let one = derived(&[1; 32], &account("alice"), "k");
        assert_eq!(one, derived(&[1; 32], &account("alice"), "k"));
        assert_ne!(one, derived(&[1; 32], &account("bob"), "k"));
        assert_ne!(one, derived(&[1; 32], &account("alice"), "l"));
        assert_ne!(one, derived(&[2; 32], &account("alice"), "k"));
    }
}
