//! Authentication: API keys, tokens, signed requests, and how many requests each account and address may send.

mod caller;
mod identity;
mod rates;

pub(crate) use caller::{Caller, ClientAddress, ExpectedDigest, authenticate, count_address};
pub(crate) use identity::Identity;
