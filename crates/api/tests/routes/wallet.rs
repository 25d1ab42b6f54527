//! Ethereum accounts with their keys.

use crate::test_service::now;
use k256::ecdsa::SigningKey;
use sha2::Digest as _;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Wallet(SigningKey);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn keccak(bytes: &[u8]) -> Vec<u8> {
    use sha3::Digest as _;
    sha3::Keccak256::digest(bytes).to_vec()
}

/// A fresh nonce: the present time in nanoseconds, and no nonce twice.
pub(crate) fn nonce() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    (now().unix_ms() * 1_000_000 + NEXT.fetch_add(1, Ordering::Relaxed)).to_string()
}

impl Wallet {
    /// The account whose key is this byte 32 times.
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_slice(&[seed; 32]).expect("a key"))
    }

    pub(crate) fn address(&self) -> String {
        let point = self.0.verifying_key().to_encoded_point(false);
        format!("0x{}", hex(&keccak(&point.as_bytes()[1..])[12..]))
    }

    /// `personal_sign` of a message.
    pub(crate) fn sign(&self, message: &[u8]) -> String {
        let prefix = format!("\x19Ethereum Signed Message:\n{}", message.len());
        let digest = keccak(&[prefix.as_bytes(), message].concat());
        let (signature, recovery) = self.0.sign_prehash_recoverable(&digest).expect("a signature");
        format!("0x{}{:02x}", hex(&signature.to_bytes()), recovery.to_byte() + 27)
    }

    /// What Ocean's programs sign of a text: the 32 bytes of its hash.
    pub(crate) fn sign_hashed(&self, text: &str) -> String {
        self.sign(&keccak(text.as_bytes()))
    }

    /// The value of `Authorization` for a request to the native API.
    pub(crate) fn header(&self, method: &str, path: &str, nonce: &str, body: &[u8]) -> String {
        let text = format!("cloister-request\n{method}\n{path}\n{nonce}\n{}", hex(&sha2::Sha256::digest(body)));
        format!("Ethereum address={},nonce={nonce},signature={}", self.address(), self.sign(text.as_bytes()))
    }
}
