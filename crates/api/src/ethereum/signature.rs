use cloister_service::EthereumAddress;
use k256::ecdsa::{self, RecoveryId, VerifyingKey};
use sha3::{Digest as _, Keccak256};
use std::{fmt, str::FromStr};

/// A signature from which its signer can be recovered: `r || s || v`, 65 bytes.
///
/// Only signatures with the low `s` are accepted. For each signature there is a second one (`n - s`) that can be computed
/// from the first without the key (malleability). Ethereum forbids it since EIP-2, and no wallet or library makes it, so one
/// text has one signature of an account.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signature {
    scalars: ecdsa::Signature,
    recovery: RecoveryId,
}

/// Why a text is not a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    /// Not 65 bytes in hexadecimal digits.
    #[error("a signature is 130 hexadecimal digits, with or without `0x`")]
    Form,
    /// The last byte.
    #[error("the last byte of a signature is 0, 1, 27 or 28")]
    Recovery,
    /// The numbers cannot be those of a signature, or they are the malleable twin of one.
    #[error("`r` or `s` of the signature is out of range; `s` must be the lower of the two that are possible")]
    Range,
    /// No key can have made it over this text.
    #[error("no account can have made the signature")]
    NoAccount,
}

/// Ethereum's hash.
pub(super) fn keccak256(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

/// What `personal_sign` (EIP-191, version 0x45) signs of a text.
pub(crate) fn text_digest(text: &str) -> [u8; 32] {
    personal(text.as_bytes())
}

/// What Ocean's programs sign of a text: `personal_sign` of its 32-byte hash.
pub(crate) fn hashed_digest(text: &str) -> [u8; 32] {
    personal(&keccak256(text.as_bytes()))
}

fn personal(message: &[u8]) -> [u8; 32] {
    let mut hash = Keccak256::new();
    hash.update(b"\x19Ethereum Signed Message:\n");
    hash.update(message.len().to_string());
    hash.update(message);
    hash.finalize().into()
}

impl Signature {
    /// The address that signed.
    ///
    /// A wrong text gives some other address, not an error: compare it with those that are allowed.
    ///
    /// # Errors
    /// [`SignatureError::NoAccount`].
    pub(crate) fn signer(&self, digest: &[u8; 32]) -> Result<EthereumAddress, SignatureError> {
        let key = VerifyingKey::recover_from_prehash(digest, &self.scalars, self.recovery)
            .map_err(|_| SignatureError::NoAccount)?;
        let point = key.to_encoded_point(false);
        // The first byte says that the coordinates follow uncompressed.
        point.as_bytes().get(1..).map(EthereumAddress::of_public_key).ok_or(SignatureError::NoAccount)
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        // Checked first, because the decoder accepts another `0x`.
        if digits.len() != 2 * 65 {
            return Err(SignatureError::Form);
        }
        let bytes: [u8; 65] = const_hex::decode_to_array(digits).map_err(|_| SignatureError::Form)?;
        let [scalars @ .., last] = bytes;
        let recovery = match last {
            0 | 27 => RecoveryId::new(false, false),
            1 | 28 => RecoveryId::new(true, false),
            _ => return Err(SignatureError::Recovery),
        };
        let scalars = ecdsa::Signature::from_slice(&scalars).map_err(|_| SignatureError::Range)?;
        // `Some` is the lower twin of a high one.
        if scalars.normalize_s().is_some() { Err(SignatureError::Range) } else { Ok(Self { scalars, recovery }) }
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// Signing, for tests: the program itself has no Ethereum key.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use k256::ecdsa::SigningKey;

    /// An account with its key.
    pub(crate) struct Wallet(SigningKey);

    impl Wallet {
        /// The account whose key is this byte 32 times.
        pub(crate) fn new(byte: u8) -> Self {
            Self(SigningKey::from_slice(&[byte; 32]).expect("a key"))
        }

        /// Its address.
        pub(crate) fn address(&self) -> EthereumAddress {
            EthereumAddress::of_public_key(&self.0.verifying_key().to_encoded_point(false).as_bytes()[1..])
        }

        /// Signs with `personal_sign`.
        pub(crate) fn sign(&self, text: &str) -> String {
            self.sign_digest(&text_digest(text))
        }

        /// Signs as Ocean's programs do.
        pub(crate) fn sign_hashed(&self, text: &str) -> String {
            self.sign_digest(&hashed_digest(text))
        }

        fn sign_digest(&self, digest: &[u8; 32]) -> String {
            let (scalars, recovery) = self.0.sign_prehash_recoverable(digest).expect("a signature");
            hex(&[scalars.to_bytes().as_slice(), &[recovery.to_byte()]].concat())
        }
    }

    /// As `0x...`.
    pub(crate) fn hex(bytes: &[u8]) -> String {
        const_hex::encode_prefixed(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::*, *};
    use proptest::prelude::*;

    const OWNER_AND_NONCE: &str = "0x52A4Fc5B2cD5Cb0F3dF6c6E0f2Ee9d8C1B7a0bE11795363289633593301";
    const FIRST: &str = "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23";
    const SECOND: &str = "0x1a642f0e3c3af545e7acbd38b07251b3990914f1";

    /// Made with Python's `eth-account` 0.14: `encode_defunct(text=...)` and `encode_defunct(primitive=keccak(text=...))`.
    const SIGNED: [(&str, &str, &str, &str); 6] = [
        (
            FIRST,
            OWNER_AND_NONCE,
            "cde93f018e76a39afd9d44f8904533dbcbe1be1abcaa7b81b58e7c071b80046b65dc4fce83edf1fb2d62656bd3adf9fa89d80c6a00cbe61b3a96902ef3e2b6501b",
            "69a661a072095ea5344ea7e98737c6566320fb7ac0e69391ca1d4632912b281c2238b38479e0dd213d175fa0756cdd546d5b59e7cc8b9e7db5cffecd03f2cf7d1c",
        ),
        (
            FIRST,
            "",
            "8a68b4e66cd2b575338e16069d7b65f6f67c7ceae8945dccf8cb7bdb06278d933dd9c888f3444ca4698464079a067ad3cfffe96d493b8ecf56885169d0fdfe7d1b",
            "4eff6dcb03d6872bce89018a566540c311c96dd59a1feefaa4c90827c4c6edd24c79eae46643e16b54ea20075317b031c89e5740df5469e42e1b95a93ca036ec1b",
        ),
        (
            FIRST,
            "grüße\n",
            "7c83c9e8d53172d5c5d931bca3e6e8381d9093822e17d0a0c37301fc8805b6146be2f12808c6448faa69197800940cceb75e41cdb8785978113c4044f7c5f72a1c",
            "d3e588ad5590a33f307dfc0b7768cff47291ef8fef09e18f3dc8b23d72817bf3749f630af2791465bbb15871bc6efe70a4f215f5092bee65a5145471364a32d81b",
        ),
        (
            SECOND,
            OWNER_AND_NONCE,
            "9d05d9a3cecb7608a23e333f4a7d85202643a0bc852267a523c5dea1cc0f959c3c044fec00c1572d64f01491313d0a45c4f8d336e95f3afc4872e9aaaf61679c1c",
            "fa01aeee8b83d7340d6521ef36ca9c34be98c1b8f31385fd1948af51752708366f2c87627e0d7132d9a55d8bb22066e61686fdc74b3e0e9d3761c52327509a491c",
        ),
        (
            SECOND,
            "",
            "008f5fb3ee6d29e767bfb729dc8764c5178f4e8a872450f6a33f62442f9ecd883c3d1dc059a5a809bde6ed6299b99b3d5c4f0ed46d79ba01658ad7b7ef8f61151c",
            "817936df32be65a1d0cc027e46a945f6ef902010e93e5fbc152f47ad0061b9cd49b608d2cf55db006d289e338ebfaccf9cc4fa8bb3b71b129e965475df041e801b",
        ),
        (
            SECOND,
            "grüße\n",
            "cd3f4b3c7fe0e2c3de4b1e97885c7143734a3306e231ad7eb7d6b202b7514c373e0fde50fd4ab6a3f238c4dde7d58cbf0104cb76c51e957a8d403e21a6f3f2b31b",
            "0bd4f0247da729352a1388a0f4da177bd4568811cc9245918b7a6522f58d2e5c2d0793500bc78dad37d41c2f80e51d401280d0c6dc3a336585043b05e281c12d1b",
        ),
    ];

    fn signer(digest: &[u8; 32], signature: &str) -> Result<String, SignatureError> {
        Ok(signature.parse::<Signature>()?.signer(digest)?.to_string())
    }

    #[test]
    fn hashes_as_ethereum_does() {
        assert_eq!(hex(&keccak256(b"")), "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
        assert_eq!(hex(&keccak256(b"abc")), "0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
        let digest = "0x234fb9ba55e918253c63cb4ffd913bdff8fdc5e7e1457140cb967310498b3874";
        assert_eq!(hex(&text_digest(OWNER_AND_NONCE)), digest);
        let digest = "0xba59d04abcd61a1c9542c05e23e22662e65dfb6b2f7f46a9b0882218f6d1356c";
        assert_eq!(hex(&hashed_digest(OWNER_AND_NONCE)), digest);
    }

    #[test]
    fn finds_who_signed_with_another_library() {
        for (address, text, of_text, of_hash) in SIGNED {
            assert_eq!(signer(&text_digest(text), of_text).as_deref(), Ok(address));
            assert_eq!(signer(&hashed_digest(text), of_hash).as_deref(), Ok(address));
            // The two forms are not each other.
            assert_ne!(signer(&hashed_digest(text), of_text).as_deref(), Ok(address));
            assert_ne!(signer(&text_digest("other"), of_text).as_deref(), Ok(address));
        }
    }

    #[test]
    fn takes_every_way_of_writing_the_last_byte() {
        let (address, text, signature, _) = SIGNED[0];
        let start = &signature[..128];
        for last in ["00", "1b", "1B"] {
            assert_eq!(signer(&text_digest(text), &format!("0x{start}{last}")).as_deref(), Ok(address));
        }
        for last in ["02", "03", "1d", "ff", "25"] {
            assert_eq!(signer(&text_digest(text), &format!("{start}{last}")), Err(SignatureError::Recovery));
        }
    }

    #[test]
    fn refuses_the_malleable_twin_and_numbers_out_of_range() {
        let (_, _, signature, _) = SIGNED[0];
        let scalars =
            ecdsa::Signature::from_slice(&const_hex::decode_to_array::<_, 64>(&signature[..128]).expect("hex"))
                .expect("a signature");
        let twin = ecdsa::Signature::from_scalars(scalars.r(), -scalars.s()).expect("a signature");
        let twin = format!("{}1c", hex(&twin.to_bytes()));
        assert_eq!(twin.parse::<Signature>(), Err(SignatureError::Range));
        for scalars in ["0".repeat(128), "f".repeat(128)] {
            assert_eq!(format!("{scalars}1b").parse::<Signature>(), Err(SignatureError::Range));
        }
    }

    #[test]
    fn refuses_other_texts() {
        let signature = SIGNED[0].2;
        for text in ["", "0x", &signature[1..], &format!("{signature}00"), &format!("0x0x{signature}"), &"é".repeat(65)]
        {
            assert_eq!(text.parse::<Signature>(), Err(SignatureError::Form), "{text}");
        }
    }

    proptest! {
        #[test]
        fn only_the_signed_text_leads_to_the_signer(text in "\\PC{0,80}", other in "\\PC{0,80}", key in 1_u8..255) {
            let wallet = Wallet::new(key);
            let address = Ok(wallet.address().to_string());
            let signature = wallet.sign_hashed(&text);
            prop_assert_eq!(&signer(&hashed_digest(&text), &signature), &address);
            prop_assert_eq!(signer(&hashed_digest(&other), &signature) == address, text == other);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(0x)?[0-9a-fA-F]{128,132}|\\PC{0,140}") {
            let _ = text.parse::<Signature>().map(|signature| signature.signer(&text_digest("a")));
        }
    }
}
