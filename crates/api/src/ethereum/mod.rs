//! Signatures of Ethereum accounts: who signed a text, and whether a signed request is fresh. No chain is queried.

mod nonce;
mod request;
mod signature;

pub(crate) use nonce::{Nonce, NonceError, NonceWindow};
pub(crate) use request::SignedRequest;
#[cfg(test)]
pub(crate) use signature::testing;
pub(crate) use signature::{Signature, SignatureError, hashed_digest, text_digest};
