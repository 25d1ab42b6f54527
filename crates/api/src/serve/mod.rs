//! Taking connections: bounded in number, in what their heads may have, and in how long they may say nothing.

mod accept;
mod options;
mod stall;
mod tls;

pub use accept::serve;
pub use options::ServeOptions;
pub use tls::{TlsError, tls_config};
