use crate::EthereumAddress;
use cloister_model::{Account, StrangerLimit, UploadLimits};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

const MIB: u64 = 1024 * 1024;

/// How much one account may have. What it is told when it has that much says how much it is, and how to make room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Bytes of uploads.
    pub upload_bytes: u64,
    /// Bytes of uploads of a stranger: an Ethereum account that the operator has not named. One person can make any number of them.
    pub stranger_upload_bytes: u64,
    /// Bytes of uploads of all strangers together. A small file counts as 4 KiB, which it takes of a disk.
    pub strangers_upload_bytes: u64,
    /// The Ethereum accounts that are no strangers, by their keys.
    pub known: BTreeSet<String>,
    /// Bytes of uploads of single accounts, strangers or not, by their keys.
    pub upload_bytes_of: BTreeMap<String, u64>,
    /// How long an upload is kept after it was last sent, unless a published asset or an unfinished job of its owner names it.
    pub upload_keep: Duration,
    /// Datasets and algorithms, withdrawn ones included. Jobs that are under way may exceed it by what they register.
    pub assets: u64,
    /// Bytes of results that are kept, also those of removed jobs that an asset needs. An account that has as much may start no job; those that it has started come to their
    /// ends, so that it can exceed this by what they let out.
    pub result_bytes: u64,
}

impl Default for Quotas {
    /// 2 GiB of uploads, kept for 30 days, 16 MiB for a stranger and 1 GiB for all of them; 1000 assets; 50 GiB of results.
    fn default() -> Self {
        Self {
            upload_bytes: 2048 * MIB,
            stranger_upload_bytes: 16 * MIB,
            strangers_upload_bytes: 1024 * MIB,
            known: BTreeSet::new(),
            upload_bytes_of: BTreeMap::new(),
            upload_keep: Duration::from_secs(30 * 24 * 60 * 60),
            assets: 1000,
            result_bytes: 50 * 1024 * MIB,
        }
    }
}

impl Quotas {
    /// Whether the account is a stranger's: an Ethereum account that the operator has not named.
    #[must_use]
    pub fn is_stranger(&self, account: &Account) -> bool {
        let named = self.known.contains(account.key()) || self.upload_bytes_of.contains_key(account.key());
        account.key().parse::<EthereumAddress>().is_ok() && !named
    }

    /// What bounds the uploads of the account.
    #[must_use]
    pub fn upload_limits(&self, account: &Account) -> UploadLimits {
        let strangers = self.is_stranger(account).then(|| StrangerLimit {
            bytes: self.strangers_upload_bytes,
            known: Arc::new(self.known.iter().chain(self.upload_bytes_of.keys()).cloned().collect()),
        });
        UploadLimits { account: self.upload_bytes(account), strangers }
    }

    /// Bytes of uploads that the account may have.
    #[must_use]
    pub fn upload_bytes(&self, account: &Account) -> u64 {
        match self.upload_bytes_of.get(account.key()) {
            Some(bytes) => *bytes,
            None if self.is_stranger(account) => self.stranger_upload_bytes.min(self.upload_bytes),
            None => self.upload_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_have_less_until_they_are_named() {
        let (known, given) = (format!("0x{}", "a".repeat(40)), format!("0x{}", "b".repeat(40)));
        let quotas = Quotas {
            known: [known.clone()].into(),
            upload_bytes_of: [(given.clone(), 7), ("carol".to_owned(), 8)].into(),
            ..Quotas::default()
        };
        let stranger = format!("0x{}", "C".repeat(40));
        for (account, expected) in [
            (stranger.as_str(), 16 * MIB),
            (&known.to_uppercase().replace("0X", "0x"), 2048 * MIB),
            (&given, 7),
            ("alice", 2048 * MIB),
            ("carol", 8),
        ] {
            let account: Account = account.parse().expect("an account");
            assert_eq!(quotas.upload_bytes(&account), expected, "{account}");
            assert_eq!(quotas.is_stranger(&account), account.as_str() == stranger, "{account}");
            let limits = quotas.upload_limits(&account);
            let strangers = limits.strangers.as_ref().map(|limit| (limit.bytes, limit.known.contains(&known)));
            assert_eq!(strangers, (account.as_str() == stranger).then_some((1024 * MIB, true)), "{account}");
        }
        let small = Quotas { upload_bytes: 5, ..quotas };
        assert_eq!(small.upload_bytes(&stranger.parse().expect("an account")), 5);
    }
}
