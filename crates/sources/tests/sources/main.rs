//! Fetching from servers that fail in every way they can, on this machine.

mod checks;
mod configure;
mod place;
mod redirects;
mod server;
mod shared_cache;
mod tls;
mod transfers;
