//! Who asks: API keys, tokens, signed requests, and how often each may.

mod caller;
mod key;
mod places;
mod rates;

pub(crate) use caller::{Caller, ClientAddress, ExpectedDigest, authenticate, count_address, still_known};
pub(crate) use key::sha256;
pub use key::{NewKey, new_key};
pub(crate) use places::{Place, Places};
pub(crate) use rates::Rates;
