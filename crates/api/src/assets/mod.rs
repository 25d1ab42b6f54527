//! Publishing assets, and changing who may use them.

mod permissions;
mod publish;

pub(crate) use permissions::{change, compute_service, document_of, trust, untrust};
pub(crate) use publish::{Published, publish};
