//! Who asks: API keys, tokens, signed requests, and how often each may.

mod caller;
mod key;
mod rates;

pub(crate) use caller::{Caller, ClientAddress, ExpectedDigest, authenticate};
pub(crate) use key::sha256;
pub use key::{NewKey, new_key};
pub(crate) use rates::Rates;
