//! Taking connections.
