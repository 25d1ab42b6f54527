//! Authentication: API keys, tokens, signed requests, and how many requests each account and address may send.

mod addresses;
mod caller;
mod identity;
mod rates;

pub(crate) use addresses::PerNetwork;
pub(crate) use caller::{Caller, ClientAddress, ExpectedDigest, authenticate, bound_address, count_address};
pub(crate) use identity::Identity;
