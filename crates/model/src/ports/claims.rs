use super::StoreFuture;
use crate::{Account, AssetKind, Sha256, Timestamp};
use sha2::Digest as _;
use std::fmt;

/// What a claim is for. Keys of different kinds do not touch each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimKind {
    /// A nonce of a signed request: it counts once (replay protection).
    Nonce,
    /// An Ocean agreement: it has at most one unfinished job.
    Agreement,
    /// The name of an asset: an owner has one asset of a kind and name.
    AssetName,
}

/// The exclusive right to a name. Claims are create-only: of two callers who claim the same name, one gets it.
///
/// One primitive for nonces, agreements and asset names, because a database (a unique key) and a cluster (an object whose
/// name is the digest) can both provide exactly this, with any number of replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    kind: ClaimKind,
    /// For error messages; not part of a digest.
    name: String,
    digest: Sha256,
    until: Option<Timestamp>,
    /// Boxed, because errors hold claims.
    limit: Option<Box<AssetLimit>>,
}

/// The most assets that an account may have, withdrawn ones and those that its unfinished jobs will register included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetLimit {
    /// Which account.
    pub owner: Account,
    /// How many.
    pub most: u64,
}

impl Claim {
    /// The claim of an account on a nonce. It is remembered until the given moment at least, across restarts and power
    /// cuts; the caller refuses older nonces.
    #[must_use]
    pub fn nonce(account: &Account, nonce: &str, until: Timestamp) -> Self {
        Self::new(ClaimKind::Nonce, "the nonce".to_owned(), &[account.key(), nonce], Some(until))
    }

    /// The claim on telling of something once, among all replicas. It is remembered until the given moment at least.
    #[must_use]
    pub fn notice(what: &str, until: Timestamp) -> Self {
        // No account has an empty key, so that no nonce is in the way.
        Self::new(ClaimKind::Nonce, "the notice".to_owned(), &["", what], Some(until))
    }

    /// The claim on an Ocean agreement.
    #[must_use]
    pub fn agreement(agreement: &str) -> Self {
        Self::new(ClaimKind::Agreement, "the agreement".to_owned(), &[agreement], None)
    }

    /// The claim on an agreement of an Ocean Provider: no Provider can take the agreements of another. Requests that no
    /// Provider vouches for have agreements of their own.
    #[must_use]
    pub fn agreement_of(provider: Option<&Account>, agreement: &str) -> Self {
        match provider {
            None => Self::agreement(agreement),
            Some(provider) => {
                let parts = [provider.key(), agreement];
                Self::new(ClaimKind::Agreement, "the agreement".to_owned(), &parts, None)
            }
        }
    }

    /// The claim of an account on a name for an asset.
    #[must_use]
    pub fn asset_name(owner: &Account, kind: AssetKind, name: &str) -> Self {
        let kind = match kind {
            AssetKind::Dataset => "dataset",
            AssetKind::Algorithm => "algorithm",
        };
        Self::new(ClaimKind::AssetName, format!("the name of the {kind}"), &[owner.key(), kind, name], None)
    }

    /// The same claim of a job on the name of an asset that it will register, refused if its owner has as many assets as it may.
    /// The engine counts when the job is taken in, so that jobs that are submitted at once do not get past the limit together.
    #[must_use]
    pub fn within(self, limit: AssetLimit) -> Self {
        Self { limit: Some(Box::new(limit)), ..self }
    }

    fn new(kind: ClaimKind, name: String, parts: &[&str], until: Option<Timestamp>) -> Self {
        let mut hash = sha2::Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self { kind, name, digest: Sha256::from_bytes(hash.finalize().into()), until, limit: None }
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> ClaimKind {
        self.kind
    }

    /// What it claims, for a message: it holds no text of the caller.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its key within its kind: a digest, fit for a database, an object's name and a path.
    #[must_use]
    pub fn key(&self) -> Sha256 {
        self.digest
    }

    /// When it may be forgotten; none: when its holder gives it up.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// How many assets its owner may have with this one.
    #[must_use]
    pub fn limit(&self) -> Option<&AssetLimit> {
        self.limit.as_deref()
    }
}

/// Claims that no job holds. Those of jobs are taken with [`Jobs::submit`](super::Jobs::submit).
pub trait Claims: fmt::Debug + Send + Sync {
    /// Takes a claim. False if it is taken.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](super::StoreError::Unavailable).
    fn claim(&self, claim: Claim) -> StoreFuture<'_, bool>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_different_parts_have_different_keys() {
        let account = |text: &str| text.parse::<Account>().expect("an account");
        let at = Timestamp::from_unix_ms(1);
        let keys = [
            Claim::nonce(&account("ab"), "c", at),
            Claim::nonce(&account("a"), "bc", at),
            Claim::agreement("abc"),
            Claim::agreement_of(Some(&account("a")), "bc"),
            Claim::agreement_of(Some(&account("ab")), "c"),
            Claim::asset_name(&account("a"), AssetKind::Dataset, "bc"),
            Claim::asset_name(&account("a"), AssetKind::Algorithm, "bc"),
        ]
        .map(|claim| (claim.kind(), claim.key()));
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(Claim::agreement("x"), Claim::agreement_of(None, "x"));
    }
}
